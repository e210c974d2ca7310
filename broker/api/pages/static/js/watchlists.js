// Watchlists and regions: what there is, and a list sent.

import { api, byId, clockTime, count, el, eventPath, get, percent, sendFile } from "./common.js";
import { failed } from "./details.js";
import { sortedTable } from "./table.js";

const form = byId("send");
const path = (kind, name, more = "") => api(`${kind}/${encodeURIComponent(name)}${more}`);
const when = (iso) => el("span", { class: "num nowrap quiet" }, clockTime(iso));
const lists = sortedTable(byId("lists"), [
  { title: "Name", value: (one) => one.name, cell: (one) => el("code", {}, one.name) },
  { title: "Description", value: (one) => one.description, cell: (one) => one.description },
  { title: "Targets", num: true, down: true, value: (one) => one.newest.targets, cell: (one) => count(one.newest.targets) },
  { title: "Radius", num: true, value: (one) => one.newest.radius, cell: (one) => `${one.newest.radius}″` },
  { title: "Version", num: true, value: (one) => one.newest.version, cell: (one) => count(one.newest.version) },
  { title: "Seen by", spare: true, value: (one) => (one.visibility === "public" ? "" : one.visibility), cell: (one) => one.visibility },
  { title: "Who", spare: true, value: (one) => one.newest.who, cell: (one) => one.newest.who },
  { title: "When (UTC)", down: true, value: (one) => one.newest.created, cell: (one) => when(one.newest.created) },
  { title: "", cell: (one) => el("a", { href: path("watchlists", one.name, "/targets?format=csv"), download: `${one.name}.csv`, "aria-label": `${one.name} as CSV` }, "CSV") },
], (one) => ({ "data-list": one.name }));
const regions = sortedTable(byId("regions"), [
  { title: "Name", value: (one) => one.name, cell: (one) => el("code", {}, one.name) },
  { title: "Description", value: (one) => one.description, cell: (one) => one.description },
  { title: "What", cell: (one) => (one.event_name ? el("span", {}, `${percent(one.level)} region of `, el("a", { href: eventPath(one.event_name) }, one.event_name)) : `${percent(one.newest?.fraction)} of the sky`) },
  { title: "Note", spare: true, value: (one) => one.warning, cell: (one) => el("span", { class: "warned" }, one.warning) },
  { title: "When (UTC)", down: true, value: (one) => (one.newest ?? one).created, cell: (one) => when((one.newest ?? one).created) },
], (one) => ({ "data-region": one.name }));

async function show() {
  const [targets, areas] = await Promise.all([get(api("watchlists")), get(api("regions"))]);
  lists.show(targets.items);
  byId("lists").hidden = targets.items.length === 0;
  byId("no-lists").hidden = targets.items.length > 0;
  regions.show(areas.items);
  byId("regions-panel").hidden = areas.items.length === 0;
}

/** Send the file: as a list of its own, or in the place of what one of that name has. */
async function send(replace) {
  const values = new FormData(form);
  const name = values.get("name");
  const query = new URLSearchParams([...values].filter(([key, value]) => key !== "file" && value && !(replace && key !== "radius")));
  byId("refused").textContent = "";
  byId("replace").hidden = true;
  byId("said").textContent = "Sending…";
  byId("go").disabled = true;
  try {
    const taken = await (replace ? sendFile("PUT", `${path("watchlists", name)}?${query}`, values.get("file")) : sendFile("POST", `${api("watchlists")}?${query}`, values.get("file")));
    const ignored = taken.ignored.length ? ` Columns not kept: ${taken.ignored.join(", ")}.` : "";
    byId("said").textContent = `${taken.name}: version ${taken.newest.version}, ${count(taken.newest.targets)} targets.${ignored}`;
    form.reset();
    await show();
  } catch (error) {
    byId("said").textContent = "";
    byId("refused").textContent = error.message;
    byId("replace").hidden = replace || error.status !== 409;
  } finally {
    byId("go").disabled = false;
  }
}

form.addEventListener("submit", (event) => { event.preventDefault(); send(false); });
byId("replace").addEventListener("click", () => send(true));
byId("go").disabled = false;
show().catch(failed);
