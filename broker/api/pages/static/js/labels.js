// Names beside points, none over another: each takes the first place that is free, or none.

const HIGH = 13;
const PLACES = [[9, -5, 0], [9, 13, 0], [-9, -5, 1], [-9, 13, 1], [0, -11, 0.5], [0, 21, 0.5], [9, -19, 0], [-9, -19, 1], [9, 27, 0], [-9, 27, 1]]; // right, down, share of the text that is left of it

const meet = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

/** Boxes that are taken, and a way to take one. */
export function room(width, height) {
  const taken = [];
  return {
    take(box) { taken.push(box); },
    /** Box of a text whose baseline begins at x, y, or null where something is there already. */
    free(x, y, wide) {
      const box = [x - 2, y - HIGH + 2, x + wide + 2, y + 4];
      if (box[0] < 0 || box[1] < 0 || box[2] > width || box[3] > height) return null;
      return taken.some((other) => meet(box, other)) ? null : box;
    },
  };
}

/**
 * Write names of points, the first ones first.
 * @param {{text: string, x: number, y: number, paint: string}[]} names
 */
export function writeNames(context, names, space, halo, most = Infinity) {
  let written = 0;
  context.textAlign = "left";
  context.lineJoin = "round";
  for (const { text, x, y, paint } of names) {
    if (written >= most) return;
    const wide = context.measureText(text).width;
    for (const [right, down, share] of PLACES) {
      const [left, base] = [x + right - share * wide, y + down];
      const box = space.free(left, base, wide);
      if (box === null) continue;
      space.take(box);
      context.lineWidth = 3;
      context.strokeStyle = halo;
      context.fillStyle = paint;
      context.strokeText(text, left, base);
      context.fillText(text, left, base);
      written += 1;
      break;
    }
  }
}
