// The page of an alert.

import { api, byId, clockTime, el, eventMark, eventPath, fixed, get, objectPath, percent } from "./common.js";
import { address, crossmatches, facts, failed, filtersOf, outside, position, stamps } from "./details.js";
import { lightCurve } from "./lightcurve.js";
import { skyMap } from "./sky.js";
import { watchWhy } from "./why.js";

const id = byId("page").dataset.alert;

async function curve(alert) {
  if (alert.object_id === null || alert.mag === null) return;
  byId("curve-panel").hidden = false;
  byId("curve-link").replaceChildren(el("a", { href: objectPath(alert.object_id) }, `All of ${alert.object_id}`));
  const found = await get(address("objects", alert.object_id, "lightcurve"));
  lightCurve(byId("curve"), found.points, Date.parse(alert.time) / 86400000 + 40587);
}

/** What it was said to be, those said last first. */
function classes(alert) {
  const said = alert.classifications ?? [];
  byId("classes-panel").hidden = said.length === 0;
  byId("classes").replaceChildren(...said.map((one) => el("tr", {},
    el("td", {}, one.classification, one.taxonomy ? el("span", { class: "quiet" }, ` ${one.taxonomy}`) : ""), el("td", { class: "num" }, percent(one.probability)),
    el("td", { title: one.reference }, [[one.classifier, one.version].filter(Boolean).join(" "), one.who].filter(Boolean).join(" · ")), el("td", { class: "num nowrap quiet" }, clockTime(one.changed)))));
}

async function where(alert) {
  if (alert.event_name === null) return;
  const event = await get(api(`events/${encodeURIComponent(alert.event_name)}`)).catch(() => null);
  if (event === null) return;
  byId("sky-panel").hidden = false;
  byId("near-panel").hidden = Object.keys(alert.annotations).every((name) => !name.endsWith(".sep"));
  const mark = await eventMark(event);
  byId("sky-note").textContent = mark.note;
  skyMap(byId("sky"), () => [el("b", {}, mark.label), mark.note]).show([{ ...mark, path: null }]);
}

async function show() {
  const alert = await get(address("alerts", id));
  byId("packet").href = address("alerts", id, "packet");
  byId("where").textContent = alert.ra === null ? "" : position(alert.ra, alert.dec);
  byId("links").replaceChildren(...outside(alert.ra, alert.dec));
  facts(byId("facts"), [
    ["Stream", alert.stream], ["Object", alert.object_id === null || alert.object_id === alert.event_name ? null : el("a", { href: objectPath(alert.object_id) }, alert.object_id)], ["Time (UTC)", clockTime(alert.time)],
    ["Magnitude", alert.mag === null ? null : `${alert.band ?? ""} ${fixed(alert.mag, 3)} ± ${fixed(alert.mag_err, 3)}`], ["Reliability", fixed(alert.reliability, 3)],
    ["Error radius", alert.ra_dec_error === null ? null : `${alert.ra_dec_error.toPrecision(3)}°`], ["Event", alert.event_name === null ? null : el("a", { href: eventPath(alert.event_name) }, alert.event_name)], ["Messenger", alert.messenger], ["Mission", alert.mission],
    ["Instrument", alert.instrument], ["Type", alert.alert_type], ["Tense", alert.alert_tense], ["False alarm rate", alert.far === null ? null : `${alert.far.toExponential(2)} Hz (one in ${(1 / alert.far / 31557600).toPrecision(3)} years)`],
    ["Class", alert.classification], ["Received", clockTime(alert.received)], ["Picked by", filtersOf(alert)],
  ]);
  crossmatches(alert);
  classes(alert);
  if (Object.keys(alert.cutouts ?? {}).length) {
    byId("stamps-panel").hidden = false;
    stamps(byId("stamps"), alert);
  }
  if (alert.mag === null) byId("fields").open = true;
  await Promise.all([curve(alert), where(alert)]);
}

/** What a packet says: a notice's own text, or the packet decoded, in which no digit is lost. */
async function told() {
  const packet = await fetch(address("alerts", id, "packet"));
  const kind = packet.headers.get("Content-Type") ?? "";
  if (packet.ok && (kind.startsWith("text/") || kind === "application/xml")) return shortened(await packet.text(), 200_000);
  if (packet.ok && kind === "application/json") {
    const text = await packet.text();
    return decoded().catch(() => shortened(text, 200_000));  // what only looks like JSON
  }
  await packet.body?.cancel();
  return kind.startsWith("application/fits") ? "A sky map in FITS: its bytes can be had above." : decoded();
}

async function decoded() {
  const fields = await get(address("alerts", id, "fields"));
  // Images and maps are long and say nothing to the eye.
  return JSON.stringify(fields, (_, value) => (typeof value === "string" ? shortened(value, 2000) : value), 2);
}

const shortened = (text, most) => (text.length > most ? `… ${text.length} characters` : text);

let asked = false;
byId("fields").addEventListener("toggle", async () => {
  if (asked) return;
  asked = true;
  byId("fields-text").textContent = await told().catch((error) => error.message);
});
watchWhy(id);
show().catch(failed);
