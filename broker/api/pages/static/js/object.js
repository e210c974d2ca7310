// The page of an object.

import { byId, clockTime, count, get } from "./common.js";
import { address, alertRow, crossmatches, facts, failed, filtersOf, outside, position, stamps } from "./details.js";
import { lightCurve } from "./lightcurve.js";

const id = byId("page").dataset.object;

async function curve(path) {
  byId("csv").href = `${path}?format=csv`;
  byId("vot").href = `${path}?format=votable`;
  lightCurve(byId("curve"), (await get(path)).points);
}

async function object() {
  const found = await get(address("objects", id));
  const { latest } = found;
  byId("where").textContent = found.ra === null ? "" : position(found.ra, found.dec);
  byId("links").replaceChildren(...outside(found.ra, found.dec));
  byId("alert-count").textContent = count(found.alert_count);
  byId("alerts").replaceChildren(...found.alerts.map(alertRow));
  facts(byId("facts"), [
    ["Stream", found.streams.join(", ")], ["First alert", clockTime(found.first)], ["Last alert", clockTime(found.last)],
    ["Reliability", latest.reliability === null ? null : latest.reliability.toFixed(3)], ["Picked by", filtersOf(latest)], ["Class", latest.classification],
  ]);
  crossmatches(latest);
  const full = await get(address("alerts", latest.alert_id));
  stamps(byId("stamps"), full);
}

curve(address("objects", id, "lightcurve")).catch((error) => { byId("curve").textContent = error.message; });
object().catch(failed);
