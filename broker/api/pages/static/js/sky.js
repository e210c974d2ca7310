// The sky map: a canvas that draws points, error circles and map regions, and tells what is under the pointer.

import { byId, colour } from "./common.js";
import { circle, fromEcliptic, fromGalactic, mollweide, moon, phase, sun, unmollweide } from "./projection.js";

const MARGIN = 10;
const REACH = 14; // pixels from a point that still count as on it
const span = (from, to, step) => Array.from({ length: Math.round((to - from) / step) + 1 }, (_, index) => from + index * step);

/** Pieces of a line of positions, cut where it leaves one edge of the map and comes in at the other. */
function pieces(line) {
  const all = [];
  let last = null;
  for (const [ra, dec] of line) {
    const point = mollweide(ra, dec);
    if (last === null || Math.abs(point[0] - last[0]) > 1.2) all.push([]);
    all.at(-1).push(point);
    last = point;
  }
  return all;
}

const GRID = [...span(-60, 60, 30).map((dec) => span(0.001, 359.999, 3).map((ra) => [ra + 180, dec])), ...span(30, 330, 30).map((ra) => span(-90, 90, 3).map((dec) => [ra, dec]))].flatMap(pieces);
const GALAXY = pieces(span(0, 360, 2).map((l) => fromGalactic(l, 0)));
const ECLIPTIC = pieces(span(0, 360, 2).map((longitude) => fromEcliptic(longitude)));

/**
 * @param {HTMLCanvasElement} canvas
 * @param {(mark: object) => Node[]} describe what the tip says of a mark
 * A mark has: ra, dec, path, label, colour (name of a custom property), radius (degrees) or cells (corners), fresh (ms), kind.
 */
export function skyMap(canvas, describe) {
  const tip = byId("tip");
  const spoken = byId("spoken");
  let marks = [];
  let chosen = null;
  let scale = 1;
  let asked = false;
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

  function ground(context) {
    const [x, y] = place([0, 0]);
    context.beginPath();
    context.ellipse(x, y, 2 * scale, scale, 0, 0, 2 * Math.PI);
    context.fillStyle = colour("--sky");
    context.fill();
    stroke(context, GRID, colour("--grid"), 1);
    stroke(context, GALAXY, colour("--galactic"), 1.5);
    stroke(context, ECLIPTIC, colour("--ecliptic"), 1.25, [5, 4]);
    context.beginPath();
    context.ellipse(x, y, 2 * scale, scale, 0, 0, 2 * Math.PI);
    context.strokeStyle = colour("--sky-edge");
    context.lineWidth = 1.25;
    context.stroke();
    labels(context);
  }

  function labels(context) {
    context.font = `${scale > 150 ? 12 : 10}px ${colour("--sans")}`;
    context.fillStyle = colour("--quiet");
    context.textAlign = "center";
    for (const hour of scale > 150 ? [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22] : [6, 12, 18]) {
      const [x, y] = place(mollweide(hour * 15, 0));
      context.fillText(`${hour}h`, x, y + 14);
    }
    for (const dec of [-60, -30, 30, 60]) {
      const [x, y] = place(mollweide(180, dec));
      context.fillText(`${dec > 0 ? "+" : "−"}${Math.abs(dec)}°`, x + 17, y - 4);
    }
    const now = new Date();
    body(context, sun(now), "Sun", "--ecliptic");
    body(context, moon(now), `Moon ${Math.round(phase(now) * 100)} %`, "--quiet");
  }

  function body(context, where, name, paint) {
    const [x, y] = place(mollweide(...where));
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
    context.fillText(name, x, y - 10);
  }

  function region(context, mark) {
    const paint = colour(mark.colour);
    context.fillStyle = paint;
    context.strokeStyle = paint;
    context.globalAlpha = 0.32;
    if (mark.cells) {
      context.beginPath();
      for (const corners of mark.cells) {
        const points = corners.map(([ra, dec]) => mollweide(ra, dec));
        const xs = points.map(([x]) => x);
        if (Math.max(...xs) - Math.min(...xs) > 1.2) continue; // on the seam of the map
        points.forEach((point, index) => (index ? context.lineTo(...place(point)) : context.moveTo(...place(point))));
        context.closePath();
      }
      context.fill();
    }
    context.globalAlpha = 1;
    if (mark.radius) {
      const lines = pieces(circle(mark.ra, mark.dec, Math.min(mark.radius, 89)));
      if (lines.length === 1) {
        context.globalAlpha = 0.16;
        context.beginPath();
        lines[0].forEach((point, index) => (index ? context.lineTo(...place(point)) : context.moveTo(...place(point))));
        context.fill();
        context.globalAlpha = 1;
      }
      stroke(context, lines, paint, 1.5);
    }
  }

  function point(context, mark, now) {
    if (mark.ra === null || mark.ra === undefined) return;
    const [x, y] = place(mollweide(mark.ra, mark.dec));
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
    if (mark.kind === "event") {
      context.moveTo(x, y - 6.5); context.lineTo(x + 5.5, y); context.lineTo(x, y + 6.5); context.lineTo(x - 5.5, y);
      context.closePath();
    } else context.arc(x, y, 3.6, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    if (mark.kind === "event" && scale > 150) {
      context.font = `600 12px ${colour("--sans")}`;
      context.textAlign = x > canvas.clientWidth - 120 ? "right" : "left";
      context.lineWidth = 3;
      context.strokeText(mark.label, x + (context.textAlign === "left" ? 9 : -9), y - 7);
      context.fillText(mark.label, x + (context.textAlign === "left" ? 9 : -9), y - 7);
    }
    if (mark === chosen) {
      context.strokeStyle = colour("--text");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, 9, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  function draw() {
    asked = false;
    const width = canvas.clientWidth;
    const height = Math.round((width - 2 * MARGIN) / 2 + 2 * MARGIN);
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
    ground(context);
    const now = performance.now();
    for (const mark of marks) region(context, mark);
    for (const mark of marks) if (mark.kind !== "event") point(context, mark, now);
    for (const mark of marks) if (mark.kind === "event") point(context, mark, now);
    if (marks.some((mark) => now - (mark.fresh ?? -1e9) < 1600) && !matchMedia("(prefers-reduced-motion: reduce)").matches) refresh();
  }

  function refresh() {
    if (!asked) { asked = true; requestAnimationFrame(draw); }
  }

  function nearest(x, y) {
    let best = null;
    let least = REACH ** 2;
    for (const mark of marks) {
      if (mark.ra === null || mark.ra === undefined) continue;
      const [px, py] = place(mollweide(mark.ra, mark.dec));
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
    const where = unmollweide((event.offsetX - canvas.clientWidth / 2) / scale, (canvas.clientHeight / 2 - event.offsetY) / scale);
    if (mark) choose(mark, event.offsetX, event.offsetY);
    else if (where) {
      tip.replaceChildren(`${(where[0] / 15).toFixed(1)}h  ${where[1] < 0 ? "−" : "+"}${Math.abs(where[1]).toFixed(0)}°`);
      choose(null, event.offsetX, event.offsetY);
    } else choose(null, null, null);
  });
  canvas.addEventListener("pointerleave", () => choose(null, null, null));
  canvas.addEventListener("click", (event) => {
    const mark = nearest(event.offsetX, event.offsetY);
    if (mark?.path) location.href = mark.path;
  });
  canvas.addEventListener("keydown", (event) => {
    const placed = marks.filter((mark) => mark.ra !== null && mark.ra !== undefined);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && placed.length) {
      event.preventDefault();
      const at = placed.indexOf(chosen);
      const mark = placed[at < 0 ? placed.length - 1 : (at + step + placed.length) % placed.length];
      choose(mark, ...place(mollweide(mark.ra, mark.dec)), true);
    } else if (event.key === "Enter" && chosen?.path) location.href = chosen.path;
    else if (event.key === "Escape") choose(null, null, null);
  });
  new ResizeObserver(refresh).observe(canvas);
  addEventListener("themechange", refresh);
  setInterval(refresh, 60000);
  return {
    show(shown) { marks = shown; if (chosen && !marks.includes(chosen)) chosen = null; refresh(); },
    pick(mark) { chosen = mark; refresh(); },
  };
}
