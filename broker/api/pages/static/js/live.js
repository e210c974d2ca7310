// Matches as they happen: the latest ones first, then the live stream, which resumes by itself where it broke off.

import { api, byId, get } from "./common.js";

/**
 * @param {(match: object, fresh: boolean) => void} take called for each match, oldest first; may see one twice
 */
export async function watchMatches(take, { latest = 200 } = {}) {
  const state = byId("live");
  const say = (kind, words) => { state.className = `state ${kind}`; state.textContent = words; };
  // The stream is opened before the latest are asked for, so that nothing falls between the two.
  const waiting = [];
  let ready = false;
  let source = null;
  let last = "";
  const open = () => {
    source = new EventSource(api(`live${last ? `?after=${encodeURIComponent(last)}` : ""}`));
    source.addEventListener("open", () => say("on", "live"));
    source.addEventListener("ready", (event) => { last = event.lastEventId; });
    source.addEventListener("error", () => {
      say("off", "reconnecting");
      // A browser comes back by itself when the line breaks, but gives up where it is answered with an error.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 4000);
    });
    source.addEventListener("match", (event) => {
      last = event.lastEventId;
      const match = JSON.parse(event.data);
      if (ready) take(match, true); else waiting.push(match);
    });
  };
  open();
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  try {
    const page = await get(api(`matches?limit=${latest}`));
    for (const match of page.items.reverse()) take(match, false);
  } catch (error) {
    say("off", error.message);
  }
  ready = true;
  for (const match of waiting) take(match, true);
}
