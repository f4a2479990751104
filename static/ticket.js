/* The ticket says what it will send, and offers only what the contract and the chosen type take.

   The rule it keeps: it only fills fields in; what is sent is what stands in them. What is not taken is off, with the reason beside it; the
   table of it (data-offer) comes from the server, which has the last word. */
(() => {
  "use strict";
  const { units, ONE, money, write, field, value, ladder, onTick, shown } = window.Deskbook;

  /* --- What is offered --------------------------------------------------------------------------------------------------------------- */

  function offer(form) {
    let table;
    try { table = JSON.parse(form.dataset.offer); } catch { return; }
    const type = value(form, "order_type"), why = (n) => table.why[n], times = table.times[type] || {};
    const time = field(form, "time_in_force");
    for (const option of time.options) option.disabled = option.value in times;
    if (time.selectedOptions[0]?.disabled) time.value = [...time.options].find((option) => !option.disabled)?.value ?? time.value;
    refusedList(form, "time_in_force", Object.entries(times).map(([name, n]) => [name, why(n)]));
    const refused = { ...(table.attributes[`${type}|${time.value}`] || {}) };
    for (const [one, other, n] of table.exclusive) if (isUsed(form, one) && !(one in refused) && !(other in refused)) refused[other] = n;
    for (const input of form.querySelectorAll("[data-attribute]")) {
      const off = input.dataset.attribute in refused;
      input.disabled = off;
      input.closest(".f").toggleAttribute("data-off", off && !input.matches("#id_outside_rth"));
      reason(form, input.dataset.attribute, off ? why(refused[input.dataset.attribute]) : "");
    }
  }

  function isUsed(form, name) {
    const input = field(form, name);
    return input && !input.disabled && (input.type === "checkbox" ? input.checked : Boolean(input.value.trim()));
  }

  function reason(form, name, words) {
    const place = form.querySelector(`[data-why-of="${name}"]`);
    if (!place) return;
    place.hidden = !words;
    place.textContent = words ? `${place.dataset.label} ${words}` : "";
  }

  function refusedList(form, name, entries) {
    const place = form.querySelector(`[data-refused="${name}"]`);
    if (!place) return;
    place.hidden = !entries.length;
    place.querySelector("[data-refused-names]").textContent = entries.map(([word]) => word).join(", ");
    place.querySelector("ul").replaceChildren(...entries.map(([word, words]) => {
      const item = document.createElement("li"), bold = document.createElement("b");
      bold.textContent = word;
      item.append(bold, ` ${words}`);
      return item;
    }));
  }

  /* --- What it says -------------------------------------------------------------------------------------------------------------------- */

  /* The price that the order would trade at: its own, else the market's. */
  function entry(form) {
    const type = value(form, "order_type"), side = value(form, "side");
    if (["LMT", "STP LMT", "LIT", "LOC", "LOO"].includes(type)) return units(value(form, "limit_price"));
    const own = ["STP", "MIT", "TRAIL LIMIT"].includes(type) ? units(value(form, "stop_price")) : null;
    const quote = form.querySelector("[data-ask]")?.dataset || {};
    return own ?? units(side === "SELL" ? quote.bid : quote.ask) ?? units(quote.last);
  }

  /* Another symbol is typed than the one whose contract, quote and ticks are shown. */
  function isOther(form) {
    const input = field(form, "symbol");
    return Boolean(value(form, "con_id")) && input.value.trim().toUpperCase() !== input.defaultValue.trim().toUpperCase();
  }

  function prices(form, type) {
    const limit = value(form, "limit_price"), stop = value(form, "stop_price");
    const trail = value(form, "trail") && value(form, "trail") + (value(form, "trail_unit") === "%" ? "%" : "");
    return {
      LMT: [limit], LOC: [limit], LOO: [limit], STP: [stop], MIT: [stop], "STP LMT": [stop, limit], LIT: [stop, limit],
      TRAIL: [trail], "TRAIL LIMIT": [trail],
    }[type] || [];
  }

  function say(form) {
    const type = value(form, "order_type"), side = value(form, "side");
    form.dataset.side = side;
    form.classList.toggle("is-other", isOther(form));
    amount(form);
    const send = form.querySelector("[data-sentence]");
    if (!send) return;
    const till = value(form, "time_in_force") === "GTD" ? value(form, "good_till").replace("T", " ") : "";
    const time = ["MOO", "LOO"].includes(type) ? "" : value(form, "time_in_force");
    const words = [side, value(form, "quantity"), value(form, "symbol").toUpperCase(), type, ...prices(form, type), time, till];
    send.textContent = side ? words.filter(Boolean).join(" ") : send.dataset.sentence;
    const exits = window.Deskbook.exitWords?.(form, form.querySelector("[data-sentence-more]")?.dataset) ?? { orders: 1, words: "" };
    const more = form.querySelector("[data-sentence-more]");
    if (more) more.textContent = side ? exits.words : "";
    window.Deskbook.sends?.(form, exits.orders);
    seldom(form);
  }

  /* What is set in the fold "More", where it cannot be seen. */
  function seldom(form) {
    const place = form.querySelector("[data-more-says]");
    if (!place) return;
    const inputs = [...form.querySelectorAll(".more [data-attribute], .more [name=note]")];
    const set = inputs.filter((input) => isUsed(form, input.name) && !(input.name === "trigger_method" && input.value === "0"));
    place.textContent = set.map((input) => (input.closest(".check") || input.closest(".f").querySelector("label")).textContent.trim().toLowerCase()).join(" · ");
  }

  function amount(form) {
    const from = entry(form), size = units(value(form, "quantity"));
    const multiplier = units(form.querySelector("[data-multiplier]")?.dataset.multiplier) || ONE;
    const words = from && size ? money((((from * size) / ONE) * multiplier) / ONE) : "–";
    form.querySelectorAll("[data-amount=order]").forEach((part) => { part.textContent = words; });
  }

  /* Where a trailing stop would begin by itself: shown in grey until somebody types another price. A TRAIL LIMIT must be given its
     beginning (its limit is counted from there), so it is filled in, and follows the market until somebody types. */
  function begins(form) {
    const input = field(form, "stop_price"), trails = value(form, "order_type").startsWith("TRAIL"), side = value(form, "side");
    const steps = ladder(form), quote = form.querySelector("[data-ask]")?.dataset || {}, trail = units(value(form, "trail"));
    const from = units(side === "SELL" ? quote.bid : quote.ask);
    const ours = !input.value || input.dataset.ours === input.value;
    input.placeholder = "";
    if (ours && value(form, "order_type") !== "TRAIL LIMIT") input.value = "";
    if (!trails || !side || trail === null || from === null || !steps.length) return;
    const away = value(form, "trail_unit") === "%" ? (from * trail) / (100n * ONE) : trail;
    const price = onTick(steps, side === "SELL" ? from - away : from + away);
    if (price <= 0n) return;
    if (value(form, "order_type") === "TRAIL") input.placeholder = shown(steps, price);
    else if (ours && input !== document.activeElement) input.value = input.dataset.ours = shown(steps, price);
  }

  function renew(form) {
    if (form.matches("[data-ticket]")) { offer(form); begins(form); }
    window.Deskbook.exits?.(form);
    if (form.matches("[data-ticket]")) say(form);
  }

  Object.assign(window.Deskbook, { entry, renew, isOther });

  /* --- Acts ---------------------------------------------------------------------------------------------------------------------------- */

  const concerns = (form) => form?.matches("[data-ticket], [data-exits]");
  for (const name of ["input", "change"]) {
    document.addEventListener(name, (event) => {
      const form = event.target.form;
      if (!concerns(form)) return;
      delete event.target.dataset.ours; // what a person touched is his
      window.Deskbook.typed?.(event.target, name);
      renew(form);
    });
  }

  document.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-ticket] [data-price]");
    if (!chip?.dataset.price || isOther(chip.form)) return;
    const form = chip.form, name = /^(STP|MIT|TRAIL)$/.test(value(form, "order_type")) ? "stop_price" : "limit_price";
    const steps = ladder(form), price = units(chip.dataset.price);
    if (field(form, name)) write(field(form, name), steps.length && price !== null ? shown(steps, price) : chip.dataset.price);
  });

  /* The gateway takes orders or does not, and the ticket says why not. */
  function gate() {
    const pill = document.querySelector("[data-may-place]"), button = document.getElementById("ticket-send");
    if (!pill || !button || button.dataset.locked !== undefined) return;
    const closed = pill.dataset.mayPlace === "false", why = document.querySelector("#ticket-why span");
    if (closed || button.disabled) button.setAttribute("data-off-gate", ""); // it may have come switched off for this very reason
    if (closed) button.disabled = true;
    else window.Deskbook.off?.(button, "gate", false);
    if (why) why.textContent = closed ? pill.dataset.reason : "";
    document.getElementById("ticket-why")?.classList.toggle("warn", closed);
  }

  /* The same for a question over the page: what needs a READY gateway is off with the reason beside it, and comes back by itself. */
  function gateForms() {
    const pill = document.querySelector("[data-may-place]");
    if (!pill) return;
    const closed = pill.dataset.mayPlace === "false";
    document.querySelectorAll("form[data-gate]").forEach((form) => {
      const button = form.querySelector("[type=submit]:not([form])"), why = form.querySelector("[data-gate-why]");
      if (!button || !why || button.dataset.locked !== undefined) return;
      if (closed || button.disabled) button.setAttribute("data-off-gate", "");
      if (closed) button.disabled = true;
      else window.Deskbook.off?.(button, "gate", false);
      why.hidden = !closed;
      if (closed) why.querySelector("span").textContent = pill.dataset.reason;
    });
  }

  /* A ticket that came back with reasons begins with them; on a phone they may be far above. */
  document.addEventListener("htmx:afterSettle", (event) => event.detail.target?.id === "ticket-panel" && document.getElementById("ticket-errors")?.focus());

  const refresh = () => { document.querySelectorAll("form:is([data-ticket], [data-exits])").forEach(renew); gate(); gateForms(); };
  document.addEventListener("htmx:afterSettle", refresh);
  document.body.addEventListener("oms:live", refresh);
  document.addEventListener("DOMContentLoaded", refresh); // when the scripts after this one have run
})();
