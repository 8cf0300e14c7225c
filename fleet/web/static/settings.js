// Copying a link or a command, and moving about in the picture of a school year by arrow keys. Pages work without this file too.
"use strict";

for (const button of document.querySelectorAll("[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copies);
    if (field.select) field.select();
    else getSelection().selectAllChildren(field); // text of the page, such as a command
    // A browser that is asked for leave, or stands in the background, may not answer at all.
    const tooLate = new Promise((_, fail) => setTimeout(fail, 1000));
    try {
      await Promise.race([navigator.clipboard.writeText(field.value ?? field.textContent), tooLate]);
    } catch {
      document.execCommand("copy"); // an address without TLS has no clipboard of the newer kind
    }
    button.parentElement.querySelector("[role=status]").textContent = button.dataset.done;
  });
}

// One stop for the Tab key in the whole year; the arrows go by day and week.
const year = document.querySelector("[data-year]");
if (year) {
  const days = [...year.querySelectorAll("a[data-on]")];
  const stop = (day) => {
    for (const one of days) one.tabIndex = one === day ? 0 : -1;
  };
  stop(year.querySelector("a[aria-current]") || days[0]);
  year.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[event.key];
    const next = days[days.indexOf(document.activeElement) + step];
    if (!step || !next) return;
    event.preventDefault();
    stop(next);
    next.focus();
  });
}
