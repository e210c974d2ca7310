// Counts as bars, drawn as SVG: one bar a night, or a bin of magnitudes.

import { count, el } from "./common.js";

const [WIDTH, HEIGHT] = [400, 190];
const BOX = { left: 52, right: 10, top: 12, bottom: 40 };
const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A round number not below `value`. */
function roof(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((factor) => factor * size).find((one) => one >= value);
}

/**
 * @param {HTMLElement} box
 * @param {{label: string, value: number, hint: string}[]} bars
 * @param {{title: string, x: string, y: string}} said name of the plot and of its axes
 */
export function drawBars(box, bars, said) {
  if (!bars.length) {
    box.replaceChildren(el("p", { class: "empty" }, "Nothing to draw."));
    return;
  }
  const most = roof(Math.max(...bars.map((bar) => bar.value)));
  const [right, bottom] = [WIDTH - BOX.right, HEIGHT - BOX.bottom];
  const step = (right - BOX.left) / bars.length;
  const y = (value) => bottom - (value / most) * (bottom - BOX.top);
  const root = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${said.title}: ${bars.map((bar) => bar.hint).slice(0, 40).join("; ")}` });
  for (const value of new Set([0, most / 2, most])) {
    root.append(svg("line", { class: "tick", x1: BOX.left, x2: right, y1: y(value), y2: y(value) }));
    root.append(svg("text", { x: BOX.left - 8, y: y(value) + 4, "text-anchor": "end" }, count(value)));
  }
  const every = Math.ceil(bars.length / 7);
  bars.forEach((bar, number) => {
    const x = BOX.left + number * step;
    const made = svg("rect", { class: "bar", x: x + Math.min(2, step * 0.1), width: Math.max(step - Math.min(4, step * 0.2), 0.5), y: y(bar.value), height: bottom - y(bar.value), "data-value": bar.value });
    made.append(svg("title", {}, bar.hint));
    root.append(made);
    if (number % every === 0) root.append(svg("text", { x: x + step / 2, y: bottom + 15, "text-anchor": "middle" }, bar.label));
  });
  root.append(svg("line", { class: "axis", x1: BOX.left, x2: right, y1: bottom, y2: bottom }));
  root.append(svg("text", { x: (BOX.left + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, said.x));
  root.append(svg("text", { transform: `translate(13 ${(BOX.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, said.y));
  box.replaceChildren(root);
}
