/* The ticket says what it will send, and counts in ticks.

   The rule it keeps: prices are counted in whole hundred-millionths, never in floats, and every price it writes stands on the contract's
   ladder (data-tick: [[low edge, tick], ...]). It only fills fields in; what is sent is what stands in them. */
(() => {
  "use strict";
  const ONE = 10n ** 8n;
  const forms = () => document.querySelectorAll("form:has([data-percent-of])");
  const field = (form, name) => form.elements[name];
  const value = (form, name) => (field(form, name)?.value ?? "").trim();

  function units(text) {
    const found = /^([-−]?)(\d*)\.?(\d{0,8})$/.exec(text || "");
    if (!found || !(found[2] || found[3])) return null;
    const size = BigInt(found[2] || 0) * ONE + BigInt(found[3].padEnd(8, "0"));
    return found[1] ? -size : size;
  }

  function text(amount, places) {
    const size = amount < 0n ? -amount : amount;
    const rest = String(size % ONE).padStart(8, "0").replace(/0+$/, "").padEnd(places, "0");
    return (amount < 0n ? "-" : "") + size / ONE + (rest && `.${rest}`);
  }

  /* --- Ticks ------------------------------------------------------------------------------------------------------------------------ */

  function ladder(form) {
    const holder = form.matches("[data-tick]") ? form : form.querySelector("[data-tick]");
    try {
      return JSON.parse(holder.dataset.tick).map(([low, tick]) => [units(low), units(tick)]).filter(([, tick]) => tick > 0n);
    } catch {
      return []; // no contract yet
    }
  }

  function tickAt(steps, price) {
    const size = price < 0n ? -price : price;
    return (steps.filter(([low]) => low <= size).at(-1) || steps[0] || [0n, ONE / 100n])[1];
  }

  const placesOf = (tick) => (text(tick, 0).split(".")[1] || "").length;

  function onTick(steps, price) {
    const tick = tickAt(steps, price), half = price < 0n ? -tick / 2n : tick / 2n;
    return ((price + half) / tick) * tick;
  }

  const shown = (steps, price) => text(price, placesOf(tickAt(steps, price)));

  function step(input, count) {
    const form = input.form, price = units(input.value);
    if (input.dataset.steps === "price") {
      const steps = ladder(form), from = price ?? entryHint(form);
      if (from === null) return;
      const tick = tickAt(steps, count < 0 ? from - 1n : from);
      const next = onTick(steps, from) + (price === null ? 0n : tick * BigInt(count));
      if (next > 0n) write(input, shown(steps, next));
    } else {
      const size = units(input.dataset.stepSize || "1") * BigInt(count), next = (price ?? 0n) + size;
      if (next > 0n) write(input, text(next, 0));
    }
  }

  const entryHint = (form) => { const { bid, last } = form.querySelector("[data-ask]")?.dataset || {}; return units(bid) ?? units(last); };

  function write(input, content) {
    input.value = content;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /* --- The exits: percent and price follow each other ---------------------------------------------------------------------------------- */

  function entry(form) {
    const side = value(form, "side"), type = value(form, "order_type");
    if (type === "LMT" || type === "STP LMT") return units(value(form, "limit_price"));
    if (type === "STP") return units(value(form, "stop_price"));
    const quote = form.querySelector("[data-ask]")?.dataset || {};
    return units(side === "SELL" ? quote.bid : quote.ask);
  }

  /* What was typed last leads: a price that a person typed stays, and its percentage is worked out. */
  function exits(form) {
    const ticket = form.matches("[data-ticket]"), steps = ladder(form);
    for (const percent of form.querySelectorAll("[data-percent-of]")) {
      const price = document.getElementById(percent.dataset.priceInput);
      const from = ticket ? entry(form) : units(document.getElementById(percent.dataset.percentOf).value);
      const way = BigInt(percent.dataset.sign) * (ticket && value(form, "side") === "SELL" ? -1n : 1n);
      if (!from || !steps.length || (ticket && !value(form, "side"))) continue;
      if (price.dataset.typed && units(price.value)) {
        percent.value = text((way * (units(price.value) - from) * 10000n) / from * (ONE / 100n), 2);
      } else if (units(percent.value) !== null) {
        price.value = shown(steps, onTick(steps, (from * (100n * ONE + way * units(percent.value))) / (100n * ONE)));
      }
    }
  }

  /* --- What it says -------------------------------------------------------------------------------------------------------------------- */

  const money = (amount) => (Number(amount) / 1e8).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

  /* Another symbol is typed than the one whose contract, quote and ticks are shown. */
  function isOther(form) {
    const input = field(form, "symbol");
    return Boolean(value(form, "con_id")) && input.value.trim().toUpperCase() !== input.defaultValue.trim().toUpperCase();
  }

  function say(form) {
    const type = value(form, "order_type"), side = value(form, "side"), bracket = field(form, "bracket")?.checked;
    form.querySelectorAll("[data-types]").forEach((part) => { part.hidden = !part.dataset.types.split(",").includes(type); });
    form.dataset.side = side;
    form.classList.toggle("is-other", isOther(form));
    const send = form.querySelector("[data-sentence]");
    if (!send) return;
    const prices = type === "STP LMT" ? [value(form, "stop_price"), value(form, "limit_price")]
      : type === "LMT" ? [value(form, "limit_price")] : type === "STP" ? [value(form, "stop_price")] : [];
    const words = [side, value(form, "quantity"), value(form, "symbol").toUpperCase(), type, ...prices, value(form, "time_in_force")];
    send.textContent = side ? words.filter(Boolean).join(" ") : send.dataset.sentence;
    const more = form.querySelector("[data-sentence-more]"), labels = more?.dataset;
    if (more) {
      more.textContent = bracket && side
        ? ` · ${labels.stop} ${value(form, "stop_loss_price")} · ${labels.target} ${value(form, "take_profit_price")}` : "";
    }
    const sends = form.querySelector("[data-sends]");
    if (sends) sends.textContent = bracket ? sends.dataset.three : sends.dataset.sends;
    amounts(form, bracket);
  }

  function amounts(form, bracket) {
    const from = entry(form), size = units(value(form, "quantity")), sign = value(form, "side") === "SELL" ? -1n : 1n;
    const multiplier = units(form.querySelector("[data-multiplier]")?.dataset.multiplier) || ONE;
    const put = (name, content) => form.querySelectorAll(`[data-amount=${name}]`).forEach((part) => { part.textContent = content; });
    const worth = (price) => (((price * size) / ONE) * multiplier) / ONE;
    put("order", from && size ? money(worth(from)) : "–");
    const [gain, loss] = ["take_profit", "stop_loss"].map((name) => {
      const price = units(value(form, `${name}_price`));
      return bracket && from && size && price !== null ? sign * worth(price - from) : null;
    });
    put("take_profit", gain === null ? "–" : (gain >= 0n ? "+" : "−") + money(gain < 0n ? -gain : gain));
    put("stop_loss", loss === null ? "–" : (loss >= 0n ? "+" : "−") + money(loss < 0n ? -loss : loss));
    put("r", gain !== null && loss ? (Number(gain) / Math.abs(Number(loss))).toFixed(1) : "–");
  }

  function renew(form) {
    exits(form);
    if (form.matches("[data-ticket]")) say(form);
  }

  /* --- Acts ---------------------------------------------------------------------------------------------------------------------------- */

  document.addEventListener("input", (event) => {
    const input = event.target, form = input.form;
    if (!form?.querySelector("[data-percent-of]")) return;
    const led = form.querySelector(`[data-price-input="${input.id}"]`) ? input : document.getElementById(input.dataset.priceInput);
    if (led) led.dataset.typed = led === input ? "1" : "";
    renew(form);
  });
  document.addEventListener("change", (event) => event.target.form?.querySelector("[data-percent-of]") && renew(event.target.form));

  document.addEventListener("click", (event) => {
    const chip = event.target.closest("[data-ticket] [data-price]");
    const button = event.target.closest("[data-step]");
    if (chip?.dataset.price && !isOther(chip.form)) {
      const form = chip.form, name = value(form, "order_type") === "STP" ? "stop_price" : "limit_price";
      if (field(form, name)) write(field(form, name), chip.dataset.price);
    } else if (button) {
      const input = document.getElementById(button.dataset.for);
      if (input) step(input, Number(button.dataset.step) * (event.shiftKey ? 10 : 1));
    }
  });

  document.addEventListener("keydown", (event) => {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!way || !event.target.dataset?.steps) return;
    event.preventDefault();
    step(event.target, way * (event.shiftKey ? 10 : 1));
  });

  /* The gateway takes orders or does not, and the ticket says why not. */
  function gate() {
    const pill = document.querySelector("[data-may-place]"), button = document.getElementById("ticket-send");
    if (!pill || !button || button.dataset.locked !== undefined) return;
    const closed = pill.dataset.mayPlace === "false", why = document.querySelector("#ticket-why span");
    if (closed || button.disabled) button.setAttribute("data-off-gate", ""); // it may have come switched off for this very reason
    if (closed) button.disabled = true;
    else window.Deskbook?.off(button, "gate", false);
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
      else window.Deskbook?.off(button, "gate", false);
      why.hidden = !closed;
      if (closed) why.querySelector("span").textContent = pill.dataset.reason;
    });
  }

  const refresh = () => { forms().forEach(renew); gate(); gateForms(); };
  document.addEventListener("htmx:afterSettle", refresh);
  document.body.addEventListener("oms:live", refresh);
  refresh();
})();
