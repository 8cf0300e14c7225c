// The list of tablets keeps what was chosen while it refreshes itself, says how many, and sends the file's filter along.
"use strict";

const chosen = new Set();
const list = document.getElementById("live");

const boxes = () => [...document.querySelectorAll("#pick input[name=id]")];

const tell = () => {
  const all = document.getElementById("pick-matching")?.checked;
  const page = document.getElementById("pick-page");
  const shown = boxes();
  const here = shown.filter((box) => box.checked).length;
  const count = document.getElementById("pick-count");
  const bar = document.getElementById("pick-bar");
  if (!bar) return;
  const label = document.getElementById("pick-page-label");
  label.hidden = false;
  document.getElementById("pick-words").hidden = true;
  page.checked = shown.length > 0 && here === shown.length;
  page.indeterminate = here > 0 && here < shown.length;
  bar.classList.toggle("has-chosen", here > 0 || Boolean(all));
  count.dataset.number = all ? "" : String(here);
};

const restore = () => {
  for (const box of boxes()) box.checked = chosen.has(box.value);
  tell();
};

document.addEventListener("change", (event) => {
  const target = event.target;
  if (target.id === "pick-page") {
    for (const box of boxes()) {
      box.checked = target.checked;
      if (target.checked) chosen.add(box.value);
      else chosen.delete(box.value);
    }
  } else if (target.name === "id" && target.closest("#pick")) {
    if (target.checked) chosen.add(target.value);
    else chosen.delete(target.value);
  }
  if (target.closest?.("#pick")) tell();
});

if (list) {
  list.addEventListener("htmx:after:swap", restore);
  document.addEventListener("htmx:after:swap", restore);
  // The file holds what the list shows.
  document.addEventListener("htmx:after:swap", () => {
    const file = document.getElementById("as-file");
    if (file) file.href = file.pathname + window.location.search;
  });
}
window.addEventListener("pageshow", () => {
  for (const box of boxes()) if (box.checked) chosen.add(box.value);
  tell();
});
