// Ledger and lag: asked for every few seconds, and loud when the sums do not add up.

import { api, byId, count, duration, el, get } from "./common.js";

const EVERY = 3000;
let before = null;

function rate(stream, figures, now, told) {
  if (told !== undefined) return told > 0 ? told.toFixed(told < 10 ? 1 : 0) : "";
  const old = before?.streams[stream];
  const seconds = before ? (now - before.at) / 1000 : 0;
  if (!old || seconds <= 0) return "";
  const each = (figures.received - old.received) / seconds;
  return each > 0 ? (each < 10 ? each.toFixed(1) : count(Math.round(each))) : "";
}

function alarm(status) {
  const parts = [];
  if (!status.ledger.total.balanced) {
    const { received, published, duplicate, rejected } = status.ledger.total;
    const off = received - published - duplicate - rejected;
    const where = Object.entries(status.ledger.streams).filter(([, figures]) => !figures.balanced).map(([name]) => name).join(", ");
    parts.push(el("p", {}, el("strong", {}, "Alerts are not accounted for. "), `${count(Math.abs(off))} ${off > 0 ? "went missing" : "too many came out"}${where ? ` in ${where}` : ""}: received is not published + duplicate + rejected.`));
  }
  if (status.halted.length) {
    parts.push(el("p", {}, el("strong", {}, `Halted: ${status.halted.join(", ")}. `), "Too much of what came in was rejected. See “nuncius dead-letter list” for the reasons."));
  }
  const box = byId("alarm");
  for (const part of parts) part.style.setProperty("margin", "0");
  if (box.textContent !== parts.map((part) => part.textContent).join("")) box.replaceChildren(...parts);
  box.classList.toggle("on", parts.length > 0);
}

function figures(total) {
  const rows = [["Received", total.received], ["Published", total.published], ["Duplicate", total.duplicate], ["Rejected", total.rejected]];
  byId("figures").replaceChildren(...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, count(value)))));
  const verdict = byId("verdict");
  verdict.className = `verdict ${total.balanced ? "good" : "bad"}`;
  const words = total.balanced ? "✓ Every alert is accounted for" : "✗ The ledger does not add up";
  if (verdict.textContent !== words) verdict.textContent = words;
}

function show(status) {
  const now = performance.now();
  alarm(status);
  figures(status.ledger.total);
  const streams = Object.entries(status.ledger.streams).sort(([, one], [, other]) => other.received - one.received);
  byId("streams").replaceChildren(...streams.map(([name, row]) => el("tr", {},
    el("td", { class: row.balanced ? null : "warned" }, row.balanced ? name : `${name} ✗`),
    ...[row.received, row.duplicate, row.rejected].map((value) => el("td", { class: "num" }, count(value))),
    el("td", { class: "num" }, rate(name, row, now, status.rates[name])))));
  const lag = status.lag.filter((row) => row.records > 0).sort((one, other) => other.records - one.records);
  const behind = lag.reduce((sum, row) => sum + row.records, 0);
  byId("lag").replaceChildren(...lag.slice(0, 12).map((row) => el("tr", {},
    el("td", {}, row.group), el("td", { class: "mono" }, `${row.topic}/${row.partition}`),
    el("td", { class: row.records > 10000 ? "num warned" : "num" }, count(row.records)))));
  byId("lag").closest("table").hidden = lag.length === 0;
  byId("no-lag").hidden = lag.length > 0;
  byId("lag-total").textContent = behind ? `${count(behind)} behind` : "";
  byId("uptime").textContent = status.uptime === null ? "" : `up ${duration(status.uptime)}`;
  before = { at: now, streams: status.ledger.streams };
}

/** Keep the panels true until the page is left. */
export async function watchStatus() {
  try {
    show(await get(api("status")));
    byId("lag-total").classList.remove("warned");
  } catch (error) {
    byId("verdict").className = "verdict bad";
    byId("verdict").textContent = `No status: ${error.message}`;
  }
  setTimeout(watchStatus, EVERY);
}
