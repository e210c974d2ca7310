// Logging in.

import { api, byId, get, send } from "./common.js";

/** Our page to come back to; an address of anybody else's is not followed. */
function back() {
  const wanted = new URLSearchParams(location.search).get("next") ?? "/";
  const address = new URL(wanted, location.origin);
  return address.origin === location.origin && ![wanted, address.pathname].some((path) => /^[/\\]{2}/.test(path)) && wanted.startsWith("/") ? address.pathname + address.search : "/";
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const values = Object.fromEntries(new FormData(event.target));
  byId("failed").textContent = "";
  byId("go").disabled = true;
  try {
    await send("POST", api("session"), values);
    location.replace(back());
  } catch (error) {
    byId("failed").textContent = error.message;
    byId("go").disabled = false;
    event.target.elements.namedItem("password").select();
  }
});
get(api("me")).then((me) => {
  byId("go").disabled = false;
  byId("none").hidden = me.required;
  byId("elsewhere").hidden = me.oidc === null;
  if (me.oidc) byId("oidc").href = `${me.oidc}?${new URLSearchParams({ next: back() })}`;
}).catch((error) => { byId("failed").textContent = error.message; });
