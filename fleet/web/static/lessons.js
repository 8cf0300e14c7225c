// What the pages of lessons do by themselves: forms that are sent until they arrive, a word when the network is gone,
// the slider, and a pupil's sheet. Everything works without this file too; only the slider and the sheet are not there.
"use strict";

{
  const FIRST_WAIT_S = 2;
  const LONGEST_WAIT_S = 15;
  const PATIENCE_MS = 9000; // a request that takes longer is sent again: whatever arrives twice is done once

  // ---- The network ----
  const net = document.getElementById("net");
  let seenAt = new Date();
  let isAway = false;
  let pending = null; // the form on its way

  const words = (name, values = {}) =>
    Object.entries(values).reduce((told, [key, value]) => told.replace(`{${key}}`, value), net.dataset[name]);
  const say = (told, { tools = false, colour = "warning", left = "" } = {}) => {
    if (!net) return;
    net.dataset.color = colour;
    const place = net.querySelector("[data-words]");
    if (place.textContent !== told) place.textContent = told; // read aloud once, not each second
    net.querySelector("[data-left]").textContent = left;
    net.querySelector("[data-tools]").hidden = !tools;
    net.hidden = told === "";
  };
  const away = () => {
    isAway = true;
    const time = seenAt.toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
    if (!pending) say(words("away", { time }));
  };
  const back = () => {
    seenAt = new Date();
    if (isAway && !pending) say("");
    isAway = false;
  };
  if (net) {
    document.addEventListener("htmx:error", away);
    document.addEventListener("htmx:response:error", away);
    document.addEventListener("htmx:after:swap", back);
    window.addEventListener("offline", away);
    window.addEventListener("online", () => {
      if (pending) pending.now();
      const live = document.getElementById("live");
      if (live && typeof htmx !== "undefined") htmx.trigger(live, "refresh");
    });
    net.querySelector("[data-now]").addEventListener("click", () => pending?.now());
    net.querySelector("[data-stop]").addEventListener("click", () => pending?.stop());
    window.addEventListener("beforeunload", (event) => {
      if (pending?.failed) event.preventDefault();
    });
  }

  // ---- Forms ----
  const show = (html, address) => {
    const told = new DOMParser().parseFromString(html, "text/html").querySelector("main");
    if (!told) return location.assign(address);
    document.title = new DOMParser().parseFromString(html, "text/html").title || document.title;
    document.querySelector("main").replaceWith(document.adoptNode(told));
    if (typeof htmx !== "undefined") htmx.process(document.querySelector("main"));
    begin();
    document.getElementById("problem")?.focus();
    window.scrollTo(0, 0);
  };

  const send = (form, body) => {
    let wait = FIRST_WAIT_S;
    let timer = null;
    let attempt = null;
    const finish = () => {
      clearTimeout(timer);
      attempt?.abort();
      pending = null;
      form.classList.remove("is-sending");
      form.removeAttribute("aria-busy");
      say("");
    };
    const again = () => {
      pending.failed = true;
      let left = wait;
      wait = Math.min(LONGEST_WAIT_S, wait * 2);
      const tick = () => {
        say(words("waiting"), { tools: true, left: `${left} s` });
        if (left <= 0) return go();
        left -= 1;
        timer = setTimeout(tick, 1000);
      };
      tick();
    };
    const go = async () => {
      clearTimeout(timer);
      attempt?.abort();
      const mine = (attempt = new AbortController());
      const late = setTimeout(() => mine.abort(), PATIENCE_MS);
      if (pending.failed) say(words("sending"));
      try {
        const answer = await fetch(form.action, {
          method: "POST", body, signal: mine.signal, headers: { "X-Sent-By": "script" }, credentials: "same-origin",
        });
        clearTimeout(late);
        if (mine !== attempt || !pending) return;
        if (answer.status >= 500 || answer.status === 429) return again();
        const onwards = answer.headers.get("X-Go-On");
        const html = onwards || answer.redirected ? "" : await answer.text();
        const sheet = form.closest("dialog");
        finish();
        if (onwards) go_on(onwards);
        else if (answer.redirected) location.assign(answer.url);
        else {
          sheet?.close();
          show(html, form.action);
        }
      } catch {
        clearTimeout(late);
        if (mine === attempt && pending) again();
      }
    };
    pending = { failed: false, now: go, stop: finish };
    form.classList.add("is-sending");
    form.setAttribute("aria-busy", "true");
    go();
  };
  const go_on = (address) => {
    const target = new URL(address, location.href);
    const isHere = target.pathname === location.pathname && target.search === location.search;
    if (isHere && target.hash) history.replaceState(null, "", target);
    if (isHere) location.reload();
    else location.assign(target);
  };

  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (form.method !== "post" || !form.closest("main") || !net?.isConnected && !document.getElementById("net")) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (pending) return; // one after the other
      const body = new URLSearchParams(new FormData(form, event.submitter));
      send(form, body);
    },
    true,
  );
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload(); // times have passed, and the wish has been used
  });

  // ---- A pupil's sheet ----
  const sheetOf = () => document.getElementById("pupil-sheet");
  document.addEventListener("click", async (event) => {
    const dialog = sheetOf();
    if (!dialog) return;
    if (event.target.closest("[data-close]") || event.target === dialog) return dialog.close();
    const link = event.target.closest("a[data-sheet]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    try {
      const answer = await fetch(link.href, { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(PATIENCE_MS) });
      if (!answer.ok) return location.assign(link.href);
      const told = new DOMParser().parseFromString(await answer.text(), "text/html");
      dialog.replaceChildren(...told.body.childNodes);
      dialog.dataset.opener = link.closest("[id]")?.id ?? "";
      dialog.showModal();
      dialog.querySelector("[tabindex='-1']")?.focus();
    } catch {
      away();
    }
  });
  document.addEventListener(
    "close",
    (event) => {
      const opener = event.target.dataset?.opener;
      // The page has been drawn anew meanwhile: the link that opened it is found by where it stands.
      if (opener) (document.querySelector(`#${CSS.escape(opener)} a[data-sheet]`) ?? document.getElementById(opener))?.focus();
    },
    true,
  );

  // ---- The start page ----
  const begin = () => {
    const form = document.getElementById("start");
    if (!form) return;
    const frame = document.getElementById("slide");
    const slider = document.getElementById("slider");
    const other = document.getElementById("until-other");
    const lang = document.documentElement.lang;
    const time = (instant) => new Date(instant).toLocaleTimeString(lang, { hour: "2-digit", minute: "2-digit", timeZone: frame?.dataset.zone });
    const chips = () => [...form.querySelectorAll(".chip input")];
    const origin = frame ? Date.parse(frame.dataset.origin) : 0;

    const summary = () => {
      const said = form.querySelector(".start-said");
      const set = form.querySelector("[name=set_id]:checked")?.closest(".set-card").querySelector(".set-title").textContent;
      const until = form.querySelector("[name=until]:checked")?.value;
      said.textContent = set && until ? said.dataset.said.replace("{set}", set).replace("{time}", time(until)) : "";
    };
    const spoken = () => {
      const until = origin + slider.value * 60000;
      const minutes = Math.max(0, Math.round((until - Date.now()) / 60000));
      const told = `${time(until)} · ${frame.dataset.words.replace("{number}", minutes)}`;
      frame.querySelector("output").textContent = told;
      slider.setAttribute("aria-valuetext", told);
    };
    if (frame) {
      frame.hidden = false;
      spoken();
      slider.addEventListener("input", () => {
        const until = origin + slider.value * 60000;
        const chip = chips().find((one) => Date.parse(one.value) === until);
        if (!chip) other.value = new Date(until).toISOString();
        (chip ?? other).checked = true;
        spoken();
        summary();
      });
    }
    let soon;
    form.addEventListener("change", (event) => {
      if (frame && event.target.name === "until" && event.target !== slider) {
        slider.value = Math.round((Date.parse(event.target.value) - origin) / 60000);
        spoken();
      }
      summary();
      if (["absent", "everybody"].includes(event.target.name) && typeof htmx !== "undefined") {
        clearTimeout(soon);
        soon = setTimeout(() => htmx.trigger(document.getElementById("live"), "refresh"), 250);
      }
    });
    summary();
  };
  begin();
}
