// How the sky is laid out on a canvas: all of it, or a part. Paper is 2 to the left and right of the middle, `high` up and down.

import { fromEcliptic, fromGalactic, mollweide, separation, unmollweide } from "./projection.js";

const RAD = Math.PI / 180;
const HIGH = 1.4; // of a close-up
const STEPS = [...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5], 10, 15, 30, 45];
const span = (from, to, step) => Array.from({ length: Math.round((to - from) / step) + 1 }, (_, index) => from + index * step);
const GALAXY = span(0, 360, 1).map((l) => fromGalactic(l, 0));
const ECLIPTIC = span(0, 360, 1).map((longitude) => fromEcliptic(longitude));

/** Pieces of a line of positions as points on paper, cut where it leaves one edge and comes in at the other. */
export function pieces(view, line) {
  const all = [];
  let last = null;
  for (const [ra, dec] of line) {
    const point = view.forward(ra, dec);
    if (point !== null && (last === null || Math.hypot(point[0] - last[0], point[1] - last[1]) > view.leap)) all.push([]);
    if (point !== null) all.at(-1).push(point);
    last = point;
  }
  return all;
}

/** The whole sky, right ascension 12 h in the middle. */
export function wholeSky() {
  const view = { whole: true, high: 1, leap: 1.2, forward: mollweide, backward: unmollweide };
  const grid = [...span(-60, 60, 30).map((dec) => span(0.001, 359.999, 3).map((ra) => [ra + 180, dec])), ...span(30, 330, 30).map((ra) => span(-90, 90, 3).map((dec) => [ra, dec]))];
  view.labels = (scale) => [
    ...(scale > 150 ? span(2, 22, 2) : [6, 12, 18]).map((hour) => ({ text: `${hour}h`, at: mollweide(hour * 15, 0), shift: [0, 14] })),
    ...[-60, -30, 30, 60].map((dec) => ({ text: `${dec > 0 ? "+" : "−"}${Math.abs(dec)}°`, at: mollweide(180, dec), shift: [17, -4] })),
  ];
  return finished(view, grid);
}

/**
 * Part of the sky, equal-area (Lambert): 2 `radius` degrees to the left and right of a place, `HIGH` up and down.
 */
export function closeUp(ra0, dec0, radius) {
  const reach = 2 * Math.sin((Math.min(radius, 90) * RAD) / 2);
  const [sin0, cos0] = [Math.sin(dec0 * RAD), Math.cos(dec0 * RAD)];
  const forward = (ra, dec) => {
    const [lon, lat] = [(ra - ra0) * RAD, dec * RAD];
    const along = sin0 * Math.sin(lat) + cos0 * Math.cos(lat) * Math.cos(lon);
    if (along < -0.9) return null; // the far side, torn apart
    const k = Math.sqrt(2 / (1 + along)) / reach;
    return [-k * Math.cos(lat) * Math.sin(lon), k * (cos0 * Math.sin(lat) - sin0 * Math.cos(lat) * Math.cos(lon))];
  };
  const backward = (x, y) => {
    const [across, up] = [-x * reach, y * reach];
    const rho = Math.hypot(across, up);
    if (rho > 1.95 || Math.abs(x) > 2 || Math.abs(y) > HIGH) return null;
    const angle = 2 * Math.asin(rho / 2);
    const share = rho ? Math.sin(angle) / rho : 1;
    const lat = Math.asin(Math.max(-1, Math.min(1, Math.cos(angle) * sin0 + up * share * cos0)));
    const lon = Math.atan2(across * share, cos0 * Math.cos(angle) - up * share * sin0);
    return [(((ra0 + lon / RAD) % 360) + 360) % 360, lat / RAD];
  };
  const view = { whole: false, high: HIGH, leap: 6, forward, backward, ra: ra0, dec: dec0, radius };
  const step = STEPS.find((value) => value >= radius / 2.5) ?? 45;
  const turn = Math.min(30, [...STEPS, 60].find((value) => value >= (radius / 2) / Math.max(cos0, 0.03)) ?? 30);
  const [low, high] = [Math.max(-90, dec0 - 2.6 * radius), Math.min(90, dec0 + 2.6 * radius)];
  const pole = Math.abs(dec0) + 1.5 * radius > 88;
  const half = pole ? 180 : Math.min(180, (2.6 * radius) / Math.max(Math.cos((Math.abs(dec0) + radius) * RAD), 0.02));
  const decs = multiples(step, low, high).filter((dec) => Math.abs(dec) < 89.999);
  const ras = half >= 180 ? span(0, 360 - turn, turn) : multiples(turn, ra0 - half, ra0 + half);
  const grid = [...decs.map((dec) => span(0, 1, 1 / 120).map((part) => [ra0 - half + 2 * half * part, dec])), ...ras.map((ra) => span(0, 1, 1 / 60).map((part) => [ra, low + (high - low) * part]))];
  view.labels = () => [
    ...crossings(view, ras.map((ra) => [ra % 360 < 0 ? (ra % 360) + 360 : ra % 360, span(0, 1, 1 / 200).map((part) => [ra, low + (high - low) * part])]), 1, -0.99 * HIGH)
      .map(([value, point]) => ({ text: `${trimmed(value)}°`, at: [point, -HIGH], shift: [0, -6] })),
    ...crossings(view, decs.map((dec) => [dec, span(0, 1, 1 / 400).map((part) => [ra0 - half + 2 * half * part, dec])]), 0, -1.99)
      .map(([value, point]) => ({ text: `${value < 0 ? "−" : value > 0 ? "+" : ""}${trimmed(Math.abs(value))}°`, at: [-2, point], shift: [6, -4], align: "left" })),
  ];
  return finished(view, grid);
}

function finished(view, grid) {
  const drawn = (lines) => lines.flatMap((line) => pieces(view, line));
  return Object.assign(view, { grid: drawn(grid), galaxy: drawn([GALAXY]), ecliptic: drawn([ECLIPTIC]) });
}

const trimmed = (value) => String(Number(value.toFixed(4)));

function multiples(step, low, high) {
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) }, (_, index) => Number(((first + index) * step).toFixed(6)));
}

/** Where lines cross an edge of the paper: `axis` 1 for the lower, 0 for the left one. */
function crossings(view, lines, axis, edge) {
  const found = [];
  for (const [value, line] of lines) {
    for (const piece of pieces(view, line)) {
      const at = piece.findIndex((point, index) => index && (point[axis] - edge) * (piece[index - 1][axis] - edge) <= 0);
      if (at < 1) continue;
      const other = piece[at][1 - axis];
      if (Math.abs(other) < (axis ? 1.93 : 0.95 * HIGH)) found.push([value, other]);
      break;
    }
  }
  return found;
}

/** The part of the sky that holds positions: round their middle, or round `likely` where they are scattered. */
export function around(positions, likely) {
  const vectors = positions.map(([ra, dec]) => [Math.cos(dec * RAD) * Math.cos(ra * RAD), Math.cos(dec * RAD) * Math.sin(ra * RAD), Math.sin(dec * RAD)]);
  const sum = vectors.reduce((total, vector) => total.map((value, axis) => value + vector[axis]), [0, 0, 0]);
  const length = Math.hypot(...sum);
  const gathered = length > 0.7 * vectors.length;
  const [ra, dec] = gathered ? [(Math.atan2(sum[1], sum[0]) / RAD + 360) % 360, Math.asin(sum[2] / length) / RAD] : likely;
  if (!gathered) return { ra, dec, radius: 45 };
  const test = closeUp(ra, dec, 60);
  const far = positions.map(([one, other]) => [test.forward(one, other), separation(ra, dec, one, other)]);
  const radii = far.map(([point, apart]) => (point === null ? 90 : apart * Math.max(Math.abs(point[1]) / HIGH, Math.abs(point[0]) / 2) / Math.max(Math.hypot(...point), 1e-9)));
  return { ra, dec, radius: Math.min(90, Math.max(0.002, 1.25 * Math.max(...radii))) };
}
