// A package is large: while it is sent, the page shows how far it is. Without this file the browser sends the form itself.
"use strict";

const form = document.querySelector("form[data-upload]");
if (form) {
  const progress = form.querySelector(".upload-progress");
  const bar = progress.querySelector("progress");
  const fault = form.querySelector("[data-fault]");
  const button = form.querySelector("button");

  const fail = (words) => {
    progress.hidden = true;
    button.disabled = false;
    delete form.dataset.sent;
    fault.textContent = words;
    fault.hidden = false;
  };

  // What the server says on a page of its own is said here, where the file was chosen.
  const said = (page) => {
    const found = new DOMParser().parseFromString(page, "text/html");
    return (found.querySelector("#file-fault") ?? found.querySelector("main p"))?.textContent.trim();
  };

  form.addEventListener("submit", (event) => {
    const [file] = form.elements.file.files;
    if (!file) return;
    event.preventDefault();
    fault.hidden = true;
    if (file.size > Number(form.dataset.most)) {
      setTimeout(fail, 0, form.dataset.tooLarge); // once the form is marked as sent
      return;
    }
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", (now) => {
      if (now.lengthComputable) bar.value = now.loaded / now.total;
      else bar.removeAttribute("value");
    });
    request.addEventListener("error", () => fail(form.dataset.broken));
    request.addEventListener("load", () => {
      if (request.status === 204) location.assign(request.getResponseHeader("Location"));
      else fail(said(request.responseText) || form.dataset.broken);
    });
    request.open("POST", form.action);
    request.setRequestHeader("X-Progress", "yes");
    request.send(new FormData(form));
    bar.value = 0;
    progress.hidden = false;
    button.disabled = true;
  });
  window.addEventListener("pageshow", () => {
    progress.hidden = true;
    button.disabled = false;
  });
}
