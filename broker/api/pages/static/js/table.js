// Tables that are sorted by a click on, or Enter in, the head of a column.

import { el } from "./common.js";

const missing = (value) => value === null || value === undefined || value === "";

/**
 * @param {HTMLTableElement} table empty; gets a head and a body
 * @param {{title: string, num?: boolean, hint?: string, value?: (row: object) => any, cell: (row: object) => any, down?: boolean}[]} columns
 *   `value` is what is sorted by; a column without one is not sorted by. `down`: the largest first at the first click. `spare`:
 *   left out where no row has it.
 * @param {(row: object) => object} attributes of a row
 * @returns {{show: (rows: object[]) => void}}
 */
export function sortedTable(table, columns, attributes = () => ({})) {
  let rows = [];
  let by = null;
  let rising = true;
  const body = el("tbody");
  const heads = new Map(columns.map((column) => [column, head(column)]));
  table.replaceChildren(el("thead", {}, el("tr", {}, ...heads.values())), body);

  function head(column) {
    const made = el("th", { scope: "col", class: column.num ? "num" : null, title: column.hint });
    if (!column.value) made.append(column.title);
    else {
      const button = el("button", { type: "button", class: "sort" }, column.title, el("span", { "aria-hidden": "true" }));
      button.addEventListener("click", () => {
        rising = by === column ? !rising : !column.down;
        by = column;
        draw();
      });
      made.append(button);
    }
    return made;
  }

  function ordered() {
    if (by === null) return rows;
    const sign = rising ? 1 : -1;
    return rows.toSorted((one, other) => {
      const [a, b] = [by.value(one), by.value(other)];
      if (missing(a) || missing(b)) return missing(a) - missing(b); // always last
      return sign * (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
    });
  }

  function draw() {
    const shown = columns.filter((column) => !column.spare || rows.some((row) => !missing(column.value(row))));
    for (const [column, made] of heads) {
      made.hidden = !shown.includes(column);
      if (column === by) made.setAttribute("aria-sort", rising ? "ascending" : "descending"); else made.removeAttribute("aria-sort");
    }
    body.replaceChildren(...ordered().map((row) => el("tr", attributes(row), ...shown.map((column) => el("td", { class: column.num ? "num" : null }, column.cell(row) ?? "")))));
  }

  return { show(shown) { rows = shown; draw(); } };
}
