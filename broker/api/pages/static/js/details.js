// What the pages of an alert and of an object share: cutouts, facts, crossmatches, links.

import { alertPath, api, byId, clockTime, el, eventPath, fixed, hours, signed } from "./common.js";

export const position = (ra, dec) => `${hours(ra)} ${signed(dec)}  (${fixed(ra, 5)}, ${fixed(dec, 5)})`;

export function failed(error) {
  const box = byId("failed");
  box.classList.add("on");
  box.replaceChildren(el("strong", {}, error.status === 404 ? "Not found. " : "That did not work. "), error.message,
    ...(error.status === 401 ? [" ", el("a", { href: `/login?${new URLSearchParams({ next: location.pathname + location.search })}` }, "Log in")] : []));
}

export function facts(list, rows) {
  list.replaceChildren(...rows.filter(([, value]) => value !== null && value !== undefined && value !== "").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

export function stamps(box, alert) {
  box.replaceChildren(...["science", "template", "difference"].map((kind) => {
    const href = alert.cutouts?.[kind];
    const image = href
      ? el("img", { src: `${href}?format=png`, alt: `${kind} image around ${alert.object_id ?? alert.alert_id}`, "data-kind": kind })
      : el("div", { class: "none" }, "none");
    return el("figure", {}, image, el("figcaption", {}, kind, href ? el("a", { href: `${href}?format=fits`, "aria-label": `${kind} as FITS` }, "FITS") : ""));
  }));
}

/** Annotations of catalogues, one entry a catalogue: the columns share their catalogue's name. */
export function crossmatches(alert) {
  const groups = new Map();
  for (const [name, value] of Object.entries(alert.annotations)) {
    const dot = name.indexOf(".");
    if (dot < 0 || value === null) continue;
    const group = name.slice(0, dot);
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push([name.slice(dot + 1), value]);
  }
  const near = [...groups].filter(([, columns]) => columns.some(([name]) => name === "sep"));
  const show = (value) => (typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value));
  facts(byId("near"), [
    ...near.flatMap(([group, columns]) => [
      [group, `${show(columns.find(([name]) => name === "sep")[1])}″ away`],
      ...columns.filter(([name]) => name !== "sep").map(([name, value]) => ["", `${name} ${show(value)}`]),
    ]),
    ...alert.skymaps.map((map) => [el("a", { href: eventPath(map.event) }, map.event), `inside ${((map.credible_level ?? 0) * 100).toFixed(1)} % of its sky map`]),
  ]);
  byId("no-near").hidden = near.length > 0 || alert.skymaps.length > 0;
  return new Map([...groups].filter(([group]) => !near.some(([name]) => name === group)));
}

export function outside(ra, dec) {
  if (ra === null) return [];
  const link = (name, href) => el("a", { class: "button", href, rel: "noreferrer", target: "_blank" }, name);
  return [
    link("SIMBAD", `https://simbad.cds.unistra.fr/simbad/sim-coo?Coord=${ra}d${dec < 0 ? "" : "%2B"}${dec}d&Radius=10&Radius.unit=arcsec`),
    link("Aladin", `https://aladin.cds.unistra.fr/AladinLite/?target=${ra}%20${dec}&fov=0.05`),
    link("TNS", `https://www.wis-tns.org/search?ra=${ra}&decl=${dec}&radius=5&coords_unit=arcsec`),
  ];
}

export function alertRow(alert) {
  return el("tr", {},
    el("td", { class: "num nowrap", style: { "text-align": "left" } }, clockTime(alert.time)),
    el("td", {}, el("a", { href: alertPath(alert.alert_id) }, alert.alert_id)),
    el("td", { class: "num" }, alert.mag === null ? "" : `${alert.band ?? ""} ${fixed(alert.mag, 2)} ± ${fixed(alert.mag_err, 2)}`),
    el("td", { class: "num" }, fixed(alert.reliability, 2)),
    el("td", {}, alert.positive === null ? "" : alert.positive ? "brighter" : "fainter"));
}

export const filtersOf = (alert) => (alert.matches?.length ? alert.matches.map((match) => `${match.filter} ${match.version}`).join(", ") : "none");
export const address = (...parts) => api(parts.map((part, index) => (index % 2 ? encodeURIComponent(part) : part)).join("/"));
