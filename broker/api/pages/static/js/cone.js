// Positions as people write them.

const NUMBER = "[+-]?\\d+(?:\\.\\d*)?";
const COLONS = "[+-]?\\d{1,3}:\\d{1,2}(?::\\d{1,2}(?:\\.\\d*)?)?";
const UNITS = "[+-]?\\d{1,3}[hd°]\\d{1,2}[m'′](?:\\d{1,2}(?:\\.\\d*)?[s\"″])?";
const ANGLE = `(${COLONS}|${UNITS}|${NUMBER}°?)`;
const RADIUS = "(\\d*\\.?\\d+)\\s*(\"|″|''|arcsec|as|s|'|′|arcmin|am|m|°|deg|d)?";
const PAIR = new RegExp(`^${ANGLE}[\\s,;]+${ANGLE}(?:[\\s,;]+${RADIUS})?$`, "i");
const SPACED = new RegExp(`^(\\d{1,2}) (\\d{1,2}) (\\d{1,2}(?:\\.\\d*)?)[\\s,;]+([+-]\\d{1,2}) (\\d{1,2}) (\\d{1,2}(?:\\.\\d*)?)(?:[\\s,;]+${RADIUS})?$`, "i");
const DEFAULT = 1 / 60; // an arcminute

const size = (value, unit) => {
  if (value === undefined) return DEFAULT;
  const part = /^("|″|''|arcsec|as|s)$/i.test(unit ?? "") ? 3600 : /^('|′|arcmin|am|m)$/i.test(unit ?? "") ? 60 : 1;
  return Number(value) / part;
};

/**
 * `ra dec [radius]`: degrees, hh:mm:ss or 12h30m49s; the radius in degrees unless it says ″ or ′, an arcminute if it is not there.
 * @returns {{ra: string, dec: string, radius: number} | null} null where it is no position
 */
export function angles(text) {
  const plain = text.replaceAll("−", "-").replaceAll(/\s+/g, " ").trim();
  const spaced = SPACED.exec(plain);
  if (spaced) return { ra: spaced.slice(1, 4).join(":"), dec: spaced.slice(4, 7).join(":"), radius: size(spaced[7], spaced[8]) };
  const found = PAIR.exec(plain);
  if (!found) return null;
  return { ra: found[1].replace(/^\+|°$/g, ""), dec: found[2].replace(/°$/, ""), radius: size(found[3], found[4]) };
}
