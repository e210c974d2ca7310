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
export const objectPath = (id) => `/objects/${encodeURIComponent(id)}`;
export const api = (path) => `/api/v1/${path}`;

/** JSON of an address; an error carries what the problem document says. */
export async function get(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail || `${path}: ${answer.status}`), { status: answer.status });
}

/** Which of the eight colours a filter has: always the same for the same name. */
export function filterColour(name) {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) % 7919;
  return `--c${hash % 8}`;
}
