// A filter's text as the editor reads it: TOML, with SQL in `where` and `select`. It colours and tells where the caret is; what is
// right and wrong is for the API to say.

const WORDS = new Set("AND OR NOT IS NULL TRUE FALSE BETWEEN IN LIKE ILIKE ESCAPE CASE WHEN THEN ELSE END INTERVAL DISTINCT FROM AS".split(" "));
/** What is offered of SQL's own words. */
export const OFFERED_WORDS = ["AND", "OR", "NOT", "IS NULL", "IS NOT NULL", "IS NOT TRUE", "BETWEEN", "IN", "LIKE", "ILIKE", "CASE", "WHEN", "THEN", "ELSE", "END", "TRUE", "FALSE"];
const OUTER = /#[^\n]*|^[ \t]*\[\[?[^\]\n]*\]{0,2}|[A-Za-z_][\w-]*|[+-]?\d[\w.+:-]*|[^\S\n]+|[\s\S]/gmy;
const INNER = /'(?:[^']|'')*'?|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|[A-Za-z_][\w.]*|\s+|[\s\S]/gy;
const LARGEST = 60_000; // characters that are coloured while somebody types

/** End of the TOML string that begins at `start`, and where what it says begins and ends; one not closed ends with its line. */
function stringAt(text, start) {
  const quote = text[start];
  const long = text.startsWith(quote.repeat(3), start);
  const mark = long ? quote.repeat(3) : quote;
  const from = start + mark.length;
  for (let at = from; at < text.length; at += 1) {
    if (quote === '"' && text[at] === "\\") at += 1;
    else if (text.startsWith(mark, at)) return { from, to: at, end: at + mark.length };
    else if (!long && text[at] === "\n") return { from, to: at, end: at };
  }
  return { from, to: text.length, end: text.length };
}

/**
 * Pieces of the text that mean something.
 * @returns {{kind: string, start: number, end: number, key?: string}[]} in order; a string has the `key` it is the value of, and
 *   `from` and `to` of what it says
 */
function pieces(text) {
  const found = [];
  let key = "";
  let root = true; // before the first [[example]]
  let fresh = true; // at the beginning of a line, but for blanks
  let depth = 0; // of brackets of a list
  for (let at = 0; at < text.length;) {
    if (text[at] === '"' || text[at] === "'") {
      const string = stringAt(text, at);
      found.push({ kind: "string", start: at, ...string, key: root ? key : "" });
      at = string.end;
      fresh = false;
      continue;
    }
    OUTER.lastIndex = at;
    const [piece] = OUTER.exec(text);
    const end = at + piece.length;
    if (piece === "\n") { if (depth === 0) key = ""; fresh = true; }
    else if (piece.startsWith("#")) found.push({ kind: "comment", start: at, end });
    else if (/^[ \t]*\[/.test(piece) && fresh && depth === 0) { found.push({ kind: "table", start: at, end }); root = false; }
    else if (/^[A-Za-z_]/.test(piece) && fresh && depth === 0) { key = piece; found.push({ kind: "key", start: at, end }); fresh = false; }
    else if (/^(true|false|[+-]?\d)/.test(piece)) { found.push({ kind: "number", start: at, end }); fresh = false; }
    else if (piece.trim()) {
      depth = Math.max(0, depth + (piece.startsWith("[") ? piece.split("[").length - piece.split("]").length : piece === "]" ? -1 : 0));
      fresh = false;
    }
    at = end;
  }
  return found;
}

const isSql = (piece) => piece.kind === "string" && (piece.key === "where" || piece.key === "select");

function* sql(text, { from, to }, functions) {
  const said = text.slice(from, to);
  INNER.lastIndex = 0;
  for (let match = INNER.exec(said); match; match = INNER.exec(said)) {
    const [start, end] = [from + match.index, from + INNER.lastIndex];
    const word = match[0];
    if (word[0] === "'") yield { kind: "literal", start, end };
    else if (/\d/.test(word[0])) yield { kind: "number", start, end };
    else if (/[A-Za-z_]/.test(word[0])) {
      const called = /^\s*\(/.test(said.slice(match.index + word.length, match.index + word.length + 8));
      yield { kind: called && functions.has(word.toLowerCase()) ? "function" : WORDS.has(word.toUpperCase()) ? "word" : "column", start, end };
    }
    if (INNER.lastIndex >= said.length) return;
  }
}

/** Stretches to be coloured, in order, none over another. */
export function coloured(text, functions) {
  if (text.length > LARGEST) return [];
  return pieces(text).flatMap((piece) => (isSql(piece)
    ? [{ kind: "string", start: piece.start, end: piece.from }, ...sql(text, piece, functions), { kind: "string", start: piece.to, end: piece.end }]
    : [piece]));
}

/** Strings that a key of the text has, such as those of `stream`. */
export const valuesOf = (text, key) => pieces(text).filter((piece) => piece.kind === "string" && piece.key === key).map((piece) => text.slice(piece.from, piece.to));

/**
 * What can be completed at a place: the word that ends there, and whether it is of SQL or the name of a stream.
 * @returns {{of: "sql"|"stream", start: number, end: number, word: string}|null}
 */
export function wordAt(text, place) {
  const piece = pieces(text).find((one) => one.kind === "string" && one.from <= place && place <= one.to);
  if (!piece || !(isSql(piece) || piece.key === "stream")) return null;
  if (piece.key === "stream") return { of: "stream", start: piece.from, end: piece.to, word: text.slice(piece.from, place) };
  const before = text.slice(piece.from, place);
  if ((before.split("'").length - 1) % 2) return null; // inside a text of SQL
  const word = /[A-Za-z_][\w.]*$/.exec(before)?.[0] ?? "";
  const after = /^[\w.]*/.exec(text.slice(place, piece.to))[0];
  return { of: "sql", start: place - word.length, end: place + after.length, word };
}

/** Offset of a line and column counted as the API counts: from 1, in whole characters. */
export function offsetOf(text, line, column) {
  const lines = text.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  return Math.min(text.length, before + [...(lines[line - 1] ?? "")].slice(0, Math.max(0, column - 1)).join("").length);
}
