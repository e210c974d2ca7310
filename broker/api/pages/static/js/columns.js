// The columns a filter can name: those of the streams in its text, with type, unit and meaning; a click writes one.

import { byId, count, el } from "./common.js";
import { columnsFor } from "./completion.js";
import { valuesOf } from "./language.js";

const MOST = 400; // rows drawn

/** @param {ReturnType<import("./editor.js").makeEditor>} editor */
export function showColumns(editor) {
  let streams = null;
  let known = [];
  let timer = 0;

  function row(column) {
    const button = el("button", { type: "button", class: "link mono", title: "Write it where the cursor is" }, column.name);
    button.addEventListener("click", () => editor.replace(editor.area.selectionStart, editor.area.selectionEnd, column.name));
    return el("tr", {}, el("td", {}, button, el("div", { class: "quiet" }, column.meaning)), el("td", {}, [column.type, column.unit].filter(Boolean).join(", ")), el("td", { class: "quiet" }, column.source));
  }

  function draw() {
    const word = byId("column-word").value.trim().toLowerCase();
    const found = known.filter((column) => `${column.name} ${column.meaning} ${column.source}`.toLowerCase().includes(word));
    byId("columns").replaceChildren(...found.slice(0, MOST).map(row));
    byId("column-count").textContent = known.length ? `${count(found.length)} of ${count(known.length)}, ${streams.join(", ")}` : "";
    byId("columns-table").hidden = found.length === 0;
    byId("no-columns").hidden = found.length > 0;
    byId("no-columns").textContent = known.length ? "No such column." : "None are known: name a stream in the text.";
  }

  async function look() {
    const named = valuesOf(editor.text, "stream").filter(Boolean);
    if (streams?.join() === named.join()) return;
    streams = named;
    const found = await columnsFor(editor.text);
    if (streams === named) { known = found; draw(); }
  }

  byId("column-word").addEventListener("input", draw);
  editor.onChange(() => { clearTimeout(timer); timer = setTimeout(look, 400); });
  look();
}
