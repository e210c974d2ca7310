// A light curve as SVG: detections filled, forced photometry hollow, limits as carets, one colour and one shape a band.

import { el, fixed } from "./common.js";

const [WIDTH, HEIGHT] = [860, 380];
const BOX = { left: 58, right: 14, top: 14, bottom: 44 };
const SVG = "http://www.w3.org/2000/svg";
const KNOWN = ["u", "g", "r", "i", "z", "y"];
const SHAPES = { u: "star", g: "circle", r: "square", i: "diamond", z: "triangle", y: "hexagon" };

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const paint = (band) => `var(--band-${KNOWN.includes(band) ? band : "other"})`;

function ticks(low, high, wanted) {
  const raw = (high - low) / wanted;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((value) => value >= raw);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push([value, value.toFixed(digits)]);
  return found;
}

const polygon = (x, y, radius, corners, turn = 0) => Array.from({ length: corners }, (_, index) => {
  const angle = turn + (2 * Math.PI * index) / corners;
  return `${(x + radius * Math.sin(angle)).toFixed(1)},${(y - radius * Math.cos(angle)).toFixed(1)}`;
}).join(" ");

function shape(band, x, y, attributes) {
  switch (SHAPES[band] ?? "circle") {
    case "square": return svg("rect", { x: x - 3.8, y: y - 3.8, width: 7.6, height: 7.6, ...attributes });
    case "diamond": return svg("polygon", { points: polygon(x, y, 5.4, 4), ...attributes });
    case "triangle": return svg("polygon", { points: polygon(x, y, 5.4, 3), ...attributes });
    case "hexagon": return svg("polygon", { points: polygon(x, y, 4.8, 6), ...attributes });
    case "star": return svg("polygon", { points: polygon(x, y, 5.2, 5), ...attributes });
    default: return svg("circle", { cx: x, cy: y, r: 4.2, ...attributes });
  }
}

export const mjdToIso = (mjd) => new Date((mjd - 40587) * 86400000).toISOString().slice(0, 19).replace("T", " ");

function words(point) {
  const size = point.kind === "limit" ? `> ${fixed(point.mag, 2)}` : `${fixed(point.mag, 3)}${point.mag_err === null ? "" : ` ± ${fixed(point.mag_err, 3)}`}`;
  return `${point.band ?? "?"} ${size} · ${mjdToIso(point.time)} UTC · MJD ${fixed(point.time, 5)}${point.kind === "forced" ? " · forced" : ""}`;
}

function limits(points) {
  const times = points.map((point) => point.time);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const pad = Math.max((last - first) * 0.04, 0.25);
  const spread = points.flatMap((point) => {
    const error = point.kind === "limit" ? 0 : Math.min(point.mag_err ?? 0, 1);
    return [point.mag - error, point.mag + error];
  });
  const [bright, faint] = [Math.min(...spread), Math.max(...spread)];
  const room = Math.max((faint - bright) * 0.07, 0.1);
  return { x: [first - pad, last + pad], y: [bright - room, faint + room] };
}

function marker(point, x, y, highlighted) {
  const colour = paint(point.band);
  const group = svg("g", { class: "point", tabindex: 0, role: "img", "aria-label": words(point), "data-kind": point.kind, "data-band": point.band ?? "" });
  group.append(svg("title", {}, words(point)));
  const [px, py] = [x(point.time), y(point.mag)];
  if (point.kind === "limit") {
    group.append(svg("path", { d: `M${px - 4.5} ${py - 2.5}L${px} ${py + 3}L${px + 4.5} ${py - 2.5}`, fill: "none", stroke: colour, "stroke-width": 1.5, opacity: 0.75 }));
    return group;
  }
  if (point.mag_err) {
    const [top, bottom] = [y(point.mag - Math.min(point.mag_err, 1)), y(point.mag + Math.min(point.mag_err, 1))];
    group.append(svg("path", { d: `M${px} ${top}V${bottom}M${px - 3} ${top}h6M${px - 3} ${bottom}h6`, stroke: colour, "stroke-width": 1.2, fill: "none", opacity: 0.8 }));
  }
  if (highlighted) group.append(svg("circle", { cx: px, cy: py, r: 9, fill: "none", stroke: "var(--text)", "stroke-width": 1.5 }));
  group.append(shape(point.band, px, py, { fill: point.kind === "forced" ? "var(--panel)" : colour, stroke: point.kind === "forced" ? colour : "var(--panel)", "stroke-width": point.kind === "forced" ? 1.6 : 0.8 }));
  return group;
}

function frame(root, range, x, y) {
  const [right, bottom] = [WIDTH - BOX.right, HEIGHT - BOX.bottom];
  for (const [value, label] of ticks(...range.y, 6)) {
    root.append(svg("line", { class: "tick", x1: BOX.left, x2: right, y1: y(value), y2: y(value) }));
    root.append(svg("text", { x: BOX.left - 8, y: y(value) + 4, "text-anchor": "end" }, label));
  }
  for (const [value, label] of ticks(...range.x, 7)) {
    root.append(svg("line", { class: "tick", x1: x(value), x2: x(value), y1: BOX.top, y2: bottom }));
    root.append(svg("text", { x: x(value), y: bottom + 17, "text-anchor": "middle" }, label));
  }
  root.append(svg("path", { class: "axis", d: `M${BOX.left} ${BOX.top}V${bottom}H${right}`, fill: "none" }));
  root.append(svg("text", { x: (BOX.left + right) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, "MJD (UTC)"));
  root.append(svg("text", { transform: `translate(14 ${(BOX.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, "Magnitude"));
}

function legend(points) {
  const bands = [...new Set(points.map((point) => point.band ?? "?"))].sort((one, other) => (KNOWN.indexOf(one) + 99) % 100 - (KNOWN.indexOf(other) + 99) % 100);
  const list = el("ul", { class: "legend", "aria-label": "Bands" });
  for (const band of bands) {
    const icon = svg("svg", { viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" }, shape(band, 7, 7, { fill: paint(band) }));
    list.append(el("li", { class: "chip" }, icon, `${band} (${points.filter((point) => (point.band ?? "?") === band).length})`));
  }
  if (points.some((point) => point.kind === "limit")) list.append(el("li", { class: "quiet" }, "∨ upper limit"));
  if (points.some((point) => point.kind === "forced")) list.append(el("li", { class: "quiet" }, "hollow: forced photometry"));
  return list;
}

function table(points) {
  const rows = points.map((point) => el("tr", {}, el("td", { class: "num" }, fixed(point.time, 5)), el("td", {}, mjdToIso(point.time)), el("td", {}, point.band ?? ""),
    el("td", { class: "num" }, `${point.kind === "limit" ? "> " : ""}${fixed(point.mag, 3)}`), el("td", { class: "num" }, fixed(point.mag_err, 3)), el("td", {}, point.kind)));
  const head = el("tr", {}, ...["MJD", "UTC", "Band", "Mag", "Error", "Kind"].map((name) => el("th", { scope: "col" }, name)));
  return el("details", {}, el("summary", {}, "As a table"), el("div", { class: "scroll tall" }, el("table", { class: "tight" }, el("thead", {}, head), el("tbody", {}, ...rows))));
}

/** Draw `points` into `box`; one at `marked` (MJD) is ringed. */
export function lightCurve(box, points, marked = null) {
  const drawn = points.filter((point) => Number.isFinite(point.time) && Number.isFinite(point.mag));
  if (!drawn.length) {
    box.replaceChildren(el("p", { class: "empty" }, "No photometry in our packets of this object."));
    return;
  }
  const range = limits(drawn);
  const x = (time) => BOX.left + ((time - range.x[0]) / (range.x[1] - range.x[0])) * (WIDTH - BOX.left - BOX.right);
  const y = (mag) => BOX.top + ((mag - range.y[0]) / (range.y[1] - range.y[0])) * (HEIGHT - BOX.top - BOX.bottom);
  const detections = drawn.filter((point) => point.kind !== "limit").length;
  const label = `Light curve: ${detections} detections and ${drawn.length - detections} limits, brightest ${fixed(Math.min(...drawn.filter((point) => point.kind !== "limit").map((point) => point.mag)), 2)}`;
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group", "aria-label": label });
  frame(root, range, x, y);
  const layers = ["limit", "forced", "detection"];
  for (const point of drawn.toSorted((one, other) => layers.indexOf(one.kind) - layers.indexOf(other.kind))) {
    const highlighted = marked !== null && point.kind === "detection" && Math.abs(point.time - marked) < 2e-5;
    root.append(marker(point, x, y, highlighted));
  }
  box.replaceChildren(legend(drawn), root, table(drawn));
}
