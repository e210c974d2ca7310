// Who told what of an event and who looked for it, after how long, in what light: a timeline; and what was covered of its map.

import { alertPath, area, byId, clockTime, count, el, get, percent, signedTime } from "./common.js";
import { address } from "./details.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 760;
const ROW = 22;
const BOX = { left: 150, right: 16, top: 8, bottom: 42 };
const MOST = 16; // lanes: those who came first
const COLOURS = { radio: "--c6", infrared: "--band-i", optical: "--c2", ultraviolet: "--c0", "x-ray": "--c5", "gamma-ray": "--c3", gw: "--c1", neutrino: "--c7" };
const SAID = { gw: "gravitational waves", neutrino: "neutrinos" };
const KINDS = { notice: "notice", circular: "circular", alert: "alert in the map", observation: "observation" };
const TICKS = [[0, "0"], [10, "10 s"], [60, "1 min"], [600, "10 min"], [3600, "1 h"], [21600, "6 h"], [86400, "1 d"], [604800, "1 wk"], [2592000, "30 d"], [31557600, "1 yr"], [315576000, "10 yr"]];

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const scaled = (dt) => Math.asinh(dt / 10);
const paint = (step) => `var(${COLOURS[step.spectrum.regime] ?? "--quiet"})`;
const light = (step) => [step.band, SAID[step.spectrum.regime] ?? step.spectrum.regime].filter(Boolean).join(", ");

/** Limits of a band as people say them. */
function limits({ min, max, unit }) {
  return min === null ? "" : `${Number(min.toPrecision(4))}–${Number(max.toPrecision(4))} ${unit}`;
}

function told(step) {
  const many = step.count > 1 ? `${count(step.count)} ${step.what}s` : KINDS[step.what];
  const state = step.status === "planned" ? "planned " : "";
  return [step.who, `${state}${many}`, light(step), limits(step.spectrum), signedTime(step.dt), step.title].filter(Boolean).join(" · ");
}

function mark(step, x, y) {
  const fill = step.status === "planned" ? "var(--panel)" : paint(step);
  const looks = { class: "step", fill, stroke: paint(step), "stroke-width": 1.6, "data-what": step.what };
  if (step.what === "notice") return svg("path", { ...looks, d: `M${x} ${y - 6}L${x + 5.5} ${y}L${x} ${y + 6}L${x - 5.5} ${y}Z` });
  if (step.what === "circular") return svg("rect", { ...looks, x: x - 4, y: y - 4, width: 8, height: 8 });
  if (step.what === "observation") return svg("path", { ...looks, d: `M${x} ${y - 5.5}L${x + 5.5} ${y + 4}L${x - 5.5} ${y + 4}Z` });
  return svg("circle", { ...looks, cx: x, cy: y, r: 4.5 });
}

function placed(step, x, y) {
  const group = svg("g", {});
  const last = step.dt + (Date.parse(step.until) - Date.parse(step.time)) / 1000;
  const [from, to] = [x(step.dt), x(last)];
  if (to - from > 1) group.append(svg("line", { x1: from, x2: to, y1: y, y2: y, stroke: paint(step), "stroke-width": 3, "stroke-opacity": 0.5 }));
  group.append(mark(step, from, y), svg("title", {}, told(step)));
  return step.alert_id === null ? group : svg("a", { href: alertPath(step.alert_id), "aria-label": told(step) }, group);
}

function legend(steps) {
  const list = el("ul", { class: "legend", "aria-label": "What the timeline shows" });
  const icon = (step) => svg("svg", { viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" }, mark(step, 7, 7));
  const blank = { spectrum: { regime: null }, status: null };
  for (const what of Object.keys(KINDS)) if (steps.some((step) => step.what === what)) list.append(el("li", { class: "chip" }, icon({ ...blank, what }), KINDS[what]));
  for (const regime of Object.keys(COLOURS)) {
    if (steps.some((step) => step.spectrum.regime === regime)) list.append(el("li", { class: "chip" }, el("span", { class: "swatch", style: { "--swatch": `var(${COLOURS[regime]})` } }), SAID[regime] ?? regime));
  }
  if (steps.some((step) => step.status === "planned")) list.append(el("li", { class: "quiet" }, "hollow: planned"));
  return list;
}

function timeline(box, steps) {
  const dated = steps.filter((step) => step.dt !== null);
  const lanes = [...new Set(dated.map((step) => step.who))];
  const shown = dated.filter((step) => lanes.indexOf(step.who) < MOST);
  if (!shown.length) return box.replaceChildren();
  const rows = lanes.slice(0, MOST);
  const height = BOX.top + BOX.bottom + ROW * rows.length;
  const lasts = shown.map((step) => step.dt + (Date.parse(step.until) - Date.parse(step.time)) / 1000);
  const [low, high] = [Math.min(0, ...shown.map((step) => scaled(step.dt))), Math.max(scaled(60), ...lasts.map(scaled)) * 1.02];
  const x = (dt) => BOX.left + ((scaled(dt) - low) / (high - low)) * (WIDTH - BOX.left - BOX.right);
  const label = `Timeline of ${shown.length} steps by ${rows.length} of ${lanes.length}: ${shown.slice(0, 12).map(told).join("; ")}`;
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "group", "aria-label": label });
  const bottom = height - BOX.bottom;
  let right = -Infinity;
  for (const [dt, name] of TICKS) {
    const at = x(dt);
    if (scaled(dt) > high || at - right < 44) continue;
    right = at;
    root.append(svg("line", { class: "tick", x1: at, x2: at, y1: BOX.top, y2: bottom }), svg("text", { x: at, y: bottom + 16, "text-anchor": "middle" }, name));
  }
  rows.forEach((who, row) => {
    const y = BOX.top + ROW * (row + 0.5);
    const name = who.length > 22 ? `${who.slice(0, 21)}…` : who;
    root.append(svg("line", { class: "tick", x1: BOX.left, x2: WIDTH - BOX.right, y1: y, y2: y }), svg("text", { x: BOX.left - 10, y: y + 4, "text-anchor": "end" }, svg("title", {}, who), name));
    for (const step of shown.filter((one) => one.who === who)) root.append(placed(step, x, y));
  });
  root.append(svg("line", { class: "axis", x1: BOX.left, x2: WIDTH - BOX.right, y1: bottom, y2: bottom }));
  root.append(svg("text", { x: (BOX.left + WIDTH - BOX.right) / 2, y: height - 8, "text-anchor": "middle" }, "After the event"));
  box.replaceChildren(legend(shown), root);
  if (lanes.length > MOST) box.append(el("p", { class: "quiet" }, `And ${lanes.length - MOST} who came later: the table has all.`));
}

function table(steps) {
  const head = ["When (UTC)", "After", "Who", "What", "Light", "Band"].map((name) => el("th", { scope: "col" }, name));
  const rows = steps.map((step) => {
    const what = `${step.status === "planned" ? "planned " : ""}${step.count > 1 ? `${count(step.count)} ${step.what}s` : step.what}`;
    return el("tr", {},
      el("td", { class: "num nowrap" }, clockTime(step.time)), el("td", { class: "num" }, signedTime(step.dt)), el("td", {}, step.who),
      el("td", { title: step.title }, step.alert_id === null ? what : el("a", { href: alertPath(step.alert_id) }, what)),
      el("td", {}, SAID[step.spectrum.regime] ?? step.spectrum.regime ?? ""), el("td", {}, [step.band, limits(step.spectrum)].filter(Boolean).join(" · ")));
  });
  byId("steps").replaceChildren(el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

const UNITS = { ab_mag: "mag (AB)", vega_mag: "mag (Vega)", flux_erg: "erg/cm²/s", flux_jy: "Jy" };
const deep = (one) => `${one.depth_unit.endsWith("_mag") ? one.depth.toFixed(1) : one.depth.toExponential(0)} ${UNITS[one.depth_unit]}`;

function covered(done, all) {
  byId("coverage-part").hidden = all.observations === 0;
  if (all.observations === 0) return;
  const part = (one) => (one.probability === null ? area(one.area) : `${percent(one.probability)}, ${area(one.area)}`);
  const more = all.observations > done.observations ? `; with what is planned ${part(all)}` : "";
  byId("coverage-note").textContent = `${done.observations ? `Together ${part(done)}` : "Nothing yet"}${more}. Overlaps count once.`;
  const row = (name, depth, one) => el("tr", {}, el("td", {}, name), el("td", { class: "num" }, depth), el("td", { class: "num" }, percent(one.probability)), el("td", { class: "num" }, area(one.area)), el("td", { class: "num" }, count(one.observations)));
  byId("coverage").replaceChildren(...done.bands.flatMap((band) => [row(band.band ?? "not told", "", band), ...band.depths.map((one) => row("", deep(one), one))]));
}

/** The panel; hidden where nobody has followed the event. */
export async function followUp(event) {
  const at = (what) => address("events", event.name, what);
  const [sequence, done, all] = await Promise.all([get(at("sequence")), get(at("coverage")), get(`${at("coverage")}?planned=true`)]);
  const followed = sequence.steps.some((step) => !step.own) || all.observations > 0;
  byId("followup-panel").hidden = !followed;
  if (!followed) return;
  byId("followup-note").textContent = sequence.followed_after === null ? "" : `the first ${signedTime(sequence.followed_after).slice(1)} after the event`;
  timeline(byId("timeline"), sequence.steps);
  table(sequence.steps);
  covered(done, all);
}
