// The sky map: a canvas that draws points, error circles and map regions, and tells what is under the pointer.

import { byId, colour } from "./common.js";
import { room, writeNames } from "./labels.js";
import { circle, moon, phase, sun } from "./projection.js";
import { shape, told } from "./shapes.js";
import { pieces, wholeSky } from "./view.js";

const MARGIN = 10;
const REACH = 14; // pixels from a point that still count as on it
const NAMED = 30; // candidates that are named at most
const FAINT = 0.32;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {(mark: object) => Node[]} describe what the tip says of a mark
 * A mark has: ra, dec, path, label, colour (name of a custom property), radius (degrees), cells (corners) or contours (closed
 * lines of each level, the widest first), fresh (ms), kind (event, candidate or none), shape (disc, square, triangle).
 */
export function skyMap(canvas, describe) {
  let view = wholeSky();
  const tip = byId("tip");
  const spoken = byId("spoken");
  let marks = [];
  let chosen = null;
  let scale = 1;
  let asked = false;
  let space = room(0, 0);
  const place = ([x, y]) => [canvas.clientWidth / 2 + x * scale, canvas.clientHeight / 2 - y * scale];

  function stroke(context, lines, style, width, dash = []) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.setLineDash(dash);
    context.beginPath();
    for (const line of lines) line.forEach((point, index) => (index ? context.lineTo(...place(point)) : context.moveTo(...place(point))));
    context.stroke();
    context.setLineDash([]);
  }

  const seen = (point) => (point !== null && (view.whole || (Math.abs(point[0]) <= 2 && Math.abs(point[1]) <= view.high)) ? point : null);
  const where = (mark) => (mark.ra === null || mark.ra === undefined ? null : seen(view.forward(mark.ra, mark.dec)));

  function rim(context) {
    const [x, y] = place([0, 0]);
    context.beginPath();
    if (view.whole) context.ellipse(x, y, 2 * scale, scale, 0, 0, 2 * Math.PI);
    else context.rect(x - 2 * scale, y - view.high * scale, 4 * scale, 2 * view.high * scale);
  }

  function ground(context) {
    rim(context);
    context.fillStyle = colour("--sky");
    context.fill();
    stroke(context, view.grid, colour("--grid"), 1);
    stroke(context, view.galaxy, colour("--galactic"), 1.5);
    stroke(context, view.ecliptic, colour("--ecliptic"), 1.25, [5, 4]);
  }

  function frame(context) {
    rim(context);
    context.strokeStyle = colour("--sky-edge");
    context.lineWidth = 1.25;
    context.stroke();
  }

  function written(context, text, x, y) {
    const wide = context.measureText(text).width;
    const left = x - { left: 0, center: wide / 2, right: wide }[context.textAlign];
    if (!view.whole && space.free(left, y, wide) === null) return;
    space.take([left, y - 11, left + wide, y + 3]);
    context.fillText(text, x, y);
  }

  function labels(context) {
    context.font = `${scale > 150 ? 12 : 10}px ${colour("--sans")}`;
    context.fillStyle = colour("--quiet");
    for (const { text, at, shift, align } of view.labels(scale)) {
      const [x, y] = place(at);
      context.textAlign = align ?? "center";
      written(context, text, x + shift[0], y + shift[1]);
    }
    context.textAlign = "center";
    const now = new Date();
    body(context, sun(now), "Sun", "--ecliptic");
    body(context, moon(now), `Moon ${Math.round(phase(now) * 100)} %`, "--quiet");
  }

  function body(context, [ra, dec], name, paint) {
    const point = seen(view.forward(ra, dec));
    if (point === null) return;
    const [x, y] = place(point);
    context.strokeStyle = colour(paint);
    context.fillStyle = colour(paint);
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(x, y, 6, 0, 2 * Math.PI);
    context.stroke();
    if (name === "Sun") {
      context.beginPath();
      context.arc(x, y, 1.6, 0, 2 * Math.PI);
      context.fill();
    }
    written(context, name, x, y - 10);
    space.take([x - 7, y - 7, x + 7, y + 7]);
  }

  function trace(context, points) {
    points.forEach((point, index) => (index ? context.lineTo(...place(point)) : context.moveTo(...place(point))));
    context.closePath();
  }

  function fillCells(context, cells) {
    context.globalAlpha = FAINT;
    context.beginPath();
    for (const corners of cells) {
      const points = corners.map(([ra, dec]) => view.forward(ra, dec));
      if (points.includes(null)) continue;
      const xs = points.map(([x]) => x);
      if (Math.max(...xs) - Math.min(...xs) <= view.leap) trace(context, points); // else on the seam of the map
    }
    context.fill();
    context.globalAlpha = 1;
  }

  /** Inside of closed lines, holes left out, where none of them is cut. */
  function fillLines(context, lines, alpha) {
    if (lines.some((line) => line.length !== 1)) return;
    context.globalAlpha = alpha;
    context.beginPath();
    for (const [line] of lines) trace(context, line);
    context.fill("evenodd");
    context.globalAlpha = 1;
  }

  function region(context, mark) {
    const paint = colour(mark.colour);
    context.fillStyle = paint;
    if (mark.cells && (view.whole || !mark.contours)) fillCells(context, mark.cells);
    for (const contour of mark.contours ?? []) {
      const lines = contour.lines.map((line) => pieces(view, line));
      if (!view.whole) fillLines(context, lines, 0.22);
      stroke(context, lines.flat(), paint, view.whole ? 1 : 1.5);
    }
    if (mark.radius) {
      const lines = pieces(view, circle(mark.ra, mark.dec, Math.min(mark.radius, 89)));
      fillLines(context, [lines], FAINT / 2);
      stroke(context, lines, paint, 1.5);
    }
  }

  function point(context, mark, now) {
    const at = where(mark);
    if (at === null) return;
    const [x, y] = place(at);
    const paint = colour(mark.colour);
    const age = (now - (mark.fresh ?? -1e9)) / 1600;
    if (age < 1) {
      context.globalAlpha = 1 - age;
      context.strokeStyle = paint;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, 5 + 22 * age, 0, 2 * Math.PI);
      context.stroke();
      context.globalAlpha = 1;
    }
    context.fillStyle = paint;
    context.strokeStyle = colour("--sky");
    context.lineWidth = 1;
    context.beginPath();
    shape(context, mark, x, y);
    context.fill();
    context.stroke();
    const reach = { event: 6, candidate: 2 }[mark.kind];
    if (reach) space.take([x - reach, y - reach, x + reach, y + reach]);
    if (mark === chosen) {
      context.strokeStyle = colour("--text");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, 9, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  /** Names of events, the last ones first; in a close-up those of candidates, the last ones first. */
  function names(context) {
    const wanted = scale > 150 ? ["event"] : [];
    if (!view.whole) wanted.push("candidate");
    for (const kind of wanted) {
      context.font = `${kind === "event" ? 600 : 400} ${kind === "event" ? 12 : 11}px ${colour("--sans")}`;
      const named = marks.filter((mark) => mark.kind === kind && where(mark) !== null).toReversed().map((mark) => {
        const [x, y] = place(where(mark));
        return { text: mark.label, x, y, paint: colour(kind === "event" ? mark.colour : "--text") };
      });
      writeNames(context, named, space, colour("--sky"), kind === "event" ? Infinity : NAMED);
    }
  }

  function draw() {
    asked = false;
    const width = canvas.clientWidth;
    const height = Math.round(((width - 2 * MARGIN) / 2) * view.high + 2 * MARGIN);
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.style.height = `${height}px`;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    scale = (width - 2 * MARGIN) / 4;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    space = room(width, height);
    const now = performance.now();
    context.save();
    rim(context);
    context.clip();
    ground(context);
    for (const mark of marks) region(context, mark);
    context.restore();
    frame(context);
    labels(context);
    for (const mark of marks) if (mark.kind !== "event") point(context, mark, now);
    for (const mark of marks) if (mark.kind === "event") point(context, mark, now);
    names(context);
    if (marks.some((mark) => now - (mark.fresh ?? -1e9) < 1600) && !matchMedia("(prefers-reduced-motion: reduce)").matches) refresh();
  }

  function refresh() {
    if (!asked) { asked = true; requestAnimationFrame(draw); }
  }

  function nearest(x, y) {
    let best = null;
    let least = REACH ** 2;
    for (const mark of marks) {
      const at = where(mark);
      if (at === null) continue;
      const [px, py] = place(at);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance <= least) { least = distance; best = mark; }
    }
    return best;
  }

  function choose(mark, x, y, speak = false) {
    if (mark !== chosen) { chosen = mark; refresh(); }
    tip.hidden = mark === null && x === null;
    if (mark) {
      tip.replaceChildren(...describe(mark));
      if (speak) spoken.textContent = tip.textContent;
    }
    if (tip.hidden) return;
    const left = Math.min(x + 26, canvas.clientWidth - tip.offsetWidth);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${Math.max(0, y + 14 + tip.offsetHeight > canvas.clientHeight ? y - tip.offsetHeight - 10 : y + 14)}px`;
  }

  canvas.addEventListener("pointermove", (event) => {
    const mark = nearest(event.offsetX, event.offsetY);
    canvas.style.cursor = mark ? "pointer" : "crosshair";
    const under = view.backward((event.offsetX - canvas.clientWidth / 2) / scale, (canvas.clientHeight / 2 - event.offsetY) / scale);
    if (mark) choose(mark, event.offsetX, event.offsetY);
    else if (under) {
      tip.replaceChildren(told(view, under));
      choose(null, event.offsetX, event.offsetY);
    } else choose(null, null, null);
  });
  canvas.addEventListener("pointerleave", () => choose(null, null, null));
  canvas.addEventListener("click", (event) => {
    const mark = nearest(event.offsetX, event.offsetY);
    if (mark?.path) location.href = mark.path;
  });
  canvas.addEventListener("keydown", (event) => {
    const placed = marks.filter((mark) => where(mark) !== null);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && placed.length) {
      event.preventDefault();
      const at = placed.indexOf(chosen);
      const mark = placed[at < 0 ? placed.length - 1 : (at + step + placed.length) % placed.length];
      choose(mark, ...place(where(mark)), true);
    } else if (event.key === "Enter" && chosen?.path) location.href = chosen.path;
    else if (event.key === "Escape") choose(null, null, null);
  });
  new ResizeObserver(refresh).observe(canvas);
  addEventListener("themechange", refresh);
  setInterval(refresh, 60000);
  return {
    show(shown) { marks = shown; if (chosen && !marks.includes(chosen)) chosen = null; refresh(); },
    pick(mark) { chosen = mark; refresh(); },
    look(other) { view = other; chosen = null; tip.hidden = true; refresh(); },
  };
}
