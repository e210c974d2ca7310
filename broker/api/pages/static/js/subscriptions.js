// Subscriptions: what there is and how it does, one made, paused, tried and ended.

import { api, byId, clockTime, count, el, filterPath, get, send } from "./common.js";
import { deliveriesPanel } from "./deliveries.js";
import { failed } from "./details.js";
import { sortedTable } from "./table.js";

const form = byId("subscribe");
const path = (one, more = "") => api(`subscriptions/${encodeURIComponent(one.id)}${more}`);
const seconds = (value) => (value === null || value === undefined ? "" : value < 10 ? value.toFixed(2) : value.toFixed(0));
const target = (one) => one.target.url ?? one.target.urls?.join(", ") ?? one.target.user;
const words = (one) => [
  one.digest ? `together every ${one.digest} min` : "at once",
  one.rate ? `${one.rate} a minute` : "",
  one.quiet ? `not ${one.quiet.start.slice(0, 5)} to ${one.quiet.end.slice(0, 5)} ${one.quiet.zone}` : "",
  one.only_first ? "first of an object" : "",
  { all: "", retractions: "again if retracted", none: "never again" }[one.updates],
].filter(Boolean).join(", ");
const leftOut = (one) => (one.left_out ? el("span", { class: "warned small", title: "As many waited as may (deliver.most_waiting): these are not delivered" }, ` ${count(one.left_out)} left out, last ${clockTime(one.left_out_at)}`) : "");
const failing = (one) => (one.trouble ? el("span", { class: "troubled small", title: one.trouble }, " failing") : "");
const number = (title, state) => ({ title, num: true, down: true, value: (one) => one.deliveries[state] ?? 0, cell: (one) => count(one.deliveries[state]) });
const table = sortedTable(byId("subscriptions"), [
  { title: "Filters", value: (one) => one.filters.join(", "), cell: (one) => el("span", {}, ...one.filters.flatMap((name, index) => [index ? ", " : "", el("a", { href: filterPath(name) }, name)])) },
  { title: "To", value: target, cell: (one) => el("span", { class: "told" }, `${one.channel}${one.target.format === "voevent" ? ", VOEvent" : ""}: `, el("code", {}, target(one))) },
  { title: "When", value: words, cell: words },
  { title: "State", value: (one) => one.state, cell: (one) => el("span", {}, el("span", { class: `state ${one.state === "active" ? "on" : ""}` }, one.state), failing(one), leftOut(one)) },
  { title: "p50 (s)", num: true, value: (one) => one.latency.p50, cell: (one) => seconds(one.latency.p50) },
  { title: "p99 (s)", num: true, value: (one) => one.latency.p99, cell: (one) => seconds(one.latency.p99) },
  number("Delivered", "delivered"),
  number("Waiting", "pending"),
  { ...number("Failed", "failed"), cell: (one) => el("span", { class: one.deliveries.failed ? "warned" : null }, count(one.deliveries.failed)) },
  { title: "For", spare: true, value: (one) => one.note, cell: (one) => one.note },
  { title: "Whose", spare: true, value: (one) => one.owner, cell: (one) => one.owner },
  { title: "Since (UTC)", down: true, value: (one) => one.created, cell: (one) => el("span", { class: "num nowrap quiet" }, clockTime(one.created)) },
  { title: "", cell: (one) => el("span", { class: "tools" }, button("Test", one, test), one.state === "paused" ? button("Resume", one, () => send("PATCH", path(one), { state: "active" })) : button("Pause", one, () => send("PATCH", path(one), { state: "paused" })), button("Remove", one, remove)) },
], (one) => ({ "data-subscription": one.id }));
const deliveries = deliveriesPanel(show);

function button(name, one, act) {
  const made = el("button", { type: "button", "aria-label": `${name} ${one.filters.join(", ")} to ${target(one)}` }, name);
  made.addEventListener("click", async () => {
    made.disabled = true;
    byId("said").textContent = "";
    try {
      await act(one);
      await show();
    } catch (error) {
      byId("said").textContent = error.message;
    } finally {
      made.disabled = false;
    }
  });
  return made;
}

async function remove(one) {
  if (confirm(`End the subscription to ${one.filters.join(", ")}? What waits for it is cancelled.`)) await send("DELETE", path(one));
}

/** Have a test delivered, and tell what came of it. */
async function test(one) {
  const sent = await send("POST", path(one, "/test"));
  const say = (text) => { byId("said").textContent = `Test of ${target(one)}: ${text}`; };
  say("on its way…");
  for (let tries = 0; tries < 60; tries += 1) {
    const now = await get(api(`deliveries/${sent.id}`));
    if (now.state === "delivered") return say(`delivered after ${seconds((Date.parse(now.acknowledged) - Date.parse(now.created)) / 1000)} s.`);
    if (now.state !== "pending") return say(`${now.state}. ${now.error ?? ""}`);
    if (now.attempts) return say(`not delivered yet, and tried again later. ${now.error ?? ""}`);
    await new Promise((done) => { setTimeout(done, 500); });
  }
  return say("it still waits. Is nuncius deliver running?");
}

async function show() {
  const { items } = await get(api("subscriptions"));
  const waits = await Promise.all(items.map((one) => get(path(one, "/latency"))));
  table.show(items.map((one, index) => ({ ...one, latency: waits[index] })));
  byId("subscriptions").hidden = items.length === 0;
  byId("no-subscriptions").hidden = items.length > 0;
  await deliveries.show(items.map((one) => [one.id, `${one.filters.join(", ")} to ${target(one)}`]));
}

function wanted(values) {
  const [channel, address] = [values.get("channel"), values.get("address").trim()];
  const some = (name) => Number(values.get(name)) || null;
  return {
    filters: values.getAll("filters"),
    channel,
    target: { webhook: { url: address, format: values.get("format") }, message: { urls: address.split(/\s+/) }, kafka: { user: address } }[channel],
    rate: some("rate"),
    digest: some("digest"),
    quiet: values.get("start") && values.get("end") ? { start: values.get("start"), end: values.get("end"), zone: values.get("zone") || "UTC" } : null,
    only_first: values.get("only_first") === "on",
    updates: values.get("updates"),
    note: values.get("note"),
  };
}

function asked() {
  const channel = form.elements.namedItem("channel").value;
  byId("format").hidden = channel !== "webhook";
  byId("address-said").textContent = channel === "kafka" ? "User" : "Address";
  form.elements.namedItem("address").placeholder = { webhook: "https://example.org/hook", message: "mailtos://user:password@example.org", kafka: "hypatia" }[channel];
}

form.addEventListener("change", asked);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("refused").textContent = "";
  byId("made").replaceChildren();
  byId("go").disabled = true;
  try {
    const made = await send("POST", api("subscriptions"), wanted(new FormData(form)));
    const once = made.secret ? ["Its deliveries are signed with ", el("code", {}, made.secret)] : made.password ? [`The password of ${made.target.user} is `, el("code", {}, made.password)] : [];
    byId("made").replaceChildren("Subscribed. ", ...once, once.length ? ", shown this once." : "");
    form.reset();
    asked();
    await show();
  } catch (error) {
    byId("refused").textContent = error.message;
  } finally {
    byId("go").disabled = false;
  }
});

async function begin() {
  const [me, filters] = await Promise.all([get(api("me")), get(api("filters"))]);
  if (me.required && me.anonymous) throw Object.assign(new Error("Subscriptions are somebody's."), { status: 401 });
  form.elements.namedItem("filters").replaceChildren(...filters.items.map((one) => el("option", { value: one.name }, one.name)));
  byId("go").disabled = false;
  asked();
  await show();
  setInterval(() => { if (!document.hidden) show().catch(() => {}); }, 15000); // what does not answer just now will
}

begin().catch(failed);
