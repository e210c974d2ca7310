// What two texts differ in, line by line, and in lines that were changed word by word.

import { el } from "./common.js";

const MOST = 4_000_000; // pairs that are compared; beyond, all counts as changed
const AROUND = 3; // lines shown around a change

/** Stretches of two lists: ["same"|"gone"|"new", items]. */
function compare(one, other) {
  let front = 0;
  while (front < one.length && front < other.length && one[front] === other[front]) front += 1;
  let back = 0;
  while (back < one.length - front && back < other.length - front && one[one.length - 1 - back] === other[other.length - 1 - back]) back += 1;
  const [a, b] = [one.slice(front, one.length - back), other.slice(front, other.length - back)];
  const steps = one.slice(0, front).map((item) => ["same", item]);
  if (a.length * b.length > MOST) steps.push(...a.map((item) => ["gone", item]), ...b.map((item) => ["new", item]));
  else steps.push(...longest(a, b));
  return [...steps, ...one.slice(one.length - back).map((item) => ["same", item])];
}

/** Steps from one list to the other that keep as many items as can be. */
function longest(a, b) {
  const width = b.length + 1;
  const kept = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) kept[i * width + j] = a[i] === b[j] ? kept[(i + 1) * width + j + 1] + 1 : Math.max(kept[(i + 1) * width + j], kept[i * width + j + 1]);
  }
  const steps = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { steps.push(["same", a[i]]); i += 1; j += 1; }
    else if (j >= b.length || (i < a.length && kept[(i + 1) * width + j] >= kept[i * width + j + 1])) { steps.push(["gone", a[i]]); i += 1; }
    else { steps.push(["new", b[j]]); j += 1; }
  }
  return steps;
}

const words = (line) => line.match(/[\w.]+|\s+|[^\w\s]/g) ?? [];

function row(kind, ...parts) {
  const [sign, said] = { same: [" ", ""], gone: ["−", "left out: "], new: ["+", "new: "] }[kind];
  return el("div", { class: `d-${kind}` }, el("span", { class: "sign", "aria-hidden": "true" }, sign), el("span", { class: "hidden" }, said), ...parts);
}

/** A changed line, before and after, with the words that changed marked. */
function changed(before, after) {
  const steps = compare(words(before), words(after));
  const side = (kind) => {
    const runs = []; // neighbours that changed together are marked as one
    for (const [one, word] of steps.filter(([each]) => each === "same" || each === kind)) {
      if (runs.at(-1)?.[0] === one) runs.at(-1)[1] += word;
      else runs.push([one, word]);
    }
    return runs.map(([one, text]) => (one === kind ? el("mark", {}, text) : text));
  };
  return [row("gone", ...side("gone")), row("new", ...side("new"))];
}

/** Draw what `after` changes of `before` into `box`. */
export function showDifference(box, before, after) {
  const steps = compare(before.split("\n"), after.split("\n"));
  const rows = [];
  for (let at = 0; at < steps.length;) {
    const [kind, line] = steps[at];
    if (kind === "same") {
      const near = steps.slice(Math.max(0, at - AROUND), at + AROUND + 1).some(([other]) => other !== "same");
      if (near) rows.push(row("same", line || "\u200b"));
      else if (rows.at(-1)?.className !== "d-gap") rows.push(el("div", { class: "d-gap" }, "⋯"));
      at += 1;
      continue;
    }
    let end = at;
    while (end < steps.length && steps[end][0] !== "same") end += 1;
    const run = steps.slice(at, end);
    const [gone, fresh] = ["gone", "new"].map((wanted) => run.filter(([one]) => one === wanted).map(([, text]) => text));
    const pairs = gone.length === fresh.length ? gone.length : 0;
    for (let number = 0; number < pairs; number += 1) rows.push(...changed(gone[number], fresh[number]));
    if (!pairs) rows.push(...gone.map((text) => row("gone", text || "\u200b")), ...fresh.map((text) => row("new", text || "\u200b")));
    at = end;
  }
  box.replaceChildren(...(before === after ? [el("p", { class: "empty" }, "They say the same.")] : rows));
}
