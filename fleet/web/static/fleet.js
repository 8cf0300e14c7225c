// What the pages do by themselves: pause while nobody looks, say when the server is away, and filter while one types.
// Everything works without this file too, and without htmx.
"use strict";

const live = document.getElementById("live");

if (live && typeof htmx !== "undefined") {
  const stale = (isStale) => {
    const note = document.getElementById("stale");
    if (note) note.hidden = !isStale;
  };

  document.addEventListener("htmx:config:request", (event) => {
    if (document.hidden) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) htmx.trigger(live, "refresh");
  });
  document.addEventListener("htmx:error", () => stale(true));
  document.addEventListener("htmx:response:error", () => stale(true));

  const filter = document.querySelector("form.filter");
  if (filter) {
    let waiting;
    const apply = () => {
      const told = [...new FormData(filter)].filter(([, value]) => value !== "");
      const query = new URLSearchParams(told).toString();
      const address = filter.getAttribute("action") + (query ? `?${query}` : "");
      history.replaceState(null, "", address);
      live.setAttribute("hx-get", address);
      htmx.trigger(live, "refresh");
    };
    const soon = (delay) => {
      clearTimeout(waiting);
      waiting = setTimeout(apply, delay);
    };
    filter.addEventListener("input", (event) => soon(event.target.type === "search" ? 250 : 0));
    filter.addEventListener("submit", (event) => {
      event.preventDefault();
      soon(0);
    });
  }
}
