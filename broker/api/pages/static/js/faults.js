// What is wrong with the text of a filter, told while it is written: underlined at the word, listed with a fix.

import { api, count, el, send } from "./common.js";
import { offsetOf } from "./language.js";

const PAUSE = 300; // milliseconds of nothing typed

/** Stretch of the text that a fault is about: its word, else its line. */
function stretch(text, fault) {
  if (!fault.line) return null;
  const from = offsetOf(text, fault.line, fault.column ?? 1);
  const end = text.indexOf("\n", from) < 0 ? text.length : text.indexOf("\n", from);
  if (!fault.column) return { start: from, end };
  if (fault.word && text.startsWith(fault.word, from)) return { start: from, end: from + fault.word.length };
  const word = /^[\w.]+|^\S/.exec(text.slice(from, end));
  return { start: from, end: from + (word?.[0].length ?? 0) };
}

/**
 * Check the text whenever it has changed.
 * @param {ReturnType<import("./editor.js").makeEditor>} editor
 * @param {HTMLElement} list
 * @param {HTMLElement} verdict
 */
export function watchFaults(editor, list, verdict) {
  let timer = 0;
  let asked = 0;

  function row(fault, at, text) {
    const place = fault.line ? `Line ${fault.line}${fault.column ? `, column ${fault.column}` : ""}: ` : "";
    const made = el("li", {}, place ? el("button", { type: "button", class: "link go" }, place.slice(0, -2)) : "", place ? ": " : "", fault.message, " ");
    made.querySelector(".go")?.addEventListener("click", () => (at ? editor.go(at.start, at.end) : editor.go(0)));
    if (at && fault.nearest && text.slice(at.start, at.end) === fault.word) {
      const fix = el("button", { type: "button", class: "fix" }, "Write ", el("code", {}, fault.nearest));
      fix.addEventListener("click", () => {
        const now = editor.text;
        const start = now.startsWith(fault.word, at.start) ? at.start : now.indexOf(fault.word);
        if (start >= 0) editor.replace(start, start + fault.word.length, fault.nearest);
      });
      made.append(fix);
    }
    return made;
  }

  /** Tell what is wrong. */
  function tell(faults, warnings = []) {
    const text = editor.text;
    const places = faults.map((fault) => stretch(text, fault));
    editor.mark(places.filter((at) => at && at.end > at.start));
    list.replaceChildren(...faults.map((fault, number) => row(fault, places[number], text)), ...warnings.map((warning) => el("li", { class: "quiet" }, warning)));
    list.hidden = list.children.length === 0;
    verdict.textContent = faults.length ? `${count(faults.length)} ${faults.length === 1 ? "fault" : "faults"}` : "Nothing is wrong";
    verdict.className = `state ${faults.length ? "off" : "on"}`;
  }

  async function check() {
    const mine = (asked += 1);
    const text = editor.text;
    try {
      const answer = await send("POST", api("filters/check"), { text });
      if (mine === asked && text === editor.text) tell(answer.faults, answer.warnings);
    } catch (error) {
      if (mine !== asked) return;
      verdict.textContent = `Not checked: ${error.message}`;
      verdict.className = "state";
    }
  }

  function soon() {
    asked += 1;
    clearTimeout(timer);
    verdict.textContent = "Checking…";
    verdict.className = "state";
    timer = setTimeout(check, PAUSE);
  }

  editor.onChange(soon);
  check();
  return { tell };
}

/** The fault that a refusal tells, as a check would. */
export const faultOf = (error) => ({ message: error.message, line: error.problem?.line ?? null, column: error.problem?.column ?? null, word: error.problem?.word ?? null, nearest: error.problem?.nearest ?? null });

