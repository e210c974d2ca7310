// The map of an event: the whole sky or a close-up, with the alerts inside it.

import { alertPath, byId, clockTime, el, eventMark, get, objectPath, percent } from "./common.js";
import { address } from "./details.js";
import { skyMap } from "./sky.js";
import { around, closeUp, wholeSky } from "./view.js";

const CLOSE = 3000; // square degrees: up to that a map is shown as a close-up first

function describe(mark) {
  if (mark.kind === "event") return [el("b", {}, mark.label), mark.note];
  const { alert } = mark;
  const light = alert.mag === null ? "" : `${alert.band ?? ""} = ${alert.mag.toFixed(2)}`;
  return [el("b", {}, mark.label), el("div", {}, `inside ${percent(alert.credible_level)}`), el("div", {}, [light, clockTime(alert.time)].filter(Boolean).join(" · "))];
}

async function contoursOf(event) {
  const found = await get(`${address("events", event.name, "skymap")}?format=contours`);
  const lines = found.features.map((one) => ({ level: one.properties.credible_level, lines: one.geometry.coordinates }));
  return lines.toSorted((one, other) => other.level - one.level);
}

/** Middle of the close-up of an event, or null where there is nothing to look at. */
function closest(event, contours) {
  const [widest, ...inner] = contours ?? [];
  if (widest?.lines.length) {
    const core = (inner.at(-1)?.lines.length ? inner.at(-1) : widest).lines.toSorted((one, other) => other.length - one.length)[0];
    return around(widest.lines.flat(), core[0]);
  }
  return event.ra === null ? null : { ra: event.ra, dec: event.dec, radius: Math.max(0.01, 1.5 * (event.ra_dec_error ?? 1)) };
}

/** The panel; `mark` shows alerts, `ready` is done when the map is there. */
export function eventSky(event) {
  const sky = skyMap(byId("sky"), describe);
  let own = null;
  let middle = null;
  let radius = 0;
  let alerts = [];
  const draw = () => sky.show([...(own ? [own] : []), ...alerts]);

  function look(close) {
    byId("whole").setAttribute("aria-pressed", String(!close));
    byId("close").setAttribute("aria-pressed", String(close));
    for (const id of ["nearer", "farther"]) byId(id).disabled = !close;
    sky.look(close ? closeUp(middle.ra, middle.dec, radius) : wholeSky());
  }

  function zoom(factor) {
    radius = Math.min(60, Math.max(0.001, radius * factor));
    look(true);
  }

  async function ready() {
    const [mark, contours] = await Promise.all([eventMark(event), event.has_map ? contoursOf(event).catch(() => null) : null]);
    own = { ...mark, path: null, contours };
    byId("sky-note").textContent = mark.note;
    byId("sky-panel").hidden = mark.ra === null && !mark.cells;
    middle = closest(event, contours);
    radius = middle?.radius ?? 0;
    byId("views").hidden = middle === null;
    byId("sky-lines").hidden = !contours;
    if (middle !== null) look((event.area90 ?? 0) < CLOSE);
    draw();
  }

  byId("whole").addEventListener("click", () => look(false));
  byId("close").addEventListener("click", () => { radius = middle.radius; look(true); });
  byId("nearer").addEventListener("click", () => zoom(1 / 1.6));
  byId("farther").addEventListener("click", () => zoom(1.6));
  byId("sky").addEventListener("keydown", (press) => {
    if (middle === null || press.ctrlKey || press.metaKey || !"+-=".includes(press.key)) return;
    zoom(press.key === "-" ? 1.6 : 1 / 1.6);
  });
  return {
    ready: ready(),
    mark(found) {
      // The deepest last: over the others, and named first. An object is marked once.
      const once = new Map(found.filter((alert) => alert.ra !== null).toReversed().map((alert) => [alert.object_id ?? alert.alert_id, alert]));
      alerts = [...once].map(([label, alert]) => ({
        kind: "candidate", label, alert, ra: alert.ra, dec: alert.dec, colour: "--c1", path: alert.object_id === null ? alertPath(alert.alert_id) : objectPath(alert.object_id),
      }));
      draw();
    },
  };
}
