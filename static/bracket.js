/* The exits of a bracket, or of a position that is there already: rows come and go, distances and prices follow each other, and each row
   says what it means in money, percent and R.

   The rule it keeps: what was typed last leads. A price that a person typed stays, and its distance is worked out; otherwise the price is,
   on the tick nearest to it. Quantities that nobody typed divide what is left. */
(() => {
  "use strict";
  const { ONE, units, text, brief, ladder, tickAt, onTick, shown, signed, write, field, value } = window.Deskbook;
  const HUNDRED = 100n * ONE, MOST = 5;
  const abs = (number) => (number < 0n ? -number : number);
  const part = (form, number, name) => field(form, `pair_${number}_${name}`);
  const NAMES = ["typed", "quantity", "target", "target_unit", "target_price", "stop_kind", "stop", "stop_unit", "stop_price", "stop_offset", "time_stop"];
  const count = (form) => Math.min(Math.max(Number(value(form, "pair_count")) || 1, 1), MOST);
  const numbers = (form) => Array.from({ length: count(form) }, (_, n) => n + 1);
  const isOfPosition = (form) => form.matches("[data-exits]");
  const isOn = (form) => { const box = field(form, "bracket"); return isOfPosition(form) || Boolean(box?.checked && !box.disabled); };

  /* Which inputs of a pair a person typed stands in the form itself, so that a ticket that comes back knows it still. */
  const led = (form, number, name) => part(form, number, "typed").value.split(" ").includes(name);

  function lead(form, number, name, on) {
    const others = part(form, number, "typed").value.split(" ").filter((one) => one && one !== name);
    part(form, number, "typed").value = [...others, ...(on ? [name] : [])].join(" ");
  }

  /* --- Distances ----------------------------------------------------------------------------------------------------------------------- */

  /* How far a distance reaches, in price; null where it cannot be known. */
  function reach(distance, unit, from, tick, risk) {
    if (distance === null) return null;
    if (unit === "%") return from === null ? null : (from * distance) / HUNDRED;
    if (unit === "ticks") return (distance * tick) / ONE;
    if (unit === "R") return risk === null ? null : (distance * risk) / ONE;
    return distance;
  }

  /* The same backwards: what a distance in price is in the unit. */
  function spelled(distance, unit, from, tick, risk) {
    if (unit === "%") return from ? brief((distance * HUNDRED) / from, 2) : "";
    if (unit === "ticks") return text((distance * ONE) / tick, 0);
    if (unit === "R") return risk ? brief((distance * ONE) / risk, 2) : "";
    return text(distance, 0);
  }

  /* One leg of a pair: its price, led by what was typed last. */
  function leg(form, number, name, way, basis, risk) {
    const distance = part(form, number, name), price = part(form, number, `${name}_price`), unit = part(form, number, `${name}_unit`).value;
    if (basis.from === null || !basis.steps.length) return units(price.value);
    const away = reach(units(distance.value), unit, basis.from, basis.tick, risk);
    const found = away === null ? null : onTick(basis.steps, basis.from + way * away);
    const typed = led(form, number, name) ? units(price.value) : null;
    if (typed !== null) {
      if (document.activeElement !== distance) distance.value = spelled(way * (typed - basis.from), unit, basis.from, basis.tick, risk);
      return typed;
    }
    price.value = found !== null && found > 0n ? shown(basis.steps, found) : "";
    return found;
  }

  /* A trailing stop: its distance is its own, and where it begins is only shown until somebody types it: at its distance from the entry, or
     from the market of a position that is there already. */
  function trailing(form, number, way, basis) {
    const price = part(form, number, "stop_price"), unit = part(form, number, "stop_unit").value, distance = units(part(form, number, "stop").value);
    const away = (from) => (from === null ? null : reach(distance, unit, from, basis.tick, null));
    const first = away(basis.market), begins = first === null || !basis.steps.length ? null : onTick(basis.steps, basis.market + way * first);
    price.placeholder = begins === null ? price.dataset.words : shown(basis.steps, begins);
    const typed = units(price.value);
    return { stop: typed ?? begins, risk: typed === null || basis.from === null ? away(basis.from) : abs(basis.from - typed) };
  }

  function fixed(form, number, way, basis) {
    const stop = leg(form, number, "stop", way, basis, null);
    return { stop, risk: stop === null || basis.from === null ? null : abs(basis.from - stop) };
  }

  function pair(form, number, sign, basis) {
    const kind = part(form, number, "stop_kind").value, price = part(form, number, "stop_price");
    price.dataset.words ??= price.placeholder;
    if (!kind.startsWith("TRAIL")) price.placeholder = price.dataset.words;
    const { stop, risk } = (kind.startsWith("TRAIL") ? trailing : fixed)(form, number, -sign, basis);
    const target = leg(form, number, "target", sign, basis, risk);
    limitOf(form, number, stop, sign, basis);
    return { number, stop, target, risk };
  }

  function limitOf(form, number, stop, sign, basis) {
    const offset = units(part(form, number, "stop_offset").value), place = row(form, number).querySelector("[data-leg-limit]");
    const limit = stop !== null && offset !== null && basis.steps.length ? onTick(basis.steps, stop - sign * offset) : null;
    place.textContent = limit === null ? "" : shown(basis.steps, limit);
    row(form, number).dataset.kind = part(form, number, "stop_kind").value;
  }

  /* --- Quantities ---------------------------------------------------------------------------------------------------------------------- */

  function equal(left, parts, n, step) {
    const each = (left / BigInt(parts) / step) * step;
    return n === parts - 1 ? left - each * BigInt(parts - 1) : each;
  }

  /* Parts that nobody typed are equal, in whole steps, and the last of them takes the rest; as the server divides. */
  function divide(form) {
    const total = units(value(form, "quantity")), step = units(form.dataset.sizeIncrement || "1") || ONE;
    const inputs = numbers(form).map((number) => part(form, number, "quantity"));
    if (inputs.length === 1) { inputs[0].value = ""; lead(form, 1, "quantity", false); }
    const [open, given] = [false, true].map((is) => inputs.filter((_, n) => led(form, n + 1, "quantity") === is));
    const left = total === null ? null : total - given.reduce((sum, input) => sum + (units(input.value) ?? 0n), 0n);
    if (left !== null && inputs.length > 1) {
      open.forEach((input, n) => {
        const size = equal(left, open.length, n, step);
        input.value = size > 0n ? text(size, 0) : "";
      });
    }
    const sum = form.querySelector("[data-exits-sum]"), missing = left !== null && !open.length && left !== 0n && inputs.length > 1;
    sum.textContent = missing ? `${sum.dataset.left} ${text(left, 0)}` : "";
    sum.classList.toggle("warn", missing);
    return inputs.length === 1 ? [total] : inputs.map((input) => units(input.value));
  }

  /* --- Telling ------------------------------------------------------------------------------------------------------------------------- */

  const row = (form, number) => form.querySelector(`[data-pair="${number}"]`);

  function tell(form, found, size, sign, basis) {
    const multiplier = units((form.dataset.multiplier ?? form.querySelector("[data-multiplier]")?.dataset.multiplier)) || ONE;
    for (const name of ["target", "stop"]) {
      const place = row(form, found.number).querySelector(`[data-leg-say=${name}]`), price = found[name];
      place.replaceChildren();
      if (price === null || basis.from === null) continue;
      const away = sign * (price - basis.from), percent = (away * HUNDRED) / basis.from;
      const begins = place.dataset.begins && row(form, found.number).dataset.kind?.startsWith("TRAIL") ? `${place.dataset.begins} ${shown(basis.steps, price)}` : "";
      const worth = size === null ? "" : signed((((away * size) / ONE) * multiplier) / ONE);
      const r = found.risk ? signed((away * ONE) / found.risk, (number) => (Number(number) / 1e8).toFixed(1)) + " R" : "";
      const money = document.createElement("b");
      money.textContent = worth;
      money.className = away < 0n ? "loss" : "gain";
      place.append([begins, signed(percent, (number) => brief(number, 2)) + " %", r].filter(Boolean).join(" · "), worth ? " · " : "", money);
    }
  }

  /* What the distances are counted from: the entry's price on a ticket, what a position cost, or what somebody typed in its place. */
  function basisOf(form) {
    const steps = ladder(form), counted = isOfPosition(form) ? units(value(form, "entry_price")) : window.Deskbook.entry(form);
    const from = counted && counted > 0n ? counted : null;
    return { from, market: isOfPosition(form) ? units(form.dataset.market) : from, steps, tick: tickAt(steps, from ?? 0n) };
  }

  function exits(form) {
    if (!field(form, "pair_count")) return;
    const side = isOfPosition(form) ? form.dataset.side : value(form, "side"), basis = basisOf(form), sizes = divide(form);
    const sign = isOfPosition(form) ? BigInt(form.dataset.sign) : side === "SELL" ? -1n : 1n;
    for (const number of numbers(form)) {
      if (!side) { tell(form, { number, stop: null, target: null }, null, sign, basis); row(form, number).dataset.kind = part(form, number, "stop_kind").value; continue; }
      tell(form, pair(form, number, sign, basis), sizes[number - 1], sign, basis);
    }
    behaviour(form);
    if (isOfPosition(form)) sends(form, exitWords(form).orders - 1);
  }

  /* How many orders go out: what a ticket says of itself, too. */
  function sends(form, orders) {
    const place = form.querySelector("[data-sends]");
    if (place) place.textContent = orders === 1 ? place.dataset.sends : place.dataset.unit.replace("%n", orders);
  }

  /* What is folded away is said beside its name; a time stop is off where it would count from the wrong moment. */
  function behaviour(form) {
    const place = form.querySelector("[data-exits-says]"), oca = form.querySelector("[name=oca_type]:checked");
    if (place) place.textContent = [value(form, "exits_time_in_force"), oca?.dataset.says.toLowerCase()].filter(Boolean).join(" · ");
    if (isOfPosition(form)) return;
    const off = value(form, "order_type") !== "MKT", why = form.querySelector("[data-time-stop-why]");
    for (const input of form.querySelectorAll("[data-time-stop]")) input.disabled = off;
    if (why) why.hidden = !off;
    const box = field(form, "bracket"), cannot = !box.dataset.types.split(",").includes(value(form, "order_type"));
    box.disabled = cannot;
    document.getElementById("id_bracket-why").hidden = !cannot;
  }

  /* How many orders go out, and the exits in a few words, for the button. */
  function exitWords(form, labels) {
    if (!isOn(form)) return { orders: 1, words: "" };
    const legs = numbers(form).map((number) => {
      const stop = part(form, number, "stop_price"), target = value(form, `pair_${number}_target_price`);
      const trail = part(form, number, "stop_kind").value.startsWith("TRAIL") ? value(form, `pair_${number}_stop`) : "";
      const timed = part(form, number, "time_stop"), ends = !timed.disabled && timed.value.trim();
      return { stop: trail || stop.value, target, orders: (trail || stop.value ? 1 : 0) + (target ? 1 : 0) + (ends ? 1 : 0) };
    });
    const words = legs.length === 1
      ? ` · ${labels?.stop} ${legs[0].stop || "–"} · ${labels?.target} ${legs[0].target || "–"}`
      : ` · ${legs.length} × ${labels?.target}/${labels?.stop}`;
    return { orders: 1 + legs.reduce((sum, one) => sum + one.orders, 0), words };
  }

  /* --- Acts ---------------------------------------------------------------------------------------------------------------------------- */

  function typed(input, kind) {
    const found = /^pair_(\d)_(\w+)$/.exec(input.name);
    if (!found || kind !== "input") return;
    const [, number, name] = found, form = input.form;
    if (name === "quantity") lead(form, number, name, Boolean(input.value.trim()));
    else if (name.endsWith("_price")) lead(form, number, name.replace("_price", ""), Boolean(input.value.trim()));
    else if (name === "target" || name === "stop") lead(form, number, name, false);
    else if (name === "stop_kind") { lead(form, number, "stop", false); part(form, number, "stop_price").value = ""; }
  }

  function show(form, pairs) {
    form.querySelector(".exits").dataset.pairs = pairs;
    form.querySelectorAll("[data-pair]").forEach((one) => { one.hidden = Number(one.dataset.pair) > pairs; });
    form.querySelector("[data-add-pair]").disabled = pairs === MOST;
    write(field(form, "pair_count"), pairs); // and everything is worked out anew
  }

  function copy(form, from, to) {
    for (const name of NAMES) part(form, to, name).value = part(form, from, name).value;
  }

  function add(form) {
    const pairs = count(form) + 1;
    if (pairs > MOST) return;
    copy(form, pairs - 1, pairs);
    for (const name of ["typed", "quantity", "target_price", "stop_price"]) part(form, pairs, name).value = "";
    show(form, pairs);
    part(form, pairs, "target").focus();
  }

  function remove(form, number) {
    for (let next = number; next < count(form); next += 1) copy(form, next + 1, next);
    part(form, count(form), "typed").value = "";
    show(form, count(form) - 1);
    form.querySelector("[data-add-pair]").focus();
  }

  /* What the distances count from, put there by a press. */
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-count-from]");
    if (button) write(field(button.form, "entry_price"), button.dataset.countFrom);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-add-pair], [data-remove-pair]");
    if (!button) return;
    event.preventDefault(); // without this script the server does it
    if (button.matches("[data-add-pair]")) add(button.form);
    else remove(button.form, Number(button.closest("[data-pair]").dataset.pair));
  });

  Object.assign(window.Deskbook, { exits, exitWords, sends, typed });
})();
