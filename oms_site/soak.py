"""`make soak HOURS=24`: a long day at one desk, and whether anything grows: memory, open files, threads.

Pages stay open on live sockets, traders buy and sell at an even pace, the market of the simulated gateway moves all the time. At the end
every invariant is checked against the gateway's own ledger. The rule it keeps: what is judged was measured after the first twelfth of the
time, in which caches fill; a run too short to tell a slope of memory says so instead of judging it.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from websockets.exceptions import ConnectionClosed

from oms_site.tests.desk import Desk, manage, wait_until
from oms_site.tests.hands import post_order
from oms_site.tests.pages import LivePage

USERS = ("trader1", "trader2")
CONTRACTS = (265598, 272093, 4391)  # AAPL, MSFT, AMD
SAMPLES = 480
MOST_MIB_PER_HOUR = 1.0
MOST_MORE = 10  # open files, or threads, between the first measured quarter and the last
SHORTEST_TO_JUDGE = 4.0  # hours
NEVER = "no unit ever says this"


@dataclass(frozen=True)
class Sample:
    """What the desk's processes hold at a moment."""

    seconds: float
    mib: float
    files: int
    threads: int

    @classmethod
    def of(cls, session: int, seconds: float) -> Sample:
        """Of all processes of a session, which is a desk with the gateway that it started."""
        mib, files, threads = 0.0, 0, 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.getsid(int(process.name)) != session:
                    continue
                status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
                files += len(list((process / "fd").iterdir()))
            except (OSError, ProcessLookupError):
                continue
            mib += int(status.get("VmRSS", "0 kB").split()[0]) / 1024
            threads += int(status["Threads"])
        return cls(seconds, mib, files, threads)


@dataclass
class Day:
    """One run: so many pages, so many orders, evenly over the time."""

    desk: Desk
    seconds: float
    sockets: int
    orders: int
    samples: list[Sample] = field(default_factory=list)
    filled: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def refused(self) -> int:
        return self.refusals.total()

    def live(self) -> None:
        """Lives through it."""
        assert self.desk.process is not None
        visitors = {user: self.desk.visitor(user) for user in USERS}
        ends = time.monotonic() + self.seconds
        pages = [
            threading.Thread(target=self._watch, args=(LivePage(visitors[user], "/"), ends), daemon=True)
            for user, _ in zip(cycle(USERS), range(self.sockets), strict=False)
        ]
        for page in pages:
            page.start()
        trading = threading.Thread(target=self._trade, args=(ends,), daemon=True)
        trading.start()
        began, pause = time.monotonic(), self.seconds / SAMPLES
        while time.monotonic() < ends:
            self.over.wait(pause)
            self.samples.append(Sample.of(self.desk.process.pid, time.monotonic() - began))
        trading.join()
        for page in pages:
            page.join()

    def _watch(self, page: LivePage, ends: float) -> None:
        """Keeps a page open, reads what comes, and comes back where it is closed, as a browser does."""
        while time.monotonic() < ends:
            try:
                with page:
                    page.until("the end", NEVER, seconds=max(ends - time.monotonic(), 0))
            except AssertionError:
                return  # the time is over
            except (ConnectionClosed, OSError):
                self.lost += 1
                page = LivePage(page.visitor, "/")

    def _trade(self, ends: float) -> None:
        """Buys and sells the same, in turns, so that every position comes back to where it began."""
        traders = [(visitor, LivePage(visitor, "/").account) for visitor in map(self.desk.visitor, USERS)]
        for con_id in CONTRACTS:  # the first ticket of a contract asks for its quotes
            traders[0][0].get(f"/ticket/contract/{con_id}/")
            quoted = "select count(*) from orders_quote q join orders_contract c on c.id = q.contract_id where c.con_id = ? and q.bid > 0"
            wait_until(lambda con_id=con_id, sql=quoted: self.desk.query(sql, con_id)[0][0], "it is quoted")
        pause = self.seconds / self.orders
        for number in range(self.orders):
            started, pair = time.monotonic(), number // 2
            if started > ends:
                return
            try:
                side, con_id = ("BUY", "SELL")[number % 2], CONTRACTS[pair % len(CONTRACTS)]
                post_order(*traders[pair % len(traders)], con_id, str(1 + pair % 7), side=side)
                self.filled += 1
            except AssertionError as refused:
                self.refusals[_problem(str(refused))] += 1
            self.over.wait(max(pause - (time.monotonic() - started), 0))


def _problem(page: str) -> str:
    """What a refused ticket says is wrong."""
    found = re.findall(r'class="err".*?<span>(.*?)</span>', page, re.DOTALL)
    return " ".join(" ".join(found or [page]).split())[:200]


def slope(samples: list[Sample]) -> float:
    """MiB an hour, by least squares."""
    return statistics.linear_regression([one.seconds for one in samples], [one.mib for one in samples]).slope * 3600


def judge(day: Day) -> list[str]:
    """What is wrong with the day; nothing where it was good."""
    settled = [one for one in day.samples if one.seconds >= day.seconds / 12]
    quarter = max(len(settled) // 4, 1)
    wrong = []
    if day.seconds >= SHORTEST_TO_JUDGE * 3600 and slope(settled) > MOST_MIB_PER_HOUR:
        wrong.append(f"memory grows by {slope(settled):.2f} MiB an hour, more than {MOST_MIB_PER_HOUR:g}")
    for what in ("files", "threads"):
        first, last = (max(getattr(one, what) for one in part) for part in (settled[:quarter], settled[-quarter:]))
        if last > first + MOST_MORE:
            wrong.append(f"open {what} grow from {first} to {last}")
    if day.refused * 100 > day.orders:
        wrong.append(f"{day.refused} of {day.orders} orders were refused")
    return wrong


def main() -> int:
    """Prints what was measured; 1 where something grows, an order is unaccounted for or an invariant is broken."""
    parser = argparse.ArgumentParser(prog="python -m oms_site.soak", description="A long day at one desk.")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--sockets", type=int, default=200, help="pages that stay open")
    parser.add_argument("--orders", type=int, default=0, help="in all (20,000 a day)")
    options = parser.parse_args()
    orders = options.orders or max(int(20_000 * options.hours / 24), 2)
    with tempfile.TemporaryDirectory(prefix="deskbook-soak-") as folder:
        desk = Desk(Path(folder), arguments=()).start()
        try:
            day = Day(desk, options.hours * 3600, options.sockets, orders)
            day.live()
            open_ones = "select count(*) from orders_orderrecord where status in ('PENDING', 'SENT', 'WORKING', 'UNKNOWN')"
            wait_until(lambda: desk.query(open_ones) == [(0,)], "every order has ended")
            filled = desk.query("select count(*) from orders_orderrecord where status = 'FILLED'")[0][0]
            assert desk.stop() == 0, desk.log
            verified = manage(desk.data, "verify", "--ledger", str(desk.data / "ledger.jsonl"))
        finally:
            desk.close()
    wrong = judge(day)
    if filled != day.filled:
        wrong.append(f"{day.filled} orders were taken, and {filled} are filled")
    if verified.returncode:
        wrong.append(verified.stdout)
    _tell(day, wrong)
    return 1 if wrong else 0


def _tell(day: Day, wrong: list[str]) -> None:
    out = sys.stdout.write
    settled = [one for one in day.samples if one.seconds >= day.seconds / 12]
    first, last = settled[0], settled[-1]
    out(f"{day.seconds / 3600:.2f} hours, {day.sockets} pages open ({day.lost} times one was closed), ")
    out(f"{day.filled} orders taken, {day.refused} refused\n")
    out(f"{'':10}{'MiB':>9}{'files':>8}{'threads':>9}\n")
    for name, one in (("first", first), ("last", last)):
        out(f"{name:10}{one.mib:>9.1f}{one.files:>8}{one.threads:>9}\n")
    long_enough = day.seconds >= SHORTEST_TO_JUDGE * 3600
    out(f"memory: {slope(settled):+.2f} MiB an hour{'' if long_enough else ' (too short to judge)'}\n")
    for words, count in day.refusals.most_common(5):
        out(f"refused {count} times: {words}\n")
    for words in wrong:
        out(f"WRONG: {words}\n")


if __name__ == "__main__":
    sys.exit(main())
