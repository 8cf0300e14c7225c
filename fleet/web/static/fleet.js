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

// A file may be dropped anywhere on its field's frame; what it is called is shown by the field itself.
for (const frame of document.querySelectorAll("[data-drop]")) {
  const field = frame.querySelector("input[type=file]");
  const over = (isOver) => frame.classList.toggle("is-over", isOver);
  frame.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  frame.addEventListener("dragleave", () => over(false));
  frame.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer.files.length) {
      field.files = event.dataTransfer.files;
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
}

// A form that was sent is not sent again by a second press; a page one comes back to can be used again. What opens beside
// the page, such as a sheet to print, leaves the page as it is and may be asked for as often as one likes.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post" || !["", "_self"].includes(event.target.target)) return;
  if (event.target.dataset.sent) event.preventDefault();
  else event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// The button by which somebody decided goes with its card: the focus then goes to the card that has come to its place, or
// to what was said where there is none left.
let decided = null;
document.addEventListener("submit", (event) => {
  const list = event.target.closest(".waiting");
  if (!list) return;
  const place = [...list.querySelectorAll(".asking-card")].indexOf(event.target.closest(".asking-card"));
  decided = { form: event.target, place: Math.max(0, place) };
});
document.addEventListener("htmx:after:swap", () => {
  if (!decided || decided.form.isConnected) return;
  const cards = document.querySelectorAll(".asking-card");
  const next = cards[Math.min(decided.place, cards.length - 1)] ?? document.getElementById("decided");
  if (document.activeElement === document.body) next?.focus();
  decided = null;
});

// What answered a form is loaded again from its own address: a ticket that is shown once is not made twice.
const once = document.querySelector("[data-own]");
if (once) history.replaceState(null, "", once.dataset.own);

// What is wrong is read out and in view at once.
document.getElementById("problem")?.focus();
