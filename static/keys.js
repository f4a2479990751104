/* The keyboard: / search, N ticket, B and S side, J and K rows, E change, X cancel, Ctrl+Enter preview and send, ? help.

   Ctrl+Shift+X cancels all, Ctrl+Shift+F flattens, Ctrl+Shift+K is the kill switch: of the account of the page, and each asks first.

   The rule it keeps: a single letter acts only outside of fields and dialogs, asks before anything is sent, and can be turned off
   (WCAG 2.1.4); the choice is kept in this browser. The three of Ctrl+Shift act everywhere, while typing and over a dialog too. */
(() => {
  "use strict";
  const KEPT = "deskbook-keys", ROW = "[data-panel] tbody tr:not(.more)";
  const on = () => localStorage.getItem(KEPT) !== "off";
  const ticket = () => document.querySelector("form[data-ticket]");
  const typing = (element) => element.matches("input:not([type=radio], [type=checkbox]), select, textarea, [contenteditable]");
  const rows = () => [...document.querySelectorAll(ROW)].filter((row) => row.offsetParent);

  function focus(element) {
    if (!element) return;
    element.focus();
    element.select?.();
  }

  function side(name) {
    const choice = ticket()?.querySelector(`[name=side][value=${name}]`);
    if (!choice) return;
    choice.checked = true;
    choice.dispatchEvent(new Event("change", { bubbles: true }));
    if (!ticket().contains(document.activeElement)) focus(ticket().elements.quantity);
  }

  function row(way) {
    const all = rows(), now = all.indexOf(document.activeElement.closest?.(ROW));
    const next = all[Math.max(0, Math.min(all.length - 1, now + way))];
    next?.querySelector("a, button")?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  const press = (name) => document.activeElement.closest?.(ROW)?.querySelector(`[data-act=${name}]`)?.click();

  const ACTS = {
    "/": () => focus(document.getElementById("q")),
    n: () => { location.hash = "ticket"; focus(ticket()?.elements.symbol); },
    b: () => side("BUY"),
    s: () => side("SELL"),
    j: () => row(1),
    k: () => row(-1),
    e: () => press("change"),
    x: () => press("cancel"),
    "?": () => document.getElementById("keys")?.showModal(),
  };

  const PANIC = { KeyX: "key-cancel-all", KeyF: "key-flatten", KeyK: "kill" };

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    const panic = event.ctrlKey && event.shiftKey && !event.altKey && !event.metaKey && document.getElementById(PANIC[event.code]);
    if (panic) {
      event.preventDefault();
      if (!event.repeat) panic.click();
      return;
    }
    if (event.ctrlKey && event.key === "Enter" && !event.repeat) {
      // First it previews the ticket, then it sends what the preview shows.
      const panel = target.closest("#ticket-panel, dialog");
      const ids = ["preview-send", "exits-send", "preview-again", "exits-again", "ticket-send", "exits-look"];
      const button = ids.map((id) => panel?.querySelector(`#${id}`)).find(Boolean);
      if (button) event.preventDefault();
      if (button && !button.disabled) button.form.requestSubmit(button);
      return;
    }
    if (!on() || event.repeat || event.ctrlKey || event.metaKey || event.altKey || typing(target) || document.querySelector("dialog[open]")) return;
    const act = ACTS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  const choice = document.getElementById("keys-on");
  if (choice) {
    choice.checked = on();
    choice.addEventListener("change", () => localStorage.setItem(KEPT, choice.checked ? "on" : "off"));
  }
})();
