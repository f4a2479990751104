/* A preview has its minute, and the page counts it down: what is over is not sent, it is looked at again.

   The rule it keeps: the page calls a preview over no later than the server does. It counts from the moment at which the preview was asked
   for, by the clock that was right then; a machine that slept comes back to a preview that is over. */
(() => {
  "use strict";
  const LAST = 10; // seconds in which it is said loudly
  let asked = performance.timeOrigin;
  document.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.requestConfig.verb === "post") asked = Date.now(); });

  function count() {
    for (const place of document.querySelectorAll(".preview [data-life]")) tell(place, place.closest("form"));
  }

  function tell(place, form) {
    if (form.dataset.busy) return; // what became of a request that is under way is another matter
    const life = Number(place.dataset.life);
    place.dataset.from ||= asked;
    const left = Math.ceil(life - (Date.now() - Number(place.dataset.from)) / 1000);
    place.textContent = place.dataset.words.replace("%n", left);
    form.classList.toggle("is-ending", left <= LAST);
    if (left <= 0 || left > life) over(form, place.closest("button")); // more than its life: somebody set the clock back
  }

  function over(form, send) {
    const again = form.querySelector("[data-again]"), had = document.activeElement === send;
    send.remove();
    form.querySelector("[data-over]").hidden = again.hidden = false;
    form.closest(".preview").toggleAttribute("data-over", true);
    if (had) again.focus({ preventScroll: true });
  }

  document.addEventListener("htmx:afterSettle", count);
  document.addEventListener("DOMContentLoaded", count);
  document.addEventListener("visibilitychange", count);
  setInterval(count, 1000);
})();
