// What became of deliveries, and once more.

import { alertPath, api, byId, clockTime, el, get, send } from "./common.js";
import { sortedTable } from "./table.js";

const change = { match: "match", update: "re-scored", retraction: "retracted", test: "test" };

/** The panel of deliveries; `after` is called when one is sent again. */
export function deliveriesPanel(after) {
  const form = byId("which");
  const chosen = form.elements.namedItem("subscription");
  const said = byId("deliveries-refused");
  let rows = [];
  let next = null;
  const table = sortedTable(byId("deliveries"), [
    { title: "Received (UTC)", down: true, value: (one) => one.received, cell: (one) => el("span", { class: "num nowrap" }, clockTime(one.received)) },
    { title: "Filter", value: (one) => one.filter, cell: (one) => one.filter },
    { title: "Alert", value: (one) => one.alert_id, cell: (one) => (one.alert_id ? el("a", { href: alertPath(one.alert_id) }, one.alert_id) : "") },
    { title: "What", value: (one) => change[one.change], cell: (one) => change[one.change] },
    { title: "State", value: (one) => one.state, cell: (one) => one.state },
    { title: "Tried", num: true, down: true, value: (one) => one.attempts, cell: (one) => one.attempts },
    { title: "Last (UTC)", down: true, value: (one) => one.tried, cell: (one) => el("span", { class: "num nowrap quiet" }, clockTime(one.tried)) },
    { title: "Said", value: (one) => one.error, cell: (one) => el("span", { class: "told" }, one.error ?? "") },
    { title: "", cell: (one) => (["failed", "cancelled", "delivered"].includes(one.state) ? replay(one) : "") },
  ], (one) => ({ "data-delivery": one.id }));

  function replay(one) {
    const button = el("button", { type: "button", "aria-label": `Replay ${one.alert_id || one.change} of ${one.filter || "a subscription"}` }, "Replay");
    button.addEventListener("click", async () => {
      button.disabled = true;
      said.textContent = "";
      try {
        await send("POST", api(`deliveries/${one.id}/replay`));
        await after();
      } catch (error) {
        said.textContent = error.message;
        button.disabled = false;
      }
    });
    return button;
  }

  function draw() {
    table.show(rows);
    byId("deliveries").hidden = rows.length === 0;
    byId("no-deliveries").hidden = rows.length > 0;
    byId("more").hidden = next === null;
  }

  async function load() {
    const query = new URLSearchParams([...new FormData(form), ["limit", "50"]].filter(([, value]) => value));
    ({ items: rows, next } = await get(api(`deliveries?${query}`)));
    draw();
  }

  form.addEventListener("change", () => { said.textContent = ""; load().catch((error) => { said.textContent = error.message; }); });
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", async () => {
    const page = await get(next);
    rows = [...rows, ...page.items];
    next = page.next;
    draw();
  });

  return {
    /** @param {[string, string][]} subscriptions id and words of each there is */
    async show(subscriptions) {
      const kept = chosen.value;
      chosen.replaceChildren(el("option", { value: "" }, "all subscriptions"), ...subscriptions.map(([id, text]) => el("option", { value: id }, text)));
      chosen.value = subscriptions.some(([id]) => id === kept) ? kept : "";
      await load();
    },
  };
}
