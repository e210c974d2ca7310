// The versions of a filter: who brought which into which state, and what one changed of another.

import { byId, clockTime, el } from "./common.js";
import { showDifference } from "./diff.js";

/**
 * @param {{items: object[], history: object[]}} life
 * @param {object} shown the version in the editor
 * @param {(version: object) => void} open
 */
export function showVersions(life, shown, open) {
  const newestFirst = life.items.toReversed();
  byId("versions").replaceChildren(...newestFirst.map((one) => {
    const here = one.version === shown.version;
    const button = el("button", { type: "button", class: "link", "aria-current": here ? "true" : null }, `Version ${one.version}`);
    button.addEventListener("click", () => open(one));
    return el("tr", { class: here ? "picked" : null, "data-version": one.version }, el("td", { class: "nowrap" }, button), el("td", {}, one.state), el("td", {}, one.author), el("td", { class: "num nowrap quiet" }, clockTime(one.created)));
  }));
  byId("history").replaceChildren(...life.history.toReversed().map((change) => el("li", {},
    el("span", { class: "num quiet" }, clockTime(change.at)), ` ${change.who}: version ${change.version} ${change.state}`, change.note ? ` (${change.note})` : "")));
  const [one, other] = [byId("before"), byId("after")];
  for (const select of [one, other]) select.replaceChildren(...newestFirst.map((version) => el("option", { value: version.version }, version.version)));
  other.value = newestFirst[0].version;
  one.value = (newestFirst[1] ?? newestFirst[0]).version;
  const text = (select) => life.items.find((version) => version.version === select.value).text;
  const draw = () => showDifference(byId("difference"), text(one), text(other));
  one.onchange = draw;
  other.onchange = draw;
  byId("compare").hidden = life.items.length < 2;
  if (life.items.length > 1) draw();
}
