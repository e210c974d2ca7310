// What marks on the sky map look like, and how a place on it is said.

/** Path of a mark: events are diamonds, others what their filter has. */
export function shape(context, mark, x, y) {
  if (mark.kind === "event") {
    context.moveTo(x, y - 6.5); context.lineTo(x + 5.5, y); context.lineTo(x, y + 6.5); context.lineTo(x - 5.5, y);
  } else if (mark.shape === "triangle") {
    context.moveTo(x, y - 4.6); context.lineTo(x + 4.4, y + 3.4); context.lineTo(x - 4.4, y + 3.4);
  } else if (mark.shape === "square") context.rect(x - 3.3, y - 3.3, 6.6, 6.6);
  else context.arc(x, y, 3.6, 0, 2 * Math.PI);
  context.closePath();
}

/** A position, as finely as the view shows it. */
export function told(view, [ra, dec]) {
  const sign = dec < 0 ? "−" : "+";
  if (view.whole) return `${(ra / 15).toFixed(1)}h  ${sign}${Math.abs(dec).toFixed(0)}°`;
  const digits = view.radius < 0.1 ? 4 : view.radius < 5 ? 2 : 1;
  return `${ra.toFixed(digits)}°  ${sign}${Math.abs(dec).toFixed(digits)}°`;
}
