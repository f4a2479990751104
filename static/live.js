/* Keeps the panels of a page as the book is: one socket, units applied by id, the newest wins.

   The rule it keeps: what may have been missed is asked for again, and a desk that hears nothing says so and sends nothing. It knows no
   panel by name; everything it needs stands on the elements (see orders/pages/panels.py). */
(() => {
  "use strict";
  const body = document.body;
  if (!body.dataset.live) return;
  // What somebody types in is left alone. Only that: a button with the focus gets its new words with its new address.
  const isTyping = () => document.activeElement.matches("input, select, textarea");
  Object.defineProperty(Idiomorph.defaults, "ignoreActiveValue", { get: isTyping, enumerable: true });

  const STALE = 12000, POLL = 5000, RETRY = 2000, LONGEST = 15000, RECEIPT = 1 << 16;
  const late = new Map(); // panel being asked again -> the units that came meanwhile
  const sorting = new Intl.Collator(undefined, { numeric: true });
  let socket = null, tries = 0, wanted = "", paused = false;
  let seq = 0, count = 0, read = 0, told = 0, heard = Date.now(), ahead = 0, retry = 0;

  const panels = () => [...document.querySelectorAll("[data-panel]")];
  const names = () => panels().map((panel) => `${panel.dataset.panel}~${panel.dataset.scope || ""}`);
  const resync = () => htmx.trigger(body, "oms:resync");
  const asLater = () => { clearTimeout(retry); retry = setTimeout(resync, RETRY); };

  function connect() {
    if (!panels().length) return;
    const query = new URLSearchParams({ account: body.dataset.account || "", language: document.documentElement.lang });
    seq = Math.min(...panels().map((panel) => Number(panel.dataset.seq)));
    query.set("seq", seq);
    wanted = names().join();
    names().forEach((name) => query.append("panel", name));
    count = read = told = 0;
    const mine = socket = new WebSocket(`${body.dataset.live}?${query}`.replace(/^\//, `${location.origin.replace("http", "ws")}/`));
    mine.onmessage = (event) => mine === socket && hear(event.data);
    mine.onclose = (event) => mine === socket && lost(event.code);
  }

  function lost(code) {
    socket = null;
    if (code === 4401 || code === 4403) {
      // The page itself is out of date: load it again, which may lead to the login; but not in a circle.
      const before = Number(sessionStorage.getItem("deskbook-reload"));
      if (Date.now() - before > 10000) {
        sessionStorage.setItem("deskbook-reload", Date.now());
        location.reload();
        return;
      }
    }
    setTimeout(() => socket || connect(), Math.min(LONGEST, 300 * 2 ** tries++) * (0.5 + Math.random()));
  }

  function hear(text) {
    const frame = JSON.parse(text);
    heard = Date.now();
    ahead = Date.parse(frame.at) - heard;
    read += text.length;
    if (read - told > RECEIPT || !frame.units) socket.send(told = read);
    tries = 0;
    if (frame.n !== ++count || frame.prev > seq || frame.resync) resync();
    count = frame.n;
    seq = Math.max(seq, frame.seq);
    if (frame.units && !paused) frame.units.forEach(take);
    if (!paused) {
      panels().forEach((panel) => { panel.dataset.seq = seq; });
      document.getElementById("lane-seq").textContent = seq;
    }
    mind();
    if (frame.units) tell("oms:live");
  }

  /* --- Units ----------------------------------------------------------------------------------------------------------------------- */

  function take(unit) {
    late.get(unit.panel)?.push(unit);
    const old = document.getElementById(unit.id);
    if (old && Number(old.dataset.v) > unit.v) return;
    alarm(unit.id, unit.alert);
    if (unit.html === null) old?.remove();
    else if (old) renew(old, parse(unit.html));
    else put(parse(unit.html), unit.panel);
    number(unit.panel);
  }

  function parse(html) {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    return template.content.firstElementChild;
  }

  function renew(old, fresh) {
    const before = cells(old).map((cell) => cell.textContent), said = old.dataset.alert;
    Idiomorph.morph(old, fresh, { morphStyle: "outerHTML", restoreFocus: true });
    const element = document.getElementById(fresh.id) || old, after = cells(element);
    htmx.process(element);
    after.forEach((cell, n) => cell.textContent !== before[n] && !cell.matches(".age, :has(.age)") && flash(cell));
    if (element.dataset.alert !== said) alarm(element.id, element.dataset.alert);
  }

  function put(element, name) {
    const panel = document.querySelector(`[data-panel="${name}"]`), into = document.getElementById(panel?.dataset.into);
    if (!into) return;
    const units = [...into.querySelectorAll(":scope > [data-v]")], key = element.dataset.sort;
    const sign = into.dataset.order === "asc" ? 1 : -1;
    const next = key === undefined ? units[0] : units.find((unit) => sign * sorting.compare(unit.dataset.sort, key) > 0);
    into.insertBefore(element, next || units.at(-1)?.nextSibling || null);
    htmx.process(element);
    flash(element);
    if (element.dataset.toast) tell("oms:toast", element.dataset.toast);
    alarm(element.id, element.dataset.alert);
  }

  /* Said once of a unit, however often it is applied or told again: a refusal may be followed by more news of the same order. */
  function alarm(id, text) {
    if (!text || alarms.get(id) === text) return;
    alarms.set(id, text);
    tell("oms:alert", text);
  }

  const alarms = new Map();
  const cells = (unit) => [...unit.querySelectorAll("td, dd")];
  const tell = (name, text) => body.dispatchEvent(new CustomEvent(name, { detail: { text } }));

  function flash(element) {
    element.classList.remove("flash");
    void element.offsetWidth; // or the animation shows once only
    element.classList.add("flash");
  }

  function number(name) {
    const panel = document.querySelector(`[data-panel="${name}"]`), shown = panel?.querySelector("[data-count]");
    if (shown) shown.textContent = panel.querySelectorAll("[data-v]").length;
  }

  /* --- Asking again ---------------------------------------------------------------------------------------------------------------- */

  const asked = (event) => event.detail.requestConfig?.elt?.dataset.panel;
  document.addEventListener("htmx:beforeRequest", (event) => asked(event) && late.set(asked(event), []));
  document.addEventListener("htmx:beforeSwap", (event) => { // a page that refuses is not shown in a panel's place
    if (asked(event) && event.detail.xhr.status >= 400) { event.detail.shouldSwap = false; asLater(); }
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const name = asked(event), units = late.get(name);
    if (units) {
      late.delete(name);
      heard = Date.now();
      if (!paused) units.forEach(take);
      mind();
    }
    if (wanted && names().join() !== wanted) { socket?.close(); connect(); } // the page shows other panels now
  });
  for (const failure of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(failure, (event) => asked(event) && (late.delete(asked(event)), asLater()));
  }
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig?.verb === "post" && socket?.readyState !== WebSocket.OPEN) resync();
  });

  /* --- Growing stale --------------------------------------------------------------------------------------------------------------- */

  const strip = document.getElementById("stale");
  const sending = "form[method=post]:not([data-when-stale=allow]) :is(button:not([type]), [type=submit])";

  function mind() {
    const stale = Date.now() - heard > STALE;
    if (stale) {
      socket?.close();
      const when = new Date(heard).toLocaleTimeString([], { hourCycle: "h23" });
      if (strip) {
        strip.querySelector("span").textContent = strip.dataset.text;
        strip.querySelector("time").textContent = `${when}, ${Math.round((Date.now() - heard) / 1000)} s`;
      }
    }
    document.querySelectorAll(sending).forEach((button) => window.Deskbook?.off(button, "stale", stale));
    body.classList.toggle("is-stale", stale);
    if (strip) strip.hidden = !stale;
  }

  function age(element) {
    const seconds = Math.max(0, Math.round((Date.now() + ahead - Date.parse(element.dataset.at)) / 1000));
    const hours = Math.floor(seconds / 3600), rest = String(seconds % 60).padStart(2, "0");
    element.textContent = !hours ? `${Math.floor(seconds / 60)}:${rest}` : hours < 24 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
  }

  setInterval(() => { document.querySelectorAll(".age[data-at]").forEach(age); mind(); }, 1000);
  setInterval(() => { if (socket?.readyState !== WebSocket.OPEN) resync(); }, POLL);
  addEventListener("online", () => { tries = Math.min(tries, 1); socket || connect(); });
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  body.addEventListener("click", (event) => {
    const button = event.target.closest("#pause");
    if (!button) return;
    paused = !paused;
    button.setAttribute("aria-pressed", paused);
    body.classList.toggle("is-paused", paused);
    if (!paused) resync();
  });
  connect();
})();
