// The page of a filter, and of a new one: its text, its versions, what it would have picked and what it picks.

import { showColumns } from "./columns.js";
import { alertPath, api, byId, clockTime, count, el, filterPath, fixed, get, send } from "./common.js";
import { offerCompletions } from "./completion.js";
import { facts, failed } from "./details.js";
import { showDifference } from "./diff.js";
import { makeEditor } from "./editor.js";
import { faultOf, watchFaults } from "./faults.js";
import { watchPast } from "./past.js";
import { showVersions } from "./versions.js";

const page = byId("page");
const name = page.dataset.filter || new URLSearchParams(location.search).get("name") || "";
const STARTER = `name = "my_filter"
version = 1
stream = "ztf"
description = "What it finds, in a sentence"
where = "mag < 18"
`;
const functions = JSON.parse(page.dataset.functions);
const editor = makeEditor(byId("text"), byId("under"), new Set(functions.map(([one]) => one)));
let life = null;
let shown = null; // the version in the editor
let faults = null;

const newest = () => life.items.reduce((best, one) => (Number(one.version) > Number(best.version) ? one : best));
const live = () => life.items.find((one) => one.state === "live");
const path = (...parts) => api(["filters", ...parts].map(encodeURIComponent).join("/"));
const say = (text) => { byId("said").textContent = text; };

function refused(error, again = null) {
  byId("refused").classList.add("on");
  const force = again && el("button", { type: "button", id: "force" }, "Do it all the same");
  force?.addEventListener("click", again);
  byId("refused").replaceChildren(el("strong", {}, "Refused. "), error.message, " ", force ?? "");
}

function calm() {
  byId("refused").classList.remove("on");
  byId("refused").replaceChildren();
}

/** Whether a refusal can be overruled: that of a filter that picks much can, that of worked examples that fail cannot. */
const overruled = (error) => error.problem?.type?.endsWith("refused") || (error.status === 400 && !/example \d/.test(error.message));

function buttons() {
  const [dirty, state] = [editor.dirty, shown?.state];
  byId("save").disabled = shown !== null && !dirty;
  byId("dirty").hidden = !dirty;
  byId("test").disabled = dirty || !(state === "draft" || state === "retired");
  byId("live").disabled = dirty || !state || state === "live";
  byId("retire").disabled = dirty || !state || state === "retired";
}

function show(version) {
  shown = version;
  const running = live();
  byId("state").textContent = running ? `live: version ${running.version}${running.active ? "" : ", not active"}` : "not live";
  byId("state").className = `state ${running?.active ? "on" : ""}`;
  byId("which").textContent = `Version ${version.version}, ${version.state}`;
  facts(byId("facts"), [
    ["Finds", version.description], ["Streams", version.streams.join(", ")], ["Topic", version.topic], ["Matches", count(version.matches)],
    ["Written by", version.author], ["Kept", `${clockTime(version.created)} UTC`], ["Owner", version.owner], ["Team", version.team], ["Seen by", version.visibility === "public" ? null : version.visibility],
  ]);
  showVersions(life, version, (other) => { if (leave()) open(other); });
  buttons();
}

/** Whether what is not kept may be dropped. */
const leave = () => !editor.dirty || window.confirm("What you have written is not kept. Drop it?");

function open(version) {
  calm();
  byId("conflict").hidden = true;
  editor.open(version.text);
  show(version);
}

async function reload() {
  life = await get(path(name, "versions"));
  life.items.sort((one, other) => one.version - other.version);
}

async function recent() {
  if (!live() && newest().matches === 0) return;
  const { items } = await get(api(`matches?${new URLSearchParams({ filter: name, limit: "20" })}`));
  byId("recent-panel").hidden = items.length === 0;
  byId("recent").replaceChildren(...items.map(({ alert, version }) => el("tr", {}, el("td", { class: "num nowrap", style: { "text-align": "left" } }, clockTime(alert.time)),
    el("td", {}, el("a", { href: alertPath(alert.alert_id) }, alert.event_name ?? alert.object_id ?? alert.alert_id)), el("td", { class: "num" }, alert.mag === null ? "" : `${alert.band ?? ""} ${fixed(alert.mag, 2)}`), el("td", { class: "num" }, version))));
}

/** Who is to see a new filter, where somebody has logged in whose it is. */
function sharing() {
  const [visibility, team] = (byId("seen").value || "public:").split(":");
  return team ? { visibility, team } : { visibility };
}

async function offerSharing() {
  const me = await get(api("me"));
  const teams = Object.keys(me.teams).map((team) => [`team:${team}`, `team ${team}`]);
  byId("seen").replaceChildren(...[["public:", "all"], ["private:", "me alone"], ...teams].map(([value, said]) => el("option", { value }, said)));
  byId("sharing").hidden = !me.logged_in;
}

/** Keep what is in the editor as a draft. */
async function save(base = shown && newest().version) {
  calm();
  const sent = editor.text;
  byId("save").disabled = true;
  try {
    const kept = await (shown ? send("PUT", path(name), { text: sent, base: Number(base) }) : send("POST", path(), { text: sent, ...sharing() }));
    byId("conflict").hidden = true;
    if (life?.items.some((one) => one.version === kept.version)) {
      say(`It says what version ${kept.version} says, comments and examples aside: nothing new is kept.`);
      return;
    }
    editor.kept(kept.text, sent);
    if (!shown) { location.assign(filterPath(kept.name)); return; }
    await reload();
    show(life.items.find((one) => one.version === kept.version));
    say(`Kept as version ${kept.version}, a draft.`);
  } catch (error) {
    if (error.status === 409 && error.problem.type?.endsWith("conflict") && shown) await conflict(sent);
    else {
      refused(error);
      if (error.problem?.line) faults.tell([faultOf(error)]);
    }
  } finally {
    buttons();
  }
}

/** Somebody else's version came after the one that was edited: show theirs, and leave the choice. */
async function conflict(mine) {
  await reload();
  const theirs = newest();
  byId("conflict-said").textContent = `${theirs.author} kept version ${theirs.version} (${clockTime(theirs.created)} UTC) while you were writing. Yours is not kept yet. What yours changes of theirs:`;
  showDifference(byId("conflict-difference"), theirs.text, mine);
  byId("theirs").onclick = () => { if (leave()) open(theirs); };
  byId("mine").onclick = () => save(theirs.version);
  byId("conflict").hidden = false;
  byId("conflict").focus();
}

async function move(state, force = false) {
  calm();
  const { version } = shown;
  for (const id of ["test", "live", "retire"]) byId(id).disabled = true;
  say("…");
  try {
    const moved = await send("POST", path(name, "versions", version, "state"), { state, force });
    await reload();
    show(life.items.find((one) => one.version === version));
    say(`Version ${version} is ${moved.state}.`);
  } catch (error) {
    say("");
    refused(error, state !== "retired" && !force && overruled(error) ? () => move(state, true) : null);
  } finally {
    buttons();
  }
}

function begin() {
  faults = watchFaults(editor, byId("faults"), byId("verdict"));
  showColumns(editor);
  offerCompletions(editor, byId("offers"), byId("spoken"), functions);
  editor.onChange(buttons);
  byId("save").addEventListener("click", () => save());
  for (const [id, state] of [["test", "tested"], ["live", "live"], ["retire", "retired"]]) byId(id).addEventListener("click", () => move(state));
  byId("text").addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") { event.preventDefault(); if (!byId("save").disabled) save(); }
  });
  window.addEventListener("beforeunload", (event) => { if (editor.dirty) event.preventDefault(); });
  watchPast(() => editor.text);
  for (const id of ["run-funnel", "run-backtest"]) byId(id).disabled = false; // what nobody would hear could be clicked before
  editor.area.readOnly = false;
  buttons();
}

async function start() {
  if (name) {
    page.querySelector("h1").textContent = name; // the page of new ones may be that of a filter of that name
    document.title = `${name}: Nuncius`;
    await reload();
    const wanted = new URLSearchParams(location.search).get("version");
    const last = newest();
    open(life.items.find((one) => one.version === wanted) ?? (last.state === "retired" ? live() : null) ?? last);
    await recent();
  } else {
    editor.open(STARTER);
    await offerSharing();
  }
  for (const each of page.querySelectorAll(".later")) each.hidden = name === "";
  begin();
}

start().catch(failed);
