"""`python -m oms_site.simulation --seeds 200`: many lives of the desk, each with its faults, and the count of what did not hold.

The rule it keeps: a seed is all that is needed to see a run again, to the byte: `--seed N --trace` tells it as a story. Exit code 1 on a
violation, with the seed.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oms_site.simulation.run import Outcome

PROGRESS_EVERY = 50  # seeds


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m oms_site.simulation", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run (default: 200)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (default: 1)")
    parser.add_argument("--seed", type=int, nargs="+", help="this seed alone, or these")
    parser.add_argument("--trace", action="store_true", help="tell what happens, line by line")
    parser.add_argument("--naive", help="run a design that is known to be wrong, to see that it is caught; `list` names them")
    parser.add_argument("--faults", default="", help="only these faults, by the names of their functions, with commas")
    parser.add_argument("--until-caught", action="store_true", help="stop at the first seed with a violation")
    parser.add_argument("--digests", action="store_true", help="print each seed's digest")
    options = parser.parse_args(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of words would differ from run to run
        words = [sys.executable, "-m", "oms_site.simulation", *sys.argv[1:]]
        os.execve(sys.executable, words, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606 - our own interpreter, once more
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    from oms_site.simulation import database

    database.set_up()
    from oms_site.simulation import naive
    from oms_site.simulation.run import simulate
    from oms_site.simulation.workload import fill_book

    if options.naive == "list":
        sys.stdout.write("".join(f"{name:<22}{text}\n" for name, text in naive.described()))
        return 0
    logging.disable(logging.CRITICAL)
    template = database.Template(fill_book)
    gc.collect()
    gc.freeze()
    gc.disable()  # each world is cleared away when it has ended
    only = frozenset(name for name in options.faults.split(",") if name)
    seeds = options.seed or range(options.first, options.first + options.seeds)
    outcomes = []
    started = time.perf_counter()
    with naive.design(options.naive) if options.naive else nullcontext(None) as parts:
        for seed in seeds:
            outcome = simulate(seed, template, read=_print if options.trace else None, parts=parts, only=only)
            outcomes.append(outcome)
            if options.digests or options.seed:
                _print(f"seed {seed}: digest {outcome.digest}")
            for text in outcome.violations:
                _print(f"seed {seed}: {text}")
            if outcome.violations and options.until_caught:
                break
            if len(outcomes) % PROGRESS_EVERY == 0 and len(outcomes) < len(seeds):
                bad = sum(bool(one.violations) for one in outcomes)
                _print(f"{len(outcomes)} of {len(seeds)} seeds in {time.perf_counter() - started:.0f} s, violations in {bad}")
    _say(outcomes, time.perf_counter() - started)
    return 1 if any(outcome.violations for outcome in outcomes) else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _say(outcomes: list[Outcome], seconds: float) -> None:
    """The table."""
    total: Callable[[str], Any] = lambda name: sum(getattr(outcome, name) for outcome in outcomes)  # noqa: E731
    faults: Counter[str] = sum((outcome.faults for outcome in outcomes), Counter())
    bad = [outcome.seed for outcome in outcomes if outcome.violations]
    for kind, count in sorted(faults.items(), key=lambda item: (-item[1], item[0])):
        _print(f"  {count:6}  {kind}")
    _print(
        f"{len(outcomes)} seeds, {total('orders')} orders, {total('executions')} executions, {total('frames')} placeOrder frames, "
        f"{sum(faults.values())} faults of {len(faults)} kinds, {total('seconds') / 3600:.1f} virtual hours in {seconds:.1f} s: "
        f"violations in {len(bad)} seeds"
    )
    if bad:
        _print(f"again: python -m oms_site.simulation --trace --seed {bad[0]}" + (f"   (also {bad[1:20]})" if bad[1:] else ""))


if __name__ == "__main__":
    os._exit(main())  # at once: the coroutines of the last worlds would each complain that theirs is gone
