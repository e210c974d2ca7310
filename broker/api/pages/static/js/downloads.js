// What can be had of an event, as links.

import { byId, el } from "./common.js";
import { address } from "./details.js";

/** Links; `level` and `galaxies` say what the tables of the page show, so that the files hold the same. */
export function downloads(event) {
  const own = address("events", event.name);
  const map = `${own}/skymap`;
  let level = 0.9;
  let catalog = null;
  const link = (text, href) => el("a", { href, download: "" }, text);
  const row = (title, ...links) => [el("dt", {}, title), el("dd", {}, ...links.flatMap((one, index) => (index ? [" · ", one] : [one])))];

  function draw() {
    const said = `${Math.round(level * 100)} %`;
    const alerts = (format) => `${own}/alerts?level=${level}&limit=10000&format=${format}`;
    const hosts = (format) => `${own}/galaxies?catalog=${catalog}&limit=1000&format=${format}`;
    byId("downloads").replaceChildren(
      ...(event.has_map ? [
        ...row(`Alerts, ${said}`, link("CSV", alerts("csv")), link("VOTable", alerts("votable")), link("Parquet", alerts("parquet"))),
        ...row("Map", link("FITS", map), link("contours", `${map}?format=contours`)),
        ...row(`Region, ${said}`, ...[["MOC FITS", "moc-fits"], ["JSON", "moc-json"], ["ASCII", "moc-ascii"]].map(([text, format]) => link(text, `${map}?format=${format}&level=${level}`))),
        ...row("Picture", ...["png", "svg"].map((format) => link(`whole sky ${format.toUpperCase()}`, `${map}?format=${format}`)), ...["png", "svg"].map((format) => link(`close-up ${format.toUpperCase()}`, `${map}?format=${format}&zoom=true`))),
      ] : []),
      ...(catalog ? row("Galaxies", link("CSV", hosts("csv")), link("VOTable", hosts("votable"))) : []),
      ...row("Event", link("VOEvent", `${own}/voevent`), link("JSON", own), link("latest notice as received", address("alerts", event.latest_alert_id, "packet"))),
    );
  }

  draw();
  return {
    level(value) { level = value; draw(); },
    galaxies(name) { catalog = name; draw(); },
  };
}
