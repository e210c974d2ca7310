// The page of an event: what is known of it and what it took to know it. Its map is eventsky.js, what lies in it candidates.js, who
// looked for it followup.js.

import { alertPath, api, area, byId, clockTime, el, eventPath, fixed, get, oncePer, signedTime } from "./common.js";
import { candidates } from "./candidates.js";
import { address, facts, failed, outside, position } from "./details.js";
import { downloads } from "./downloads.js";
import { eventSky } from "./eventsky.js";
import { followUp } from "./followup.js";
import { galaxies } from "./galaxies.js";

const asked = byId("page").dataset.event;
const words = (state) => (state ?? "").replace("_", " ");

function known(event) {
  byId("state").textContent = `${words(event.state)}${event.test ? " · test" : ""}`;
  byId("state").className = event.retracted ? "warned" : "quiet";
  byId("where").textContent = event.ra === null ? "" : position(event.ra, event.dec);
  byId("links").replaceChildren(...outside(event.ra, event.dec));
  facts(byId("facts"), [
    ["Also known as", event.aliases.join(", ") || null], ["Time (UTC)", event.time && clockTime(event.time)], ["Messenger", event.messenger],
    ["Mission", event.mission], ["Instrument", event.instrument],
    ["Error radius", event.ra_dec_error === null ? null : `${event.ra_dec_error.toPrecision(3)}°`],
    ["Significant", event.significant === null ? null : event.significant ? "yes" : "no"],
    ["False alarm rate", event.far === null ? null : `${event.far.toExponential(2)} Hz (${oncePer(event.far)})`],
    ["Class", event.classification], ["Astrophysical", event.p_astro === null ? null : fixed(event.p_astro, 3)],
    ["50 % area", area(event.area50)], ["90 % area", area(event.area90)],
    ["Distance", event.distmean === null ? null : `${fixed(event.distmean, 0)} ± ${fixed(event.diststd, 0)} Mpc`],
    ["First heard of", clockTime(event.created)], ["Last heard of", clockTime(event.updated)],
  ]);
  byId("revisions").replaceChildren(...event.revisions.map((one) => el("tr", {},
    el("td", { class: "num" }, String(one.revision)), el("td", { class: "num quiet" }, clockTime(one.received)),
    el("td", {}, el("a", { href: alertPath(one.alert_id) }, one.type ?? one.alert_type ?? "notice")),
    el("td", { class: one.state === "retracted" ? "warned" : "" }, words(one.state)), el("td", { class: "told" }, one.change))));
  byId("revisions-panel").hidden = event.revisions.length === 0;
  byId("circulars-panel").hidden = event.circulars.length === 0;
  byId("circulars").replaceChildren(...event.circulars.map((one) => el("tr", {},
    el("td", {}, el("a", { href: alertPath(one.alert_id) }, one.version > 1 ? `${one.circular} (version ${one.version})` : one.circular)),
    el("td", {}, one.subject ?? ""))));
}

async function coincidences(event) {
  const { items } = await get(address("events", event.name, "coincidences"));
  byId("coincidences-panel").hidden = items.length === 0;
  byId("coincidences").replaceChildren(...items.map((one) => {
    const [other, dt] = one.event.event_name === event.name ? [one.external, one.dt] : [one.event, -one.dt];
    const far = one.far_space_time ?? one.far_temporal;
    return el("tr", {},
      el("td", {}, el("a", { href: eventPath(other.event_name) }, other.name)), el("td", {}, [other.mission ?? other.messenger, other.kind].filter(Boolean).join(" · ")),
      el("td", { class: "num" }, signedTime(dt)), el("td", { class: "num" }, far === null ? "" : el("a", { href: api(`coincidences/${encodeURIComponent(one.id)}`) }, oncePer(far))),
      el("td", { class: "num" }, one.overlap === null ? "" : String(Number(one.overlap.toPrecision(3)))), el("td", { class: "num" }, area(one.area90)),
      el("td", { class: one.state === "live" ? "" : "warned", title: one.message }, one.state, one.publishable ? " · significant" : ""));
  }));
}

async function show() {
  const event = await get(address("events", asked));
  known(event);
  document.title = `${event.name}: Nuncius`;
  const sky = eventSky(event);
  const links = downloads(event);
  const parts = [
    [coincidences(event), "coincidences-failed"],
    [followUp(event), "followup-failed"],
    [candidates(event, (found, level) => { sky.mark(found); links.level(level); }), "candidates-failed"],
    [galaxies(event, links.galaxies), "galaxies-failed"],
    [sky.ready, "sky-note"],
  ];
  await Promise.all(parts.map(([part, box]) => part.catch((error) => { byId(box).textContent = error.message; byId(box).closest(".panel").hidden = false; })));
}

show().catch(failed);
