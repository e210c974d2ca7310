// What can be written next: columns of the streams a filter sees, functions, words of SQL; taken by key or by hand.

import { api, count, el, get } from "./common.js";
import { OFFERED_WORDS, valuesOf, wordAt } from "./language.js";

const MOST = 60;
const columns = new Map(); // what is known of a stream, a promise each
let streams = null;

const wild = (name) => /[*?[]/.test(name);
const pattern = (glob) => new RegExp(`^${glob.replace(/[.+^${}()|\\\]]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".").replaceAll("[", "\\[")}$`);

/** Streams that are told of, as far as anything has come from them. */
function everyStream() {
  streams ??= get(api("status")).then((status) => Object.keys(status.ledger.streams).sort()).catch(() => []);
  return streams;
}

function columnsOf(stream) {
  if (!columns.has(stream)) columns.set(stream, get(api(`streams/${encodeURIComponent(stream)}/columns`)).then((answer) => answer.items).catch(() => []));
  return columns.get(stream);
}

/** Columns that a text may name: those of any stream it sees, each once. */
export async function columnsFor(text) {
  const named = valuesOf(text, "stream").filter(Boolean);
  const all = named.some(wild) ? await everyStream() : [];
  const seen = new Set(named.flatMap((name) => (wild(name) ? all.filter((one) => pattern(name).test(one)) : [name])));
  const found = new Map();
  for (const items of await Promise.all([...seen].map(columnsOf))) for (const one of items) if (!found.has(one.name)) found.set(one.name, one);
  return [...found.values()];
}

/** How well a name goes with what has been written: 0 best, null not at all. */
function rank(name, word) {
  const [one, other] = [name.toLowerCase(), word.toLowerCase()];
  if (one.startsWith(other)) return 0;
  if (one.includes(`.${other}`) || one.includes(`_${other}`)) return 1;
  return one.includes(other) ? 2 : null;
}

/**
 * @param {ReturnType<import("./editor.js").makeEditor>} editor
 * @param {HTMLElement} list a listbox
 * @param {HTMLElement} spoken told what is chosen
 * @param {[string, string, string, string][]} functions name, call, result, meaning
 */
export function offerCompletions(editor, list, spoken, functions) {
  const { area } = editor;
  const calls = functions.map(([name, call, result, meaning]) => ({ name, shown: call, type: result, unit: "", meaning, insert: `${name}(`, close: ")", inside: call !== `${name}()` }));
  const words = OFFERED_WORDS.map((name) => ({ name, shown: name, type: "word", unit: "", meaning: "", insert: name, close: "" }));
  let offers = [];
  let at = 0;
  let asked = 0;
  let place = null;

  function close() {
    asked += 1;
    list.hidden = true;
    offers = [];
    area.removeAttribute("aria-activedescendant");
  }

  async function candidates(here) {
    if (here.of === "stream") return (await everyStream()).map((name) => ({ name, shown: name, type: "stream", unit: "", meaning: "", insert: name, close: "" }));
    const known = await columnsFor(editor.text);
    return [...known.map((one) => ({ ...one, shown: one.name, insert: one.name, close: "" })), ...calls, ...words];
  }

  async function open(wanted) {
    const mine = (asked += 1);
    const here = area.selectionStart === area.selectionEnd ? wordAt(editor.text, area.selectionStart) : null;
    if (here === null || (!wanted && here.word === "")) { close(); return; }
    const all = await candidates(here);
    if (mine !== asked || document.activeElement !== area) return;
    const ranked = all.map((one, order) => ({ one, order, rank: rank(one.name, here.word) })).filter((each) => each.rank !== null);
    offers = ranked.sort((one, other) => one.rank - other.rank || one.order - other.order).slice(0, MOST).map((each) => each.one);
    if (offers.length === 0 || (!wanted && offers[0].insert === here.word)) { close(); return; }
    place = here;
    at = 0;
    draw(ranked.length);
  }

  function draw(total) {
    list.replaceChildren(...offers.map((offer, number) => {
      const item = el("li", { role: "option", id: `offer-${number}` },
        el("b", { class: "mono" }, offer.shown), el("span", { class: "kind" }, [offer.type, offer.unit].filter(Boolean).join(", ")), el("span", { class: "meaning" }, offer.meaning));
      item.addEventListener("pointerdown", (event) => event.preventDefault()); // the text keeps the focus
      item.addEventListener("click", () => { at = number; take(); });
      return item;
    }));
    list.hidden = false;
    put();
    list.scrollTop = 0;
    choose(0, `${count(total)} to choose from. `);
  }

  /** Put the list below the word. */
  function put() {
    const { left, top } = editor.placeOf(place.start, list.parentElement);
    list.style.top = `${top + 2}px`;
    list.style.left = `${Math.max(0, Math.min(left, list.parentElement.clientWidth - list.offsetWidth))}px`;
  }

  function choose(number, before = "") {
    at = (number + offers.length) % offers.length;
    [...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === at)));
    area.setAttribute("aria-activedescendant", `offer-${at}`);
    const chosen = list.children[at];
    if (chosen.offsetTop < list.scrollTop) list.scrollTop = chosen.offsetTop;
    if (chosen.offsetTop + chosen.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = chosen.offsetTop + chosen.offsetHeight - list.clientHeight;
    const offer = offers[at];
    spoken.textContent = `${before}${[offer.shown, offer.type, offer.unit, offer.meaning].filter(Boolean).join(", ")}`;
  }

  function take() {
    const offer = offers[at];
    const { start, end } = place;
    const open = offer.close && editor.text[end] === "("; // the brackets are there already
    const text = open ? offer.name : offer.insert + offer.close;
    editor.replace(start, end, text, start + (offer.close && !offer.inside ? text.length : open ? text.length + 1 : offer.insert.length));
    close();
  }

  area.addEventListener("input", (event) => (event.inputType?.startsWith("insert") || !list.hidden ? open(false) : close()));
  area.addEventListener("keydown", (event) => {
    if (event.key === " " && event.ctrlKey) { event.preventDefault(); open(true); return; }
    if (list.hidden || event.isComposing) return;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in steps) choose(at + steps[event.key]);
    else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) take();
    else if (event.key === "Escape") close();
    else { if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") close(); return; }
    event.preventDefault();
  });
  area.closest(".code").addEventListener("scroll", () => { if (!list.hidden) put(); });
  area.addEventListener("blur", close);
  area.addEventListener("pointerdown", close);
}
