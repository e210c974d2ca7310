// Not a module: it must run before the page is drawn, so that nobody is flashed by a white page at night.
(() => {
  const root = document.documentElement;
  const kept = localStorage.getItem("theme");
  if (kept) root.dataset.theme = kept;
  const now = () => root.dataset.theme || (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      root.dataset.theme = now() === "dark" ? "light" : "dark";
      localStorage.setItem("theme", root.dataset.theme);
      dispatchEvent(new Event("themechange"));
    });
    const clock = document.getElementById("clock");
    const tick = () => { clock.textContent = `${new Date().toISOString().slice(0, 19).replace("T", " ")} UTC`; };
    tick();
    setInterval(tick, 1000);
  });
})();
