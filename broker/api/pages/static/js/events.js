// The list of events.

import { api, area, byId, clockTime, count, el, eventColour, eventPath, fixed, get, oncePer } from "./common.js";
import { failed } from "./details.js";
import { sortedTable } from "./table.js";

const form = byId("choose");
const words = (event) => `${event.state.replace("_", " ")}${event.test ? " · test" : ""}`;
const table = sortedTable(byId("events"), [
  { title: "Event", value: (event) => event.name, cell: (event) => el("span", { class: "chip" }, el("span", { class: "swatch diamond", style: { "--swatch": `var(${eventColour(event.messenger)})` } }), el("a", { href: eventPath(event.name) }, event.name)) },
  { title: "Time (UTC)", value: (event) => event.time, cell: (event) => el("span", { class: "num nowrap" }, clockTime(event.time)) },
  { title: "State", value: words, cell: (event) => el("span", { class: event.retracted ? "warned" : "nowrap" }, words(event)) },
  { title: "Class", value: (event) => event.classification, cell: (event) => event.classification },
  { title: "Instrument", value: (event) => event.mission ?? event.stream, cell: (event) => [event.mission ?? event.stream, event.instrument].filter(Boolean).join(" · ") },
  { title: "90 % area", num: true, value: (event) => event.area90, cell: (event) => area(event.area90) },
  { title: "Mpc", num: true, hint: "Distance", value: (event) => event.distmean, cell: (event) => (event.distmean === null ? "" : `${fixed(event.distmean, 0)} ± ${fixed(event.diststd, 0)}`) },
  { title: "False alarms", num: true, value: (event) => event.far, cell: (event) => (event.far ? oncePer(event.far) : "") },
  { title: "Last heard of", value: (event) => event.updated, cell: (event) => el("span", { class: "num nowrap quiet" }, clockTime(event.updated)) },
], (event) => ({ "data-event": event.name }));
let found = [];
let next = null;
let asked = 0;

/** What is chosen, as parameters of the API; the address of the page has those that are not as they begin. */
function chosen() {
  const values = new FormData(form);
  const query = new URLSearchParams({ limit: "100" });
  if (!values.get("tests")) query.set("real", "true");
  for (const name of ["state", "messenger", "start", "end"]) if (values.get(name)) query.set(name, values.get(name));
  return query;
}

function remember() {
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
}

async function load(path, before) {
  const mine = (asked += 1);
  const page = await get(path);
  if (mine !== asked) return;
  found = [...before, ...page.items];
  next = page.next;
  table.show(found);
  byId("event-count").textContent = found.length ? `${count(found.length)}${next ? " of more" : ""}` : "";
  byId("events").hidden = found.length === 0;
  byId("no-events").hidden = found.length > 0;
  byId("more").hidden = next === null;
  byId("failed").classList.remove("on");
}

const first = () => load(api(`events?${chosen()}`), []).catch(failed);

for (const [name, value] of new URLSearchParams(location.search)) {
  const field = form.elements.namedItem(name);
  if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = true;
  else if (field) field.value = value;
}
form.addEventListener("change", () => { remember(); first(); });
form.addEventListener("submit", (event) => event.preventDefault());
byId("more").addEventListener("click", () => load(next, found).catch(failed));
first();
