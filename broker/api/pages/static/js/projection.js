// The sphere on a plane: Mollweide, right ascension growing to the left, 12 h in the middle.

const RAD = Math.PI / 180;

/** Point of the unit ellipse (x in -2..2, y in -1..1, up is north) of a position in degrees. */
export function mollweide(ra, dec) {
  const phi = dec * RAD;
  let theta = phi;
  if (Math.abs(dec) > 89.99) theta = Math.sign(dec) * Math.PI / 2;
  else {
    for (let step = 0; step < 12; step += 1) {
      const change = (2 * theta + Math.sin(2 * theta) - Math.PI * Math.sin(phi)) / (2 + 2 * Math.cos(2 * theta));
      theta -= change;
      if (Math.abs(change) < 1e-7) break;
    }
  }
  const east = (((ra - 180) % 360) + 540) % 360 - 180;
  return [-(2 / 180) * east * Math.cos(theta), Math.sin(theta)];
}

/** Position in degrees of a point of the unit ellipse, or null outside it. */
export function unmollweide(x, y) {
  if ((x / 2) ** 2 + y ** 2 > 1) return null;
  const theta = Math.asin(y);
  const dec = Math.asin((2 * theta + Math.sin(2 * theta)) / Math.PI) / RAD;
  const width = Math.cos(theta);
  const east = width < 1e-6 ? 0 : (-x / 2) * 180 / width;
  return [(((180 + east) % 360) + 360) % 360, dec];
}

/** Position `distance` degrees from another, in direction `angle` (degrees, north through east). */
export function offset(ra, dec, distance, angle) {
  const [d, a, r] = [dec * RAD, angle * RAD, distance * RAD];
  const sine = Math.sin(d) * Math.cos(r) + Math.cos(d) * Math.sin(r) * Math.cos(a);
  const there = Math.asin(Math.max(-1, Math.min(1, sine)));
  const turn = Math.atan2(Math.sin(a) * Math.sin(r) * Math.cos(d), Math.cos(r) - Math.sin(d) * Math.sin(there));
  return [(((ra + turn / RAD) % 360) + 360) % 360, there / RAD];
}

/** Degrees between two positions. */
export function separation(ra, dec, otherRa, otherDec) {
  const [a, b, turn] = [dec * RAD, otherDec * RAD, (otherRa - ra) * RAD];
  const half = Math.sin((b - a) / 2) ** 2 + Math.cos(a) * Math.cos(b) * Math.sin(turn / 2) ** 2;
  return (2 * Math.asin(Math.min(1, Math.sqrt(half)))) / RAD;
}

/** Closed line of positions at `radius` degrees around a position. */
export function circle(ra, dec, radius, steps = 96) {
  return Array.from({ length: steps + 1 }, (_, step) => offset(ra, dec, radius, (360 * step) / steps));
}

const GALACTIC = [[-0.0548755604, 0.4941094279, -0.867666149], [-0.8734370902, -0.44482963, -0.1980763734], [-0.4838350155, 0.7469822445, 0.4559837762]];

/** Equatorial position of a galactic one, degrees. */
export function fromGalactic(l, b) {
  const v = [Math.cos(b * RAD) * Math.cos(l * RAD), Math.cos(b * RAD) * Math.sin(l * RAD), Math.sin(b * RAD)];
  const [x, y, z] = [0, 1, 2].map((axis) => GALACTIC[0][axis] * v[0] + GALACTIC[1][axis] * v[1] + GALACTIC[2][axis] * v[2]);
  return [(Math.atan2(y, x) / RAD + 360) % 360, Math.asin(z) / RAD];
}

const OBLIQUITY = 23.4393 * RAD;

/** Equatorial position of an ecliptic one, degrees. */
export function fromEcliptic(longitude, latitude = 0) {
  const [l, b] = [longitude * RAD, latitude * RAD];
  const [x, y, z] = [Math.cos(b) * Math.cos(l), Math.cos(b) * Math.sin(l), Math.sin(b)];
  const [north, up] = [y * Math.cos(OBLIQUITY) - z * Math.sin(OBLIQUITY), y * Math.sin(OBLIQUITY) + z * Math.cos(OBLIQUITY)];
  return [(Math.atan2(north, x) / RAD + 360) % 360, Math.asin(up) / RAD];
}

/** Where the Sun is, to about 0.01 degrees (Astronomical Almanac, low-precision formula). */
export function sun(date) {
  const n = date.getTime() / 86400000 + 2440587.5 - 2451545;
  const g = (357.528 + 0.9856003 * n) * RAD;
  return fromEcliptic(280.46 + 0.9856474 * n + 1.915 * Math.sin(g) + 0.02 * Math.sin(2 * g));
}

/** Where the Moon is, to about 0.3 degrees (Astronomical Almanac, low-precision formula, geocentric). */
export function moon(date) {
  const t = (date.getTime() / 86400000 + 2440587.5 - 2451545) / 36525;
  const s = (start, speed) => Math.sin((start + speed * t) * RAD);
  const longitude = 218.32 + 481267.881 * t + 6.29 * s(135, 477198.87) - 1.27 * s(259.3, -413335.36) + 0.66 * s(235.7, 890534.22)
    + 0.21 * s(269.9, 954397.74) - 0.19 * s(357.5, 35999.05) - 0.11 * s(186.5, 966404.03);
  const latitude = 5.13 * s(93.3, 483202.02) + 0.28 * s(228.2, 960400.89) - 0.28 * s(318.3, 6003.15) - 0.17 * s(217.6, -407332.21);
  return fromEcliptic(longitude, latitude);
}

/** Lit part of the Moon, 0 to 1. */
export function phase(date) {
  const [[ra, dec], [moonRa, moonDec]] = [sun(date), moon(date)];
  const apart = Math.sin(dec * RAD) * Math.sin(moonDec * RAD) + Math.cos(dec * RAD) * Math.cos(moonDec * RAD) * Math.cos((ra - moonRa) * RAD);
  return (1 - apart) / 2;
}
