/* The size of an order by a method: asks again when what it rests on was typed, and puts a size that is taken into the ticket.

   The rule it keeps: the quantity changes when somebody takes the size, never by itself. htmx asks; this only says when. */
(() => {
  "use strict";
  const { field, value, write } = window.Deskbook, PAUSE = 350;
  let soon = 0;

  const rests = (input) => !["note", "quantity", "symbol", "confirm_duplicate"].includes(input.name) && !/_quantity$/.test(input.name);

  function ask(form) {
    clearTimeout(soon);
    const place = document.getElementById("ticket-size");
    if (!place) return;
    if (!value(form, "size_method")) { place.replaceChildren(); return; }
    soon = setTimeout(() => value(form, "side") && value(form, "con_id") && htmx.trigger(place, "oms:size"), PAUSE);
  }

  for (const name of ["input", "change"]) {
    document.addEventListener(name, (event) => {
      const form = event.target.form;
      if (form?.matches("[data-ticket]") && rests(event.target)) ask(form);
    });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-take-size]");
    if (!button) return;
    event.preventDefault(); // without this script the server does it
    const form = button.form, stop = button.dataset.takeStop;
    if (stop) write(field(form, "bracket")?.checked ? field(form, "pair_1_stop_price") : field(form, "size_stop"), stop);
    write(field(form, "quantity"), button.dataset.takeSize);
    field(form, "quantity").focus();
  });
})();
