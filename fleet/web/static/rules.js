// The editor of a rule: the cursor stands where a text is wrong, and a field of the help list is put where one writes.
// Everything works without this file too.
"use strict";

const wrong = document.querySelector("textarea[data-caret]");
if (wrong) wrong.setSelectionRange(Number(wrong.dataset.caret), Number(wrong.dataset.caret));

let written = document.getElementById("condition");
document.addEventListener("focusin", (event) => {
  if (event.target.matches("#rule-form textarea")) written = event.target;
});

for (const name of written && !written.readOnly ? document.querySelectorAll("code[data-insert]") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "insert";
  name.replaceWith(button);
  button.append(name);
  button.addEventListener("click", () => {
    written.setRangeText(name.textContent, written.selectionStart, written.selectionEnd, "end");
    written.focus();
  });
}
