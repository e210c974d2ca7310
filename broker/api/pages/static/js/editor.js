// An editor of filters: a text area, with what it says coloured underneath and faults underlined at their word.

import { el } from "./common.js";
import { coloured } from "./language.js";

/** Where two texts begin and end alike: how much at the front, and how much at the end. */
function alike(one, other) {
  const most = Math.min(one.length, other.length);
  let front = 0;
  while (front < most && one[front] === other[front]) front += 1;
  let back = 0;
  while (back < most - front && one[one.length - 1 - back] === other[other.length - 1 - back]) back += 1;
  return [front, back];
}

/** Marks as they are after an edit: those it touches are gone, those behind it have moved with the text. */
function moved(marks, before, after) {
  const [front, back] = alike(before, after);
  return marks.flatMap((mark) => {
    if (mark.end <= front && mark.end < before.length) return [mark];
    if (mark.start >= before.length - back) return [{ ...mark, start: mark.start + after.length - before.length, end: mark.end + after.length - before.length }];
    return [];
  });
}

/**
 * @param {HTMLTextAreaElement} area
 * @param {HTMLElement} under what lies beneath it
 * @param {Set<string>} functions names of those that can be called
 */
export function makeEditor(area, under, functions) {
  const listeners = [];
  let saved = area.value;
  let last = area.value;
  let marks = [];

  function draw() {
    const text = area.value;
    const stretches = coloured(text, functions);
    const cuts = [...new Set([0, text.length, ...stretches.flatMap((one) => [one.start, one.end]), ...marks.flatMap((one) => [one.start, one.end])])].sort((one, other) => one - other);
    let line = el("div", { class: "line" });
    const lines = [line];
    let next = 0;
    for (let number = 0; number + 1 < cuts.length; number += 1) {
      const [start, end] = [cuts[number], cuts[number + 1]];
      while (next < stretches.length && stretches[next].end <= start) next += 1;
      const kind = next < stretches.length && stretches[next].start <= start ? stretches[next].kind : "";
      const wrong = marks.some((mark) => mark.start <= start && end <= mark.end);
      text.slice(start, end).split("\n").forEach((part, index) => {
        if (index) lines.push(line = el("div", { class: "line" }));
        if (part) line.append(kind || wrong ? el("span", { class: `${kind && `t-${kind}`} ${wrong ? "fault" : ""}`.trim() }, part) : part);
      });
    }
    for (const empty of lines) if (!empty.firstChild) empty.append("\u200b");
    under.replaceChildren(...lines);
    area.style.height = `${under.offsetHeight}px`;
  }

  function changed() {
    marks = moved(marks, last, area.value);
    last = area.value;
    draw();
    for (const listener of listeners) listener();
  }

  area.addEventListener("input", changed);
  new ResizeObserver(() => { area.style.height = `${under.offsetHeight}px`; }).observe(under);
  draw();
  return {
    area,
    get text() { return area.value; },
    get dirty() { return area.value !== saved; },
    /** Have another text, as it is kept. */
    open(text) { area.value = text; saved = area.value; marks = []; changed(); },
    /** What is there now has been kept as `text`, which may have another number in it. */
    kept(text, sent) { if (area.value === sent) area.value = text; saved = text.replaceAll("\r\n", "\n"); changed(); },
    onChange(listener) { listeners.push(listener); },
    mark(ranges) { marks = ranges; area.setAttribute("aria-invalid", String(marks.length > 0)); draw(); },
    /** Put text in the place of a stretch, as if typed: it can be undone. */
    replace(start, end, text, caret = start + text.length) {
      area.focus();
      area.setSelectionRange(start, end);
      if (!document.execCommand("insertText", false, text)) { area.setRangeText(text, start, end, "end"); changed(); }
      area.setSelectionRange(caret, caret);
    },
    go(start, end = start) {
      area.focus();
      area.setSelectionRange(start, end);
      under.querySelectorAll(".line")[area.value.slice(0, start).split("\n").length - 1]?.scrollIntoView({ block: "nearest" });
    },
    /** Where a place in the text is: the left end of what is written below it, from the corner of `box`. */
    placeOf(offset, box) {
      const before = area.value.slice(0, offset);
      const line = under.children[before.split("\n").length - 1];
      let left = offset - (before.lastIndexOf("\n") + 1);
      const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
      const range = document.createRange();
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (left <= node.length) { range.setStart(node, Math.min(left, node.length)); break; }
        left -= node.length;
      }
      const [found, corner] = [range.getBoundingClientRect(), box.getBoundingClientRect()];
      const shown = found.height ? found : line.getBoundingClientRect();
      return { left: shown.left - corner.left, top: shown.bottom - corner.top };
    },
  };
}
