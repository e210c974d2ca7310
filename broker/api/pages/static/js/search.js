// What was put into the search box: a position leads to a list, a name to its page.

import { alertPath, api, byId, clockTime, count, degrees, el, eventPath, fixed, get, objectPath } from "./common.js";
import { angles } from "./cone.js";
import { failed } from "./details.js";
import { sortedTable } from "./table.js";

const asked = (new URLSearchParams(location.search).get("q") ?? "").trim();
const name = (alert) => alert.event_name ?? alert.object_id ?? alert.alert_id;
const table = sortedTable(byId("found"), [
  { title: "Object or event", value: name, cell: (alert) => el("a", { href: alert.event_name !== null ? eventPath(alert.event_name) : alert.object_id === null ? alertPath(alert.alert_id) : objectPath(alert.object_id) }, name(alert)) },
  { title: "Away", num: true, hint: "From the middle of the circle", value: (alert) => alert.separation, cell: (alert) => (alert.separation === null || alert.separation === undefined ? "" : degrees(alert.separation)) },
  { title: "Time (UTC)", value: (alert) => alert.time, cell: (alert) => el("a", { class: "nowrap", href: alertPath(alert.alert_id) }, clockTime(alert.time) || alert.alert_id) },
  { title: "Stream", value: (alert) => alert.stream, cell: (alert) => alert.stream },
  { title: "Mag", num: true, value: (alert) => alert.mag, cell: (alert) => fixed(alert.mag, 2) },
  { title: "Band", value: (alert) => alert.band, cell: (alert) => alert.band },
  { title: "RA", num: true, value: (alert) => alert.ra, cell: (alert) => fixed(alert.ra, 5) },
  { title: "Dec", num: true, value: (alert) => alert.dec, cell: (alert) => fixed(alert.dec, 5).replace("-", "−") },
]);

async function circle({ ra, dec, radius }) {
  const query = new URLSearchParams({ ra, dec, radius: String(radius), limit: "1000" });
  const page = await get(api(`alerts?${query}`));
  byId("understood").textContent = `Within ${degrees(radius)} of ${ra} ${dec}, nearest first`;
  byId("found-panel").hidden = false;
  byId("count").textContent = `${count(page.items.length)}${page.next ? " nearest" : ""} alert${page.items.length === 1 ? "" : "s"}`;
  byId("found").hidden = page.items.length === 0;
  byId("nothing").hidden = page.items.length > 0;
  byId("csv").href = api(`alerts?${query}&format=csv`);
  table.show(page.items);
}

/** The page that goes by a name, or null: an event by any of its names, an alert with or without its stream, an object. */
async function pageOf(text) {
  const event = (await get(api(`events?${new URLSearchParams({ name: text, limit: "1" })}`))).items[0];
  if (event) return eventPath(event.name);
  const streams = Object.keys((await get(api("status"))).ledger.streams);
  const ids = new URLSearchParams([text, ...streams.map((stream) => `${stream}:${text}`)].map((id) => ["id", id]));
  const alert = (await get(api(`alerts?${ids}`))).items[0];
  if (alert) return alertPath(alert.alert_id);
  for (const spelled of new Set([text, text.toUpperCase().replace(/^ZTF(\d\d)(\w+)$/, (_, year, rest) => `ZTF${year}${rest.toLowerCase()}`)])) {
    const of = (await get(api(`alerts?${new URLSearchParams({ object: spelled, limit: "1" })}`))).items[0];
    if (of) return objectPath(of.object_id);
  }
  return null;
}

async function search() {
  document.querySelector("[role=search] input").value = asked;
  if (!asked) return;
  const cone = angles(asked);
  if (cone !== null) return circle(cone);
  byId("understood").textContent = `Looking for ${asked} …`;
  const path = await pageOf(asked);
  if (path !== null) location.replace(path);
  else byId("understood").textContent = `Nothing here goes by the name ${asked}.`;
}

search().catch((error) => { byId("understood").textContent = ""; failed(error); });
