// Galaxies that can host an event, where a catalogue of them is built.

import { api, byId, count, el, fixed, get, percent } from "./common.js";
import { address } from "./details.js";
import { sortedTable } from "./table.js";

const SHOWN = 50;
const nearby = (galaxy) => `/search?q=${encodeURIComponent(`${galaxy.ra.toFixed(5)} ${galaxy.dec.toFixed(5)} 60"`)}`;
const columns = (catalog) => [
  { title: "Rank", num: true, value: (galaxy) => galaxy.rank, cell: (galaxy) => String(galaxy.rank) },
  { title: "Galaxy", value: (galaxy) => galaxy.name || galaxy.id, cell: (galaxy) => galaxy.name || `${catalog} ${galaxy.id}` },
  { title: "Probability", num: true, spare: true, hint: "To be the host, if the host is among those ranked", down: true, value: (galaxy) => galaxy.probability, cell: (galaxy) => percent(galaxy.probability) },
  { title: "Mpc", num: true, spare: true, hint: "Luminosity distance", value: (galaxy) => galaxy.dist, cell: (galaxy) => fixed(galaxy.dist, 1) },
  { title: "B", num: true, spare: true, hint: "Magnitude", value: (galaxy) => galaxy.b_mag, cell: (galaxy) => fixed(galaxy.b_mag, 2) },
  { title: "Level", num: true, hint: "Smallest credible region of the sky that holds it", value: (galaxy) => galaxy.credible_level, cell: (galaxy) => percent(galaxy.credible_level) },
  { title: "Volume", num: true, spare: true, hint: "Smallest credible volume that holds it", value: (galaxy) => galaxy.volume_level, cell: (galaxy) => percent(galaxy.volume_level) },
  { title: "RA", num: true, value: (galaxy) => galaxy.ra, cell: (galaxy) => fixed(galaxy.ra, 4) },
  { title: "Dec", num: true, value: (galaxy) => galaxy.dec, cell: (galaxy) => fixed(galaxy.dec, 4).replace("-", "−") },
  { title: "Alerts", cell: (galaxy) => el("a", { href: nearby(galaxy), "aria-label": `alerts near ${galaxy.name || galaxy.id}` }, "near it") },
];

/**
 * @param {object} event
 * @param {(catalog: string) => void} tell called with the catalogue that was asked
 */
export async function galaxies(event, tell) {
  if (!event.has_map) return;
  byId("galaxies-panel").hidden = false;
  const ranking = (await get(api("catalogs"))).items.filter((one) => one.ranks).map((one) => one.name);
  if (!ranking.length) {
    byId("galaxies-note").textContent = "No catalogue of galaxies is built here: nuncius catalog add glade";
    return;
  }
  const catalog = ranking.includes("glade") ? "glade" : ranking[0];
  const found = await get(`${address("events", event.name, "galaxies")}?catalog=${catalog}&limit=${SHOWN}`);
  tell(catalog);
  const said = [`the first ${count(found.items.length)} of ${count(found.galaxies)} in ${catalog}`, found.weight === "none" ? "not weighed" : `by ${found.weight}`];
  if (found.completeness !== null) said.push(`${percent(found.completeness)} complete`);
  byId("galaxies-note").textContent = said.join(" · ");
  sortedTable(byId("galaxies"), columns(catalog.toUpperCase())).show(found.items);
}
