// Why, or why not: the filters that saw an alert, the clause each dropped it at, and the steps it took.

import { byId, clockTime, el, filterPath, get } from "./common.js";
import { address } from "./details.js";

const WORDS = {
  received: "Received", archived: "Bytes archived", frames: "Written to the frames", database: "Written to the database", crossmatch: "Found near a source of a catalogue",
  association: "Found in the map of an event", matched: "Picked", dropped: "Dropped", published: "Published", rescored: "Held against a map again", relayed: "Relayed", revision: "Another notice of the same id",
  claimed: "Its id was taken before", "dead-lettered": "Put among the dead letters",
};
const short = (value) => (value === null ? "null" : typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(6))) : typeof value === "object" ? JSON.stringify(value) : String(value));
const values = (named) => Object.entries(named ?? {}).map(([name, value]) => `${name} = ${short(value)}`).join(", ");

function verdict(step) {
  const picked = step.step === "matched";
  const why = picked ? "" : step.clause === null ? step.why : step.why === "unknown" ? "unknown, which is not enough" : step.why;
  return el("tr", { "data-filter": step.filter },
    el("td", {}, el("a", { href: filterPath(step.filter) }, step.filter), el("span", { class: "quiet num" }, ` ${step.version}`)),
    el("td", {}, el("span", { class: `state ${picked ? "on" : "off"}` }, picked ? "picked" : "dropped")),
    el("td", {}, step.clause ? el("code", { class: "clause" }, step.clause) : "", step.clause ? ": " : "", why, step.clause ? el("div", { class: "quiet num" }, values(step.value)) : ""));
}

function line(step) {
  const { step: kind, at, ...rest } = step;
  return el("li", {}, el("span", { class: "num quiet nowrap" }, at ? clockTime(at) : "at no noted time"), " ", el("b", {}, WORDS[kind] ?? kind), " ",
    el("span", { class: "quiet" }, Object.entries(rest).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${short(value)}`).join(" · ")));
}

/** Have the page ask for the way of an alert once somebody opens it: it takes longer than the rest. */
export function watchWhy(id) {
  const box = byId("why");
  let asked = false;
  box.addEventListener("toggle", async () => {
    if (asked) return;
    asked = true;
    try {
      const { steps } = await get(address("alerts", id, "trace"));
      const verdicts = steps.filter((step) => step.step === "matched" || step.step === "dropped");
      byId("verdicts").replaceChildren(...verdicts.map(verdict));
      byId("verdicts-table").hidden = verdicts.length === 0;
      byId("why-said").textContent = verdicts.length ? "" : "No live filter sees this stream.";
      byId("steps").replaceChildren(...steps.filter((step) => !verdicts.includes(step)).map(line));
      byId("steps-title").hidden = false;
    } catch (error) {
      asked = false;
      byId("why-said").textContent = error.message;
    }
  });
}
