// The page of an event.

import { alertPath, byId, clockTime, count, el, eventMark, fixed, get } from "./common.js";
import { address, facts, failed, outside, position } from "./details.js";
import { skyMap } from "./sky.js";

const name = byId("page").dataset.event;
const words = (state) => (state ?? "").replace("_", " ");
const area = (value) => (value === null ? null : `${count(Math.round(value))} deg²`);

async function show() {
  const event = await get(address("events", name));
  byId("state").textContent = `${words(event.state)}${event.test ? " · test" : ""}`;
  byId("state").className = event.retracted ? "warned" : "quiet";
  byId("where").textContent = event.ra === null ? "" : position(event.ra, event.dec);
  byId("links").replaceChildren(...outside(event.ra, event.dec));
  facts(byId("facts"), [
    ["Also known as", event.aliases.join(", ") || null], ["Time (UTC)", event.time && clockTime(event.time)], ["Messenger", event.messenger],
    ["Mission", event.mission], ["Instrument", event.instrument],
    ["Error radius", event.ra_dec_error === null ? null : `${event.ra_dec_error.toPrecision(3)}°`],
    ["Significant", event.significant === null ? null : event.significant ? "yes" : "no"],
    ["False alarm rate", event.far === null ? null : `${event.far.toExponential(2)} Hz (one in ${(1 / event.far / 31557600).toPrecision(3)} years)`],
    ["Class", event.classification], ["Astrophysical", event.p_astro === null ? null : fixed(event.p_astro, 3)],
    ["50% area", area(event.area50)], ["90% area", area(event.area90)],
    ["Distance", event.distmean === null ? null : `${fixed(event.distmean, 0)} ± ${fixed(event.diststd, 0)} Mpc`],
    ["First heard of", clockTime(event.created)], ["Last heard of", clockTime(event.updated)],
  ]);
  byId("revisions").replaceChildren(...event.revisions.map((one) => el("tr", {},
    el("td", { class: "num" }, String(one.revision)), el("td", { class: "num quiet" }, clockTime(one.received)),
    el("td", {}, el("a", { href: alertPath(one.alert_id) }, one.type ?? one.alert_type ?? "notice")),
    el("td", { class: one.state === "retracted" ? "warned" : "" }, words(one.state)), el("td", {}, one.change))));
  byId("circulars-panel").hidden = event.circulars.length === 0;
  byId("circulars").replaceChildren(...event.circulars.map((one) => el("tr", {},
    el("td", {}, el("a", { href: alertPath(one.alert_id) }, one.version > 1 ? `${one.circular} (version ${one.version})` : one.circular)),
    el("td", {}, one.subject ?? ""))));
  const mark = await eventMark(event);
  byId("sky-note").textContent = mark.note;
  byId("sky-panel").hidden = mark.ra === null && !mark.cells;
  skyMap(byId("sky"), () => [el("b", {}, mark.label), mark.note]).show([{ ...mark, path: null }]);
}

show().catch(failed);
