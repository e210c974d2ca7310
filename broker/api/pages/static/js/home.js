// The front page: sky, live table, events; ledger and lag are status.js.

import { alertPath, api, byId, clockTime, count, el, eventColour, eventMark, eventPath, filterColour, filterShape, fixed, get, objectPath, rankFilters } from "./common.js";
import { watchMatches } from "./live.js";
import { skyMap } from "./sky.js";
import { watchStatus } from "./status.js";

const ROWS = 150;
const POINTS = 600;
const matches = []; // newest last
const known = new Set();
const hidden = new Set();
const marks = new Map(); // of events, by name and revision
let events = [];
let paused = false;
let held = 0;
let seen = 0;

const survey = (alert) => alert.object_id !== null && alert.mag !== null;
const pathOf = (alert) => (survey(alert) ? objectPath(alert.object_id) : alertPath(alert.alert_id));
const nameOf = (alert) => alert.event_name ?? alert.object_id ?? alert.alert_id;

function note(alert) {
  const parts = [alert.mission ?? alert.messenger, alert.classification, alert.alert_type];
  if (alert.skymaps?.length) parts.push(`in ${alert.skymaps.map((map) => map.event).join(", ")}`);
  return parts.filter(Boolean).join(" · ");
}

const chip = (name) => el("span", { class: "chip" }, el("span", { class: `swatch ${filterShape(name)}`, style: { "--swatch": `var(${filterColour(name)})` } }), name);

function describe(mark) {
  if (mark.kind === "event") {
    return [el("b", {}, mark.label), mark.note];
  }
  const { alert, filter } = mark.match;
  const light = alert.mag === null ? note(alert) : `${alert.band ?? ""} = ${alert.mag.toFixed(2)}`;
  return [el("b", {}, nameOf(alert)), chip(filter), el("div", {}, [light, clockTime(alert.time)].filter(Boolean).join(" · "))];
}

const sky = skyMap(byId("sky"), describe);

function row(match, fresh) {
  const { alert, filter } = match;
  const [day, time] = clockTime(alert.time).split(" ");
  const made = el("tr", { class: fresh ? "fresh" : null, "data-filter": filter, "data-alert": alert.alert_id, hidden: hidden.has(filter) },
    el("td", { class: "num nowrap", style: { "text-align": "left" } }, time ? `${time} ` : "", el("span", { class: "quiet" }, day ?? "")),
    el("td", {}, chip(filter)),
    el("td", { class: "nowrap" }, el("a", { href: pathOf(alert) }, nameOf(alert))),
    el("td", {}, alert.stream),
    el("td", { class: "num" }, alert.mag === null ? "" : `${alert.band ?? ""} ${fixed(alert.mag, 2)}`),
    el("td", { class: "num" }, fixed(alert.ra, 4)),
    el("td", { class: "num" }, fixed(alert.dec, 4).replace("-", "−")),
    el("td", { class: "quiet" }, note(alert)));
  made.addEventListener("pointerenter", () => sky.pick(match.mark));
  made.addEventListener("focusin", () => sky.pick(match.mark));
  return made;
}

function redraw() {
  const points = matches.filter((match) => !hidden.has(match.filter)).slice(-POINTS).map((match) => match.mark);
  sky.show([...events, ...points]);
  const shown = matches.length;
  byId("match-count").textContent = shown ? `${count(shown)}${seen ? ` · ${count(seen)} new since you opened this page` : ""}` : "";
  byId("no-matches").parentElement.hidden = shown > 0;
  byId("pause").textContent = paused ? (held ? `Resume (${held})` : "Resume") : "Pause";
}

let due = false;
function soon() {
  if (due) return;
  due = true;
  setTimeout(() => { due = false; redraw(); legend(); }, 60);
}

function take(match, fresh) {
  const key = `${match.filter} ${match.alert.alert_id}`;
  if (known.has(key)) return;
  known.add(key);
  match.mark = { ra: match.alert.ra, dec: match.alert.dec, path: pathOf(match.alert), colour: filterColour(match.filter), shape: filterShape(match.filter), fresh: fresh ? performance.now() : null, match };
  matches.push(match);
  if (matches.length > 5000) {
    for (const old of matches.splice(0, 1000)) known.delete(`${old.filter} ${old.alert.alert_id}`);
  }
  if (fresh) seen += 1;
  if (fresh && match.alert.event_name) setTimeout(loadEvents, 400);
  if (paused) held += 1;
  else {
    const table = byId("matches");
    table.prepend(row(match, fresh));
    while (table.rows.length > ROWS) table.lastElementChild.remove();
  }
  soon();
}

function legend() {
  const counts = new Map();
  for (const { filter } of matches) counts.set(filter, (counts.get(filter) ?? 0) + 1);
  const names = [...counts.keys()].sort();
  const list = byId("legend");
  if (list.children.length !== names.length) {
    list.replaceChildren(...names.map((name) => {
      const button = el("button", { type: "button", "aria-pressed": String(!hidden.has(name)), "data-name": name }, chip(name), el("span", { class: "num quiet" }));
      button.addEventListener("click", () => toggle(name, button));
      return el("li", {}, button);
    }));
  }
  for (const button of list.querySelectorAll("button")) button.lastElementChild.textContent = count(counts.get(button.dataset.name));
}

function toggle(name, button) {
  if (hidden.has(name)) hidden.delete(name); else hidden.add(name);
  button.setAttribute("aria-pressed", String(!hidden.has(name)));
  for (const item of byId("matches").rows) item.hidden = hidden.has(item.dataset.filter);
  redraw();
}

function eventRow(event, mark) {
  const name = el("span", { class: "chip" }, el("span", { class: "swatch diamond", style: { "--swatch": `var(${eventColour(event.messenger)})` } }), el("a", { href: eventPath(event.name) }, event.name));
  const state = `${event.state.replace("_", " ")}${event.test ? " · test" : ""}`;
  return el("tr", {}, el("td", {}, name, el("div", { class: "quiet" }, el("span", { class: event.retracted ? "warned" : null }, state), mark.note ? ` · ${mark.note}` : "")), el("td", { class: "num quiet" }, clockTime(event.time).slice(5, 16)));
}

async function loadEvents() {
  let page;
  try { page = await get(api("events?limit=15&real=true")); } catch { return; }
  const shown = await Promise.all(page.items.map(async (event) => {
    const key = `${event.name} ${event.revision}`;
    if (!marks.has(key)) marks.set(key, await eventMark(event));
    return [event, marks.get(key)];
  }));
  byId("no-events").hidden = shown.length > 0;
  byId("events").replaceChildren(...shown.map(([event, mark]) => eventRow(event, mark)));
  events = shown.filter(([event]) => !event.retracted).map(([, mark]) => mark).reverse();
  redraw();
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  if (!paused) {
    held = 0;
    byId("matches").replaceChildren(...matches.slice(-ROWS).reverse().map((match) => row(match, false)));
  }
  redraw();
});

watchStatus();
// Colours first; matches come without them all the same.
get(api("filters")).then((page) => rankFilters(page.items.map((filter) => filter.name))).catch(() => {}).finally(() => watchMatches(take));
loadEvents();
setInterval(loadEvents, 30000);
