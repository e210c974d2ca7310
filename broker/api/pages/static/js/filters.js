// The list of filters.

import { api, byId, clockTime, count, el, filterColour, filterPath, get, rankFilters } from "./common.js";
import { failed } from "./details.js";
import { sortedTable } from "./table.js";

const form = byId("choose");
const table = sortedTable(byId("filters"), [
  { title: "Filter", value: (one) => one.name, cell: (one) => el("span", { class: "chip" }, el("span", { class: "swatch", style: { "--swatch": `var(${filterColour(one.name)})` } }), el("a", { href: filterPath(one.name) }, one.name)) },
  { title: "State", value: (one) => one.words, cell: (one) => el("span", { class: "nowrap" }, one.words) },
  { title: "Streams", value: (one) => one.streams.join(", "), cell: (one) => one.streams.join(", ") },
  { title: "Description", value: (one) => one.description, cell: (one) => el("span", { class: "told" }, one.description) },
  { title: "Matches", num: true, down: true, value: (one) => one.matches, cell: (one) => count(one.matches) },
  { title: "Seen by", spare: true, value: (one) => (one.visibility === "public" ? "" : one.visibility), cell: (one) => (one.visibility === "team" ? `team ${one.team ?? ""}` : one.visibility) },
  { title: "Who", value: (one) => one.author, cell: (one) => one.author },
  { title: "When (UTC)", down: true, value: (one) => one.created, cell: (one) => el("span", { class: "num nowrap quiet" }, clockTime(one.created)) },
], (one) => ({ "data-filter": one.name }));
let found = [];

/** The live version of each filter, else the newest; with what waits behind it. */
function gathered(versions) {
  const names = new Map();
  for (const one of versions) names.set(one.name, [...(names.get(one.name) ?? []), one]);
  return [...names.values()].map((all) => {
    const newest = all.reduce((best, one) => (Number(one.version) > Number(best.version) ? one : best));
    const shown = all.find((one) => one.state === "live") ?? newest;
    const waiting = shown !== newest && newest.state !== "retired" ? ` · ${newest.version} is ${newest.state}` : "";
    return { ...shown, words: `${shown.state}${shown.state === "live" && !shown.active ? ", not active" : ""}${waiting}` };
  });
}

function show() {
  const every = form.elements.namedItem("every").checked;
  const word = form.elements.namedItem("word").value.trim().toLowerCase();
  const shown = found.filter((one) => (every || one.state === "live") && [one.name, one.description, ...one.streams].some((text) => text.toLowerCase().includes(word)));
  table.show(shown);
  const live = found.filter((one) => one.state === "live").length;
  byId("filter-count").textContent = `${count(live)} live, ${count(found.length - live)} not`;
  byId("filters").hidden = shown.length === 0;
  byId("no-filters").hidden = shown.length > 0;
}

form.addEventListener("input", show);
form.addEventListener("submit", (event) => event.preventDefault());
get(api("filters?state=all")).then((answer) => {
  found = gathered(answer.items).toSorted((one, other) => one.name.localeCompare(other.name, "en"));
  rankFilters(found.filter((one) => one.state === "live").map((one) => one.name));
  show();
}).catch(failed);
