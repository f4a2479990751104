/* Sending, and what comes of it: a form goes once, an answer that was lost is looked up, and people are told.

   The rule it keeps: a request keeps its key until it is known what became of it. So a double click, a repeated key and a broken line are
   one order; the server answers the same key with the same answer. */
(() => {
  "use strict";
  const AGAIN = 2000, SHOWN = 12000, MOST = 3, LOOK = 400;
  htmx.config.timeout = 15000; // after which an answer counts as lost
  let opener = null; // what had the focus when a dialog opened
  const words = () => document.getElementById("toasts")?.dataset || {};
  const postForm = (element) => { const form = element?.closest?.("form"); return form?.method === "post" ? form : null; };
  const buttons = (form) => [...form.elements].filter((element) => element.type === "submit");

  /* A button may be off for several reasons at once; one that the page itself made so stays so. */
  function off(button, why, on) {
    const marked = () => button.getAttributeNames().some((name) => name.startsWith("data-off-"));
    if (on ? button.disabled && !marked() : !button.hasAttribute(`data-off-${why}`)) return;
    button.toggleAttribute(`data-off-${why}`, on);
    button.disabled = marked();
  }
  window.Deskbook = { off };

  function hold(form) {
    form.dataset.busy = "1";
    buttons(form).forEach((button) => off(button, "busy", true));
  }

  function release(form) {
    delete form.dataset.busy;
    buttons(form).forEach((button) => off(button, "busy", false));
  }

  addEventListener("submit", (event) => {
    const form = postForm(event.target);
    if (!form) return;
    if (form.dataset.busy) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    form.dataset.busy = "1";
    setTimeout(() => hold(form)); // not before the browser has read which button was pressed
  }, true);

  /* A page that is armed sends its ticket at once, without a preview. */
  document.addEventListener("htmx:configRequest", (event) => {
    const form = event.detail.elt;
    if (form.matches("form[data-armed]") && form.elements.arming) event.detail.path = form.dataset.armed;
  });

  /* Where trading is held back, one-click mode ends (the server sends nothing under it any more). */
  document.body.addEventListener("oms:live", () => {
    if (document.querySelector("#panel-restraints .strip")) document.getElementById("ticket-armed")?.replaceChildren();
  });

  /* Scrolls the column of the ticket, and nothing around it. */
  function bringUp(part) {
    const column = part.closest("aside, dialog");
    if (column && column.scrollHeight > column.clientHeight && getComputedStyle(column).overflowY !== "visible") {
      column.scrollTop += part.getBoundingClientRect().top - column.getBoundingClientRect().top;
    } else part.scrollIntoView({ block: "nearest" });
  }

  /* A preview is of the form as it was, beside which it stands: what is changed has none. */
  const PREVIEWED = "[data-ticket], [data-exits]";
  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, (event) => {
      if (event.target.form?.matches(PREVIEWED)) clearPreview(event.target.form);
    });
  }

  function clearPreview(form) {
    const shown = form.parentElement.querySelector(":scope > .preview[data-seal]");
    if (!shown) return;
    shown.removeAttribute("data-seal");
    shown.replaceChildren();
  }

  /* The second half of a double click on "Preview" does not send what has just appeared under it. */
  document.addEventListener("htmx:afterSettle", () => {
    const form = document.querySelector("form[data-send]:not([data-fresh])"), button = form && buttons(form)[0];
    if (!button) return;
    form.dataset.fresh = "1";
    bringUp(form.closest(".preview"));
    off(button, "fresh", true);
    setTimeout(() => {
      off(button, "fresh", false);
      const here = document.activeElement;
      if (!button.disabled && (here === document.body || here?.closest("#ticket-panel, dialog"))) button.focus({ preventScroll: true });
    }, LOOK);
  });

  addEventListener("keydown", (event) => {
    if (event.repeat && (event.key === "Enter" || event.key === " ") && postForm(event.target)) event.preventDefault();
  }, true);

  document.addEventListener("htmx:validation:halted", (event) => { const form = postForm(event.target); if (form) release(form); });

  document.addEventListener("htmx:beforeRequest", (event) => {
    // A fresh key must not replace the one of a request whose fate is open.
    const { elt, requestConfig } = event.detail;
    if (requestConfig.verb === "get" && elt.closest("form")?.dataset.busy && !elt.dataset.panel) event.preventDefault();
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.requestConfig?.verb === "post" && postForm(event.detail.requestConfig.elt);
    if (!form) return;
    const status = event.detail.xhr?.status || 0;
    if (status && status < 500) {
      release(form);
      // On a phone the ticket is a sheet over the desk: what became of the order is behind it.
      if (status < 300 && isSending(form) && location.hash === "#ticket") location.hash = "content";
    }
    else if (form.elements.key && !(form.matches(PREVIEWED) && !isSending(form))) lookUp(form, form.elements.key.value);
    else { release(form); toast(words().failed, "bad"); }
  });

  /* A ticket is only previewed, unless its page is armed. */
  const isSending = (form) => form.matches("[data-send]") || (form.matches("[data-ticket]") && Boolean(form.elements.arming));

  /* The answer is lost: nobody knows yet whether the request arrived. The one place where a script of ours asks by itself. */
  async function lookUp(form, key) {
    hold(form);
    say(form, words().checking);
    try {
      const answer = await fetch(`/submissions/${encodeURIComponent(key)}/`, { cache: "no-store", redirect: "error" });
      if (!answer.ok) throw new Error(answer.statusText);
      const known = await answer.json();
      if (known.found) {
        toast(known.text, "", known.url);
        form.closest("dialog")?.remove();
        location.reload();
        return;
      }
      say(form, words().notReceived);
      release(form); // with the same key
    } catch {
      setTimeout(() => lookUp(form, key), AGAIN);
    }
  }

  function say(form, text) {
    let place = form.querySelector("[data-fate]");
    if (!place) {
      place = document.createElement("p");
      place.className = "strip";
      place.setAttribute("role", "status");
      place.dataset.fate = "";
      form.prepend(place);
    }
    place.textContent = text;
  }

  /* --- Telling people -------------------------------------------------------------------------------------------------------------------- */

  function toast(text, kind, url) {
    const lane = document.getElementById("toasts");
    if (!lane || !text) return;
    const note = document.createElement("p"), close = document.createElement("button");
    note.className = kind ? `toast toast-${kind}` : "toast";
    if (kind) note.setAttribute("aria-hidden", "true"); // #alerts says it aloud
    const content = document.createElement(url ? "a" : "span");
    if (url) content.href = url;
    content.textContent = text;
    close.type = "button";
    close.className = "mini icon";
    close.dataset.dismiss = "";
    close.setAttribute("aria-label", words().dismiss || "");
    close.textContent = "×";
    note.append(content, close);
    lane.append(note);
    fade(lane);
  }

  function fade(lane) {
    while (lane.children.length > MOST) lane.firstElementChild.remove();
    [...lane.children].filter((note) => !note.dataset.fading).forEach((note) => {
      note.dataset.fading = "1";
      setTimeout(() => note.matches(":hover, :focus-within") || note.remove(), SHOWN);
    });
  }

  document.body.addEventListener("oms:toast", (event) => toast(event.detail.text, ""));
  document.body.addEventListener("oms:alert", (event) => {
    const alerts = document.getElementById("alerts");
    if (alerts) alerts.textContent = event.detail.text;
    toast(event.detail.text, "bad");
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-dismiss]")) event.target.closest(".toast")?.remove();
    if (event.target.closest("dialog [data-close]")) { event.preventDefault(); event.target.closest("dialog").close(); }
  });
  document.addEventListener("htmx:afterSwap", () => {
    const focused = document.activeElement;
    document.querySelectorAll("dialog[data-modal]:not([open])").forEach((dialog) => {
      opener = focused === document.body ? opener : focused;
      dialog.showModal();
    });
    if (opener && focused === document.body && !document.querySelector("dialog[open]")) {
      if (opener.isConnected) opener.focus();
      opener = null;
    }
    const lane = document.getElementById("toasts");
    if (lane) fade(lane);
  });
  document.addEventListener("close", (event) => event.target.matches?.("dialog[data-modal]") && event.target.remove(), true);
})();
