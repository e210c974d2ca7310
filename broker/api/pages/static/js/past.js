// A filter on the past: how many alerts pass each clause, and what it would have picked, each alert held against what was known then.

import { alertPath, api, byId, clockTime, count, el, filterPath, fixed, get, percent, send } from "./common.js";
import { drawBars } from "./bars.js";

const POLL = 500; // milliseconds between two looks at a backtest
const form = byId("window");

const bar = (value, whole, kind) => {
  const made = el("div", { class: `part ${kind}` }, el("i", {}), el("span", { class: "num" }, count(value)), el("span", { class: "quiet num" }, whole ? percent(value / whole) : ""));
  made.firstChild.style.setProperty("--part", `${whole ? (100 * value) / whole : 0}%`);
  return made;
};

/** Draw how many alerts each clause lets through, alone and in order. */
export function showFunnel(told) {
  byId("funnel-said").textContent = `${count(told.matched)} of ${count(told.evaluated)} alerts pass.`;
  byId("funnel").replaceChildren(...told.clauses.map((clause) => el("tr", {},
    el("td", { class: "mono clause" }, clause.text), el("td", {}, bar(clause.passes_alone, told.evaluated, "alone")), el("td", {}, bar(clause.passes_in_order, told.evaluated, "order")))));
  byId("funnel-table").hidden = told.clauses.length === 0;
}

function card(sample) {
  return el("li", { class: "card" }, el("a", { href: alertPath(sample.alert_id) }, sample.object_id ?? sample.alert_id),
    el("div", { class: "num" }, sample.mag === null ? sample.stream : `${sample.stream} · ${sample.band ?? ""} ${fixed(sample.mag, 2)}`),
    el("div", { class: "num quiet" }, clockTime(sample.time)), el("div", { class: "num quiet" }, sample.ra === null ? "no place" : `${fixed(sample.ra, 4)} ${fixed(sample.dec, 4).replace("-", "−")}`));
}

/** Draw what a backtest has found. */
export function showBacktest(result, id) {
  const facts = [["Picked", count(result.matched)], ["Of alerts seen", count(result.evaluated)], ["Share", percent(result.share)], ["Expected a night", result.per_night === null ? "" : String(Number(result.per_night.toPrecision(3)))]];
  byId("expected").replaceChildren(...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  drawBars(byId("nights"), result.nights.map((one) => ({ label: one.night.slice(5), value: one.matched, hint: `night of ${one.night}: ${count(one.matched)} of ${count(one.evaluated)}` })), { title: "Picked by night", x: "Night, from noon to noon UTC", y: "Picked" });
  drawBars(byId("magnitudes"), result.magnitudes.map((one) => ({ label: fixed(one.low, 1), value: one.matched, hint: `magnitude ${fixed(one.low, 1)} to ${fixed(one.high, 1)}: ${count(one.matched)}` })), { title: "Picked by magnitude", x: "Magnitude", y: "Picked" });
  const overlap = Object.entries(result.overlap);
  byId("overlap").replaceChildren(...overlap.map(([name, number]) => el("tr", {}, el("td", {}, el("a", { href: filterPath(name) }, name)), el("td", {}, bar(number, result.matched, "order")))));
  byId("overlap-table").hidden = overlap.length === 0;
  byId("no-overlap").hidden = overlap.length > 0;
  byId("samples").replaceChildren(...result.samples.map(card));
  byId("no-samples").hidden = result.samples.length > 0;
  byId("warnings").replaceChildren(...[result.refused, ...result.warnings].filter(Boolean).map((warning) => el("li", {}, warning)));
  byId("plot").href = api(`backtests/${encodeURIComponent(id)}/plot.png`);
  byId("backtest").hidden = false;
}

/** What is chosen to look at. */
const chosen = () => Object.fromEntries([...new FormData(form)].filter(([, value]) => value.trim()).map(([name, value]) => [name, value.trim()]));

/** Look at a backtest until it has ended. */
async function follow(id, current) {
  const progress = byId("progress");
  for (;;) {
    const found = await get(api(`backtests/${encodeURIComponent(id)}`));
    if (!current()) return;
    if (found.state === "done") { showBacktest(found.result, id); return; }
    if (found.state === "failed") throw new Error(found.error);
    if (found.total) { progress.max = found.total; progress.value = found.done; } else progress.removeAttribute("value");
    byId("progress-said").textContent = found.total ? percent(found.done / found.total) : "starting";
    await new Promise((done) => { setTimeout(done, POLL); });
  }
}

/**
 * @param {() => string} text of the filter, as it stands in the editor
 */
export function watchPast(text) {
  let turn = 0;

  /** One thing at a time: the last asked for. */
  async function run(job, said) {
    const mine = (turn += 1);
    const current = () => mine === turn;
    byId("past-failed").textContent = "";
    byId("running").hidden = false;
    byId("progress").removeAttribute("value");
    byId("progress-said").textContent = said;
    try {
      await job(current);
    } catch (error) {
      if (current()) byId("past-failed").textContent = error.message;
    } finally {
      if (current()) byId("running").hidden = true;
    }
  }

  const backtest = () => run(async (current) => {
    byId("backtest").hidden = true;
    const { id } = await send("POST", api("backtests"), { text: text(), ...chosen() });
    const query = new URLSearchParams(location.search);
    query.set("backtest", id);
    history.replaceState(null, "", `${location.pathname}?${query}`);
    await follow(id, current);
  }, "starting");

  byId("run-funnel").addEventListener("click", () => run(async (current) => {
    const told = await send("POST", api("filters/explain"), { text: text(), ...chosen() });
    if (current()) showFunnel(told);
  }, "counting"));
  byId("run-backtest").addEventListener("click", backtest);
  form.addEventListener("submit", (event) => event.preventDefault());
  const before = new URLSearchParams(location.search).get("backtest");
  if (before) run((current) => follow(before, current), "reading");
}
