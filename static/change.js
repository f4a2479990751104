/* The change of an order says while it is typed what would be another: old → new, and by how much.

   The rule it keeps: it reads and tells, nothing else; a change that changes nothing is not offered. */
(() => {
  "use strict";
  const { ONE, units, brief, text, signed } = window.Deskbook;

  const isSame = (old, now) => (units(old) !== null && units(now) !== null ? units(old) === units(now) : old.trim() === now.trim());

  function delta(name, old, now) {
    const from = units(old), to = units(now);
    if (from === null || to === null || from === to) return "";
    const by = signed(to - from, (size) => text(size, 0));
    return from ? `${by} (${signed(((to - from) * 100n * ONE) / from, (size) => brief(size, 2))} %)` : by;
  }

  function say(form) {
    const rows = [...form.querySelectorAll(".f-change")], changed = [];
    const isTill = form.elements.time_in_force?.value === "GTD";
    form.querySelectorAll(".f-till, .f-till-zone").forEach((part) => { part.hidden = !isTill; });
    for (const row of rows) {
      const input = row.querySelector("input, select"), old = row.dataset.old, now = input.value;
      const differs = !row.hidden && !isSame(old, now);
      row.classList.toggle("is-changed", differs);
      const place = row.querySelector("[data-delta]");
      place.textContent = differs && input.inputMode === "decimal" ? delta(row.dataset.name, old, now) : "";
      if (differs) changed.push(`${row.dataset.name} ${row.querySelector(".old").textContent} → ${(input.type === "datetime-local" ? now.replace("T", " ") : now) || "–"}`);
    }
    const words = form.querySelector("[data-change-sentence]"), button = words?.closest("button");
    if (!button) return;
    words.textContent = changed.length ? `${words.dataset.changeSentence}: ${changed.join(", ")}` : words.dataset.changeNone;
    window.Deskbook.off?.(button, "same", !changed.length);
  }

  const refresh = () => document.querySelectorAll("form[data-change]").forEach(say);
  for (const name of ["input", "change"]) document.addEventListener(name, (event) => event.target.form?.matches("[data-change]") && say(event.target.form));
  document.addEventListener("htmx:afterSettle", refresh);
  document.addEventListener("DOMContentLoaded", refresh);
})();
