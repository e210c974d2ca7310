// One's own account: who one is, one's tokens, logging out.

import { api, byId, clockTime, el, get, send } from "./common.js";
import { facts, failed } from "./details.js";
import { sortedTable } from "./table.js";

const day = (iso) => el("span", { class: "num nowrap quiet" }, clockTime(iso));
const table = sortedTable(byId("tokens"), [
  { title: "For", value: (one) => one.note, cell: (one) => one.note || "nothing noted" },
  { title: "Id", cell: (one) => el("code", {}, one.id) },
  { title: "May", value: (one) => one.scopes.join(", "), cell: (one) => one.scopes.join(", ") },
  { title: "Made (UTC)", down: true, value: (one) => one.created, cell: (one) => day(one.created) },
  { title: "Last used", value: (one) => one.last_used, cell: (one) => (one.last_used ? day(one.last_used) : "never") },
  { title: "Good until", value: (one) => one.expires, cell: (one) => (one.revoked ? "revoked" : one.expires ? day(one.expires) : "until revoked") },
  { title: "", cell: (one) => (one.revoked ? "" : revoke(one)) },
], (one) => ({ "data-token": one.id, class: one.revoked ? "gone" : null }));

function revoke(one) {
  const button = el("button", { type: "button", "aria-label": `Revoke ${one.note || one.id}` }, "Revoke");
  button.addEventListener("click", () => send("DELETE", api(`tokens/${encodeURIComponent(one.id)}`)).then(tokens).catch(failed));
  return button;
}

async function tokens() {
  const { items } = await get(api("tokens"));
  table.show(items);
  byId("tokens").hidden = items.length === 0;
  byId("no-tokens").hidden = items.length > 0;
}

byId("make").addEventListener("submit", async (event) => {
  event.preventDefault();
  const values = new FormData(event.target);
  byId("refused").textContent = "";
  byId("made").replaceChildren();
  try {
    const made = await send("POST", api("tokens"), { note: values.get("note"), scopes: values.getAll("scope"), days: Number(values.get("days")) || null });
    byId("made").replaceChildren("Your token, shown this once: ", el("code", {}, made.token));
    await tokens();
  } catch (error) {
    byId("refused").textContent = error.message;
  }
});
byId("leave").addEventListener("click", () => send("DELETE", api("session")).then(() => location.assign("/")).catch(failed));

async function show() {
  const me = await get(api("me"));
  if (!me.logged_in) {
    if (me.required) location.replace("/login?next=/account");
    else failed(new Error("Nothing here asks for an account, and you have not logged in to one."));
    return;
  }
  facts(byId("facts"), [["Name", me.user], ["Called", me.display], ["Mail", me.email], ["May", me.scopes.join(", ")], ["Teams", Object.entries(me.teams).map(([team, role]) => `${team} (${role})`).join(", ")]]);
  byId("scopes").replaceChildren(...me.scopes.map((scope) => el("label", { class: "check" }, el("input", { type: "checkbox", name: "scope", value: scope, checked: scope === "read" }), ` ${scope}`)));
  byId("leave").hidden = false;
  byId("mine").hidden = false;
  await tokens();
}

show().catch(failed);
