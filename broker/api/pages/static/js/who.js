// In the corner of every page: who has logged in, or where to, where anything asks for an account.

import { api, byId, get } from "./common.js";

get(api("me")).then((me) => {
  const link = byId("who");
  if (me.logged_in) [link.href, link.textContent] = ["/account", me.user];
  else [link.href, link.textContent] = [`/login?${new URLSearchParams({ next: location.pathname + location.search })}`, "Log in"];
  link.hidden = !(me.logged_in || me.required) || location.pathname === "/login";
}).catch(() => {}); // the page itself tells what cannot be reached
