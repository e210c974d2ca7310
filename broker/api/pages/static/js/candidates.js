// The alerts that lie in an event's map: a table by level, sorted as one likes.

import { alertPath, byId, clockTime, count, el, fixed, get, objectPath, percent, signedTime } from "./common.js";
import { address } from "./details.js";
import { sortedTable } from "./table.js";

const PAGE = 1000;
const name = (alert) => alert.object_id ?? alert.alert_id;
const COLUMNS = [
  { title: "Object", value: name, cell: (alert) => el("a", { href: alert.object_id === null ? alertPath(alert.alert_id) : objectPath(alert.object_id) }, name(alert)) },
  { title: "Stream", value: (alert) => alert.stream, cell: (alert) => alert.stream },
  { title: "Mag", num: true, value: (alert) => alert.mag, cell: (alert) => fixed(alert.mag, 2) },
  { title: "Band", value: (alert) => alert.band, cell: (alert) => alert.band },
  { title: "Level", num: true, hint: "Smallest credible region of the sky that holds it", value: (alert) => alert.credible_level, cell: (alert) => percent(alert.credible_level) },
  { title: "Volume", num: true, spare: true, hint: "Smallest credible volume that holds its host", value: (alert) => alert.volume_level, cell: (alert) => percent(alert.volume_level) },
  { title: "After", num: true, hint: "Time of the alert minus time of the event", value: (alert) => alert.dt, cell: (alert) => signedTime(alert.dt) },
  { title: "Mpc", num: true, spare: true, hint: "Distance of its host", value: (alert) => alert.distance, cell: (alert) => fixed(alert.distance, 0) },
  { title: "Alert (UTC)", value: (alert) => alert.time, cell: (alert) => el("a", { class: "nowrap", href: alertPath(alert.alert_id) }, clockTime(alert.time) || alert.alert_id) },
  { title: "RA", num: true, value: (alert) => alert.ra, cell: (alert) => fixed(alert.ra, 4) },
  { title: "Dec", num: true, value: (alert) => alert.dec, cell: (alert) => fixed(alert.dec, 4).replace("-", "−") },
  { title: "State", spare: true, value: (alert) => (alert.state === "live" ? null : alert.state), cell: (alert) => ({ live: "", left: "left the map" })[alert.state] ?? alert.state },
];

/** The latest alert of each object. */
function latest(alerts) {
  const kept = new Map();
  for (const alert of alerts) {
    const before = kept.get(name(alert));
    if (!before || (alert.time ?? "") > (before.time ?? "")) kept.set(name(alert), alert);
  }
  return alerts.filter((alert) => kept.get(name(alert)) === alert);
}

/**
 * @param {object} event
 * @param {(alerts: object[], level: number) => void} tell called with what the table shows
 */
export async function candidates(event, tell) {
  byId("candidates-panel").hidden = !event.has_map;
  if (!event.has_map) return tell([], 0.9);
  const table = sortedTable(byId("candidates"), COLUMNS, (alert) => ({ "data-alert": alert.alert_id, class: alert.state === "live" ? null : "gone" }));
  const slider = byId("level");
  let found = [];
  let next = null;
  let asked = 0;

  function draw() {
    const shown = byId("once").checked ? latest(found) : found;
    const objects = new Set(found.map(name)).size;
    table.show(shown);
    byId("candidate-count").textContent = found.length ? `${next ? "the deepest " : ""}${count(found.length)}, of ${count(objects)} object${objects === 1 ? "" : "s"}` : "";
    byId("candidates").hidden = found.length === 0;
    byId("no-candidates").hidden = found.length > 0;
    byId("no-candidates").textContent = `No alert lies inside ${slider.value} % of the map.`;
    byId("more").hidden = next === null;
    tell(found, slider.value / 100);
  }

  async function load(path, before) {
    const mine = (asked += 1);
    const page = await get(path);
    if (mine !== asked) return; // the level has moved on
    found = [...before, ...page.items];
    next = page.next;
    byId("candidates-failed").textContent = "";
    draw();
  }

  const first = () => load(`${address("events", event.name, "alerts")}?level=${slider.value / 100}&limit=${PAGE}`, []);
  const again = (work) => work().catch((error) => { byId("candidates-failed").textContent = error.message; });
  function level(value) {
    slider.value = value;
    byId("level-said").textContent = `${slider.value} %`;
    for (const button of byId("levels").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === slider.value));
  }
  slider.addEventListener("input", () => level(slider.value));
  slider.addEventListener("change", () => again(first));
  for (const button of byId("levels").querySelectorAll("button")) button.addEventListener("click", () => { level(button.value); again(first); });
  byId("once").addEventListener("change", draw);
  byId("more").addEventListener("click", () => again(() => load(next, found)));
  level(slider.value);
  return first();
}
