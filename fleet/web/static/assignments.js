// A profile that is dragged to a row leads to the same page as pressing the cell where they meet.
"use strict";

const rows = document.querySelectorAll("tr[data-at]");
let dragged = null;

for (const head of document.querySelectorAll("[data-profile]")) {
  head.addEventListener("dragstart", (event) => {
    dragged = head.dataset.profile;
    event.dataTransfer.setData("text/plain", dragged);
    event.dataTransfer.effectAllowed = "copy";
  });
  head.addEventListener("dragend", () => {
    dragged = null;
    for (const row of rows) row.classList.remove("is-over");
  });
}

for (const row of rows) {
  row.addEventListener("dragover", (event) => {
    if (dragged === null) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    row.classList.add("is-over");
  });
  row.addEventListener("dragleave", (event) => {
    if (!row.contains(event.relatedTarget)) row.classList.remove("is-over");
  });
  row.addEventListener("drop", (event) => {
    if (dragged === null) return;
    event.preventDefault();
    location.href = `/assignments/place?${new URLSearchParams({ profile: dragged, at: row.dataset.at })}`;
  });
}
