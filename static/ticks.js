/* Counts prices and amounts in whole hundred-millionths, on the contract's ladder of ticks.

   The rule it keeps: never a float. A price that is written stands on the ladder (data-tick: [[low edge, tick], ...]); what a person typed is
   only read. */
(() => {
  "use strict";
  const ONE = 10n ** 8n;
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

  /* Rounded to so many places, a half away from zero. */
  function brief(amount, places) {
    const step = 10n ** BigInt(8 - places), half = amount < 0n ? -step / 2n : step / 2n;
    return text(((amount + half) / step) * step, places);
  }

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

  function write(input, content) {
    input.value = content;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  const entryHint = (form) => { const { bid, last } = form.querySelector("[data-ask]")?.dataset || {}; return units(bid) ?? units(last); };

  function step(input, count) {
    const form = input.form, price = units(input.value) ?? units(input.placeholder);
    if (input.dataset.steps === "price") {
      const steps = ladder(form), from = price ?? entryHint(form);
      if (from === null) return;
      const tick = tickAt(steps, count < 0 ? from - 1n : from);
      const next = onTick(steps, from) + (price === null ? 0n : tick * BigInt(count));
      if (next > 0n) write(input, shown(steps, next));
    } else {
      const size = units(form.dataset.sizeIncrement || "1") * BigInt(count), next = (price ?? 0n) + size;
      if (next > 0n) write(input, text(next, 0));
    }
  }

  const money = (amount) => (Number(amount) / 1e8).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const signed = (amount, spell = money) => (amount > 0n ? "+" : amount < 0n ? "−" : "") + spell(amount < 0n ? -amount : amount);

  window.Deskbook = Object.assign(window.Deskbook || {}, {
    ONE, units, text, brief, ladder, tickAt, placesOf, onTick, shown, write, money, signed, field, value,
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-step]"), input = button && document.getElementById(button.dataset.for);
    if (input) step(input, Number(button.dataset.step) * (event.shiftKey ? 10 : 1));
  });

  document.addEventListener("keydown", (event) => {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!way || !event.target.dataset?.steps) return;
    event.preventDefault();
    step(event.target, way * (event.shiftKey ? 10 : 1));
  });
})();
