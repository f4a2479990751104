"""A desk spread over processes, as several people use it: PostgreSQL, Redis, a simulated gateway, two web processes, and workers.

The rule it keeps: everything is on free ports and in folders of its own; the book is read and written from here with Django's own models.
"""

from __future__ import annotations

import re
import socket
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oms_site.tests.desk import Visitor, free_port, wait_until
from oms_site.tests.inside import Said, ledger_of, say
from oms_site.tests.programs import Program
from oms_site.tests.servers import RedisServer, answers

TRADES, READY, WAITS = "This worker trades", ": READY", "Another worker trades"
PASSWORD = "a-password-of-this-test-only"


@dataclass
class Spread:
    """The processes of one desk. `leader` is the worker that trades."""

    folder: Path
    database: str
    redis: RedisServer
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    webs: list[Program] = field(default_factory=list)
    workers: list[Program] = field(default_factory=list)
    gateway_port: int = 0
    control_port: int = 0

    @property
    def settings(self) -> dict[str, str]:
        address = {"IBKR_HOST": "127.0.0.1", "IBKR_PORT": str(self.gateway_port)}
        return {"DATABASE_URL": self.database, "REDIS_URL": self.redis.url, **address}

    # --- its life ---------------------------------------------------------------------------------------------------------------------

    def __post_init__(self) -> None:
        words = ("run_simulator", "--port", "0", "--tick-seconds", "0", "--ledger", str(self.folder / "ledger.jsonl"))
        self.gateway = Program.manage(*words, data=self.folder).start()

    def start(self) -> None:
        """Starts both web processes and the first worker, when the gateway is up. The database is migrated already."""
        self.gateway.says("Simulated gateway")
        found = re.search(r"API [^:]+:(\d+), control [^:]+:(\d+)", self.gateway.log)
        assert found is not None, self.gateway.log
        self.gateway_port, self.control_port = int(found[1]), int(found[2])
        worker = self.start_worker()
        self.webs = [Program.daphne(port, data=self.folder, settings=self.settings).start() for port in self.ports]
        for port in self.ports:
            wait_until(lambda port=port: answers(port), "a web process answers")
        worker.says(TRADES, READY)

    def close(self) -> None:
        for program in (*self.workers, *self.webs, self.gateway):
            program.close()

    # --- workers ----------------------------------------------------------------------------------------------------------------------

    def start_worker(self, *ready: str) -> Program:
        worker = Program.manage("runworker", "broker", data=self.folder, settings=self.settings, name=f"worker-{len(self.workers)}")
        self.workers.append(worker)
        return worker.start(*ready)

    @property
    def leader(self) -> Program:
        """The worker that trades; the newest of those that ever did."""
        return next(one for one in reversed(self.workers) if one.runs and TRADES in one.log)

    def settle(self) -> None:
        """Leaves one worker, which trades: what a test that failed half way left behind is no business of the next."""
        *spare, _ = [one for one in self.workers if one.runs and TRADES in one.log] or [None]
        for worker in [one for one in self.workers if one.runs and (one in spare or TRADES not in one.log)]:
            worker.kill()
        if not any(one.runs for one in self.workers):
            self.start_worker(TRADES, READY)

    def standby(self) -> Program:
        """A further worker, which waits."""
        worker = self.start_worker(WAITS)
        assert TRADES not in worker.log
        return worker

    @staticmethod
    def takes_over(worker: Program) -> None:
        worker.says(TRADES, READY)

    # --- people and orders ------------------------------------------------------------------------------------------------------------

    def visitor(self, web: int = 0, user: str = "trader1") -> Visitor:
        """Somebody signed in at one of the web processes."""
        visitor = Visitor(f"http://127.0.0.1:{self.ports[web]}")
        visitor.get("/login/")
        page = visitor.post("/login/", username=user, password=PASSWORD)
        assert page.status == 200 and "/login/" not in page.url, page
        return visitor

    def elsewhere(self, visitor: Visitor, web: int) -> Visitor:
        """The same session at the other web process, as behind a proxy that spreads requests."""
        other = Visitor(f"http://127.0.0.1:{self.ports[web]}")
        for cookie in visitor.cookies:
            other.cookies.set_cookie(cookie)
        return other

    def order(self, *words: str) -> str:
        """Places an order on the command line without waiting for it; its client order id."""
        said: Said = say(*words, "--wait", "0")
        assert said.code == 0, said.text
        return next(cell for line in said.text.splitlines() for cell in line.split()[:1] if cell.startswith("DB"))

    # --- what the exchange heard --------------------------------------------------------------------------------------------------------

    @property
    def ledger(self) -> list[dict[str, Any]]:
        return ledger_of(self.folder / "ledger.jsonl")

    def control(self, line: str) -> str:
        """A command to the simulated gateway; it must succeed."""
        with socket.create_connection(("127.0.0.1", self.control_port), timeout=10) as connection, connection.makefile("rw") as stream:
            stream.write(line + "\n")
            stream.flush()
            answer = stream.readline().strip()
        assert answer.startswith("ok"), answer
        return answer.removeprefix("ok").strip()

    def placed(self) -> Counter[str]:
        """How often each orderRef was placed; "not ours" for what is not in the book. A preview (what-if) places nothing."""
        from orders.invariants.wire import order_frame
        from orders.models import OrderRecord

        known = set(OrderRecord.objects.values_list("client_order_id", flat=True))
        lines = [line for line in self.ledger if line["kind"] == "in" and line["message"] == "placeOrder"]
        frames = [order_frame(line["time"], line["client"], line["fields"]) for line in lines]
        placed = [frame.reference if frame is not None else "" for frame in frames if frame is None or not frame.is_preview]
        return Counter(reference if reference in known else "not ours" for reference in placed)
