// What every page needs: elements, numbers and angles as people read them, the API.

/** Element with attributes and children; text goes in as text, never as markup. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") for (const [key, item] of Object.entries(value)) made.style.setProperty(key, item);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Colour as the style sheet has it now. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const count = (value) => (value ?? 0).toLocaleString("en");

export const fixed = (value, digits) => (value === null || value === undefined ? "" : value.toFixed(digits));

export const clockTime = (iso) => (iso ? iso.slice(0, 19).replace("T", " ") : "");

export function duration(seconds) {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor((whole % 86400) / 3600), Math.floor((whole % 3600) / 60)];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${whole} s`;
}

/** Degrees as hh:mm:ss.ss. */
export function hours(degrees) {
  const hundredths = Math.round((degrees / 15) * 360000) % 8640000;
  const pad = (value) => String(Math.floor(value)).padStart(2, "0");
  return `${pad(hundredths / 360000)}:${pad((hundredths / 6000) % 60)}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, "0")}`;
}

/** Degrees as ±dd:mm:ss.s. */
export function signed(degrees) {
  const tenths = Math.round(Math.abs(degrees) * 36000);
  const pad = (value) => String(Math.floor(value)).padStart(2, "0");
  return `${degrees < 0 ? "−" : "+"}${pad(tenths / 36000)}:${pad((tenths / 600) % 60)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

export const alertPath = (id) => `/alerts/${encodeURIComponent(id)}`;
export const eventPath = (id) => `/events/${encodeURIComponent(id)}`;
export const filterPath = (name) => (name === "new" ? "/filters/new?name=new" : `/filters/${encodeURIComponent(name)}`); // the page of a new one has that address
export const objectPath = (id) => `/objects/${encodeURIComponent(id)}`;
export const api = (path) => `/api/v1/${path}`;

/** JSON of an address; an error carries what the problem document says. */
export const get = (path) => answered(path, { headers: { Accept: "application/json" } });

/** JSON that answers what is sent; as `get`. */
export const send = (method, path, body) => answered(path, { method, headers: { Accept: "application/json", "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** A file, sent as a form has it; as `get`. */
export function sendFile(method, path, file) {
  const body = new FormData();
  body.set("file", file);
  return answered(path, { method, headers: { Accept: "application/json" }, body });
}

async function answered(path, request) {
  const answer = await fetch(path, request);
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail || `${path}: ${answer.status}`), { status: answer.status, problem });
}

const places = new Map();

/** Give filters their colours: by their place on the list, so that neighbours differ. */
export function rankFilters(names) {
  for (const name of names) if (!places.has(name)) places.set(name, places.size);
}

/** Which of the eight colours a filter has. */
export function filterColour(name) {
  rankFilters([name]);
  return `--c${places.get(name) % 8}`;
}

/** Which shape its points have: eight filters share one, so that no two of the first 24 look the same. */
export function filterShape(name) {
  rankFilters([name]);
  return ["disc", "square", "triangle"][Math.floor(places.get(name) / 8) % 3];
}

/** Colour of an event: one a messenger. */
export const eventColour = (messenger) => ({ GW: "--c5", Neutrino: "--c6" })[messenger] ?? "--c7";

/** The event as a mark for the sky map, with the region of its map where it has one. */
export async function eventMark(event) {
  const region = event.has_map ? await get(api(`events/${encodeURIComponent(event.name)}/region`)).catch(() => null) : null;
  const radius = region ? null : event.ra_dec_error;
  const size = event.area90 ? area(event.area90) : radius ? `± ${degrees(radius)}` : "";
  return {
    kind: "event", label: event.name, path: alertPath(event.latest_alert_id), colour: eventColour(event.messenger), radius, cells: region?.cells,
    ...(event.ra === null && region ? middle(region.cells) : { ra: event.ra, dec: event.dec }),
    note: [event.mission ?? event.messenger, event.classification, size].filter(Boolean).join(" · "),
  };
}

/** Square degrees, arcminutes or arcseconds, with two digits at least. */
export function area(value) {
  if (value === null || value === undefined) return "";
  const [size, unit] = value >= 0.1 ? [value, "deg²"] : value * 3600 >= 0.1 ? [value * 3600, "arcmin²"] : [value * 3600 ** 2, "arcsec²"];
  return `${size >= 10 ? count(Math.round(size)) : Number(size.toPrecision(2))} ${unit}`;
}

/** Seconds with a sign, in the unit that suits them. */
export function signedTime(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const size = Math.abs(seconds);
  const [value, unit] = size < 120 ? [size, "s"] : size < 7200 ? [size / 60, "min"] : size < 172800 ? [size / 3600, "h"] : [size / 86400, "d"];
  return `${seconds < 0 ? "−" : "+"}${value.toFixed(value < 10 ? 2 : 1)} ${unit}`;
}

export const percent = (part) => (part === null || part === undefined ? "" : `${(100 * part).toFixed(part < 0.1 ? 2 : 1)} %`);

/** A rate in Hz as people say it. */
export function oncePer(hertz) {
  const years = 1 / hertz / 31557600;
  return years >= 1 ? `1 per ${years >= 1e5 ? years.toExponential(1) : count(Number(years.toPrecision(3)))} yr` : `${(1 / years).toPrecision(3)} per yr`;
}

export const degrees = (value) => (value < 0.02 ? `${(value * 3600).toFixed(1)}″` : value < 1 ? `${(value * 60).toFixed(1)}′` : `${value.toFixed(1)}°`);

/** The cell nearest to the middle of all: where a mark is put for a region, which need not hold its own middle. */
function middle(cells) {
  const rad = Math.PI / 180;
  const vectors = cells.map(([[ra, dec]]) => [Math.cos(dec * rad) * Math.cos(ra * rad), Math.cos(dec * rad) * Math.sin(ra * rad), Math.sin(dec * rad)]);
  const sum = vectors.reduce((total, vector) => total.map((value, axis) => value + vector[axis]), [0, 0, 0]);
  const along = vectors.map((vector) => vector.reduce((total, value, axis) => total + value * sum[axis], 0));
  const [ra, dec] = cells[along.indexOf(Math.max(...along))][0];
  return { ra, dec };
}
