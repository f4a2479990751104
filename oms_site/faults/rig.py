"""A desk to break: a simulated gateway that outlives it, and its processes, on one of the two databases.

The rule it keeps: orders go in by the pages' own form and are remembered with their keys, whatever was answered; processes are ended by
their id, and nothing outlives the `with` block.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import math
import re
import signal
import socket
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connections
from django.db.models import QuerySet
from django.utils import timezone

from oms_site.faults.wire import Wire
from oms_site.tests.desk import Answer, Visitor, free_port, wait_until
from oms_site.tests.inside import inside, ledger_of, say
from oms_site.tests.pages import form_of
from oms_site.tests.programs import Program
from oms_site.tests.servers import PostgresServer, RedisServer, answers
from orders.book import book
from orders.invariants.wire import order_frame
from orders.models import Account, AccountValue, Certificate, Gateway, Lease, Limit, OrderRecord, Quote, Submission
from orders.models.book import Source

T = TypeVar("T")

AAPL = 265598
RESTS, FILLS = "200", "245"  # limits of a buy far below the market, and through it
SECONDS = 60.0
PASSWORD = "a-password-of-this-drill-only"  # noqa: S105
# Contracts whose orders rest at these prices, for bursts: the exchange takes 20 active orders per contract, side and account.
QUIET = {
    "AAPL": (AAPL, "100"), "ABBV": (118089500, "100"), "ADBE": (265768, "150"), "AMD": (4391, "80"), "AMZN": (3691937, "100"),
    "AVGO": (313130367, "150"), "BA": (4762, "100"), "BAC": (10098, "25"), "CAT": (5437, "200"), "COST": (272997, "500"),
    "CSCO": (268084, "30"), "DIS": (6459, "50"),
}  # fmt: skip
MOST_ACTIVE, MOST_EACH, MOST_OPEN = 20, 17, 500


NO_ANSWER = (OSError, urllib.error.URLError, http.client.HTTPException)
PREVIEW_SECONDS = 45.0
"""After which a preview is looked at again before it is sent: it lives for a minute."""


@dataclass
class Request:
    """One ticket that was sent: `status` of the last answer, 0 where none came."""

    key: str
    fields: dict[str, str]
    status: int = 0
    words: str = ""  # of a refusal
    sealed: dict[str, str] = field(default_factory=dict)  # what its preview's form sends
    looked_at: float = -math.inf

    @property
    def is_accepted(self) -> bool:
        return self.status == 200

    def keep(self, answer: Answer, looked_at: float) -> None:
        """Keeps what the form of a preview sends: under the request's own key, whatever was heard of it so far.

        A key that was refused stays refused. As in a browser, what is shown with the refusal goes under the key it brings.
        """
        if 'id="preview-form"' not in answer.text:
            return
        form = form_of(answer.text, "preview-form")
        self.key = form["key"] if answer.status == 422 else self.key
        self.sealed = form | {"key": self.key, "confirm_duplicate": "on"}
        self.looked_at = looked_at if form["seal"] else -math.inf


@dataclass
class Rig:
    """The desk. `parts` are its processes by name: web and worker, which are one process on SQLite."""

    folder: Path
    database: Path | str
    server: PostgresServer | None = None
    redis: RedisServer | None = None
    web_port: int = field(default_factory=free_port)
    gateway_port: int = field(default_factory=free_port)
    control_port: int = field(default_factory=free_port)
    parts: dict[str, Program] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    told: list[str] = field(default_factory=list)  # orders that the command line took, by name
    notes: list[str] = field(default_factory=list)  # what was measured
    faults: int = 0
    wire: Wire | None = None  # between worker and gateway
    visitor: Visitor = field(init=False)
    account: str = ""

    @property
    def is_spread(self) -> bool:
        return self.server is not None

    @property
    def settings(self) -> dict[str, str]:
        gateway_port = self.wire.port if self.wire is not None else self.gateway_port
        found = {"IBKR_HOST": "127.0.0.1", "IBKR_PORT": str(gateway_port), "PORT": str(self.web_port)}
        if self.redis is not None:
            found |= {"DATABASE_URL": str(self.database), "REDIS_URL": self.redis.url}
        return found

    # --- processes ----------------------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Starts everything on an empty database, with the demonstration's users."""
        call_command("migrate", interactive=False, verbosity=0)
        self.start_gateway()
        self.start("worker")
        self.start("web")
        self.ready()
        call_command("demo_users", stdout=io.StringIO())
        from django.contrib.auth import get_user_model

        for user in get_user_model().objects.filter(username__in=("trader1", "admin")):
            user.set_password(PASSWORD)
            user.save()
        with book(at=timezone.now()) as b, b.event("limit.changed", source=Source.SYSTEM, text="A drill's limits") as fact:
            for rule in ("MAX_OPEN_ORDERS", "MAX_USER_ORDERS", "ORDER_RATE", "ORDER_RATIO"):
                fact.add(Limit(scope=Limit.Scope.DESK, rule=rule, value=MOST_OPEN))
        self.account = Account.objects.order_by("code")[0].code
        self.visitor = self.somebody()
        self.visitor.get(f"/ticket/contract/{AAPL}/")
        wait_until(lambda: self.read(lambda: Quote.objects.filter(contract__con_id=AAPL, bid__gt=0).exists()), "a quote", SECONDS)
        wait_until(lambda: self.read(self._knows_the_accounts), "what the accounts are worth", SECONDS)

    def _knows_the_accounts(self) -> bool:
        found = AccountValue.objects.filter(name__in=("BuyingPower", "DailyPnL"), at__gte=timezone.now() - timedelta(minutes=5))
        return found.count() == 2 * Account.objects.count()

    def somebody(self, user: str = "trader1", port: int = 0) -> Visitor:
        """Somebody who is signed in, at the desk or at the port of a line to it."""
        visitor = Visitor(f"http://127.0.0.1:{port or self.web_port}")
        visitor.get("/login/")
        page = visitor.post("/login/", username=user, password=PASSWORD)
        assert page.status == 200 and "/login/" not in page.url, page
        return visitor

    def start_gateway(self) -> None:
        words = ("--port", str(self.gateway_port), "--control-port", str(self.control_port), "--tick-seconds", "0")
        files = ("--ledger", str(self.folder / "ledger.jsonl"), "--store", str(self.folder / "gateway.sqlite3"))
        self.parts["gateway"] = Program.manage("run_simulator", *words, *files, data=self.folder, name="gateway").start("Simulated gateway")

    def start(self, part: str, crash_at: str = "") -> Program:
        """Starts a part, armed where a crash point is named; does not wait until it is ready."""
        settings = self.settings | ({"DESKBOOK_CRASH_AT": crash_at} if crash_at else {})
        if self.is_spread and part == "worker":
            program = Program.manage("runworker", "broker", data=self.folder, settings=settings, name="worker").start()
        elif self.is_spread:
            program = Program.daphne(self.web_port, data=self.folder, settings=settings).start()
            wait_until(lambda: answers(self.web_port) or not program.runs, "a web process answers")
        elif (desk := self.parts.get("worker")) is not None and desk.runs:
            program = desk
        else:
            program = Program.manage("serve", "--no-migrate", data=self.folder, settings=settings, name="desk").start()
            self.parts["web"] = program
        self.parts[part] = program
        if not self.is_spread:
            self.parts["web"] = self.parts["worker"] = program
        return program

    def spare(self, name: str = "") -> Program:
        """A further worker. It is ended with the rest."""
        program = Program.manage("runworker", "broker", data=self.folder, settings=self.settings, name=f"spare{name}").start()
        self.parts[f"spare{name}"] = program
        return program

    def arm(self, part: str, crash_at: str) -> None:
        """Starts a part anew, to be killed at a crash point. Where it dies on the way to READY that is the drill."""
        assert self.parts[part].stop() == 0, self.parts[part].log
        program = self.start(part, crash_at)
        wait_until(lambda: not program.runs or self.is_ready(), f"{part} is ready or dead")

    def died(self, part: str) -> None:
        """Waits until a part was killed at its crash point."""
        code = self.parts[part].ended()
        assert code == -signal.SIGKILL, f"{part} ended with {code}:\n{self.parts[part].log}"
        self.faults += 1

    def kill(self, part: str) -> None:
        self.parts[part].kill()
        self.faults += 1

    def heal(self) -> None:
        """Everything runs again and nothing misbehaves."""
        if not self.parts["gateway"].runs:
            self.start_gateway()
        self.parts["gateway"].signal(signal.SIGCONT)
        if "connectivity" in self.control("scenarios").split():
            self.control("connectivity restored")
        self.control("off")
        for part in ("worker", "web"):
            if not self.parts[part].runs:
                self.start(part)
        self.ready()
        wait_until(lambda: answers(self.web_port), "the web answers")

    def is_ready(self) -> bool:
        """Whether the worker that runs now has the lease, and has told the book since it took it that it is READY."""
        worker = self.parts["worker"].process
        row, held = self.read(lambda: (Gateway.objects.get(pk=1), Lease.objects.filter(name="broker").first()))
        if worker is None or held is None or f":{worker.pid}:" not in held.holder:
            return False
        return row.state == "READY" and row.heard_at is not None and (timezone.now() - row.heard_at).total_seconds() < 12

    def ready(self) -> None:
        wait_until(self.is_ready, "the desk is READY", SECONDS)

    def is_back(self, ways_back: int) -> None:
        """Waits for a reconciliation beyond the first so many, and for READY."""
        wait_until(lambda: self.read(Certificate.objects.count) > ways_back, "book and broker are compared", SECONDS)
        self.ready()

    def close(self) -> None:
        if self.wire is not None:
            self.wire.close()
        for program in self.parts.values():
            if program.runs:
                program.signal(signal.SIGCONT)
            program.close()

    # --- the book and the exchange ------------------------------------------------------------------------------------------------------

    def read(self, question: Callable[[], T]) -> T:
        """An answer of the book; asked again on a new connection while the database cannot be had."""
        found: list[T] = []

        def ask() -> bool:
            try:
                found.append(question())
            except (OperationalError, InterfaceError):
                connections["default"].close()
            return bool(found)

        wait_until(ask, "the database answers", SECONDS)
        return found[0]

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

    # --- orders -------------------------------------------------------------------------------------------------------------------------

    def post(self, quantity: int = 1, limit: str = RESTS, **more: str) -> Request:
        """Previews a ticket and sends it, as a browser would."""
        request = self.look(quantity, limit, **more)
        self.send(request)
        return request

    def look(self, quantity: int = 1, limit: str = RESTS, **more: str) -> Request:
        """Has a ticket previewed, and does not send it yet."""
        fields = {
            "account": self.account, "symbol": "AAPL", "con_id": str(AAPL), "side": "BUY",
            "quantity": str(quantity), "order_type": "LMT", "limit_price": limit, "time_in_force": "DAY", "confirm_duplicate": "on", **more,
        }  # fmt: skip
        request = Request(uuid4().hex, fields)
        self.requests.append(request)
        with contextlib.suppress(*NO_ANSWER):
            self._look(request)
        return request

    def _look(self, request: Request) -> Answer:
        looked_at = time.monotonic()
        answer = self.visitor.post(
            "/ticket/preview/", {"HX-Request": "true"}, key=request.key, rendered_at=timezone.now().isoformat(), **request.fields
        )
        request.keep(answer, looked_at)
        return answer

    def order(self, quantity: int = 1) -> Request:
        """Sends a ticket, again with its key until it is accepted."""
        request = self.post(quantity)
        wait_until(lambda: request.is_accepted or (self.send(request) is not None and request.is_accepted), "it is accepted", SECONDS)
        return request

    def send(self, request: Request) -> Answer | None:
        """Sends a request, first or again, with its key; None where no answer came."""
        try:
            answer = self._look(request) if time.monotonic() - request.looked_at >= PREVIEW_SECONDS else None
            if time.monotonic() - request.looked_at < PREVIEW_SECONDS:
                sent_at = time.monotonic()
                answer = self.visitor.post("/ticket/", {"HX-Request": "true"}, **request.sealed)
                request.keep(answer, sent_at)  # where the market has moved the answer is a new preview
            assert answer is not None
        except NO_ANSWER:
            request.status = 0
            return None
        request.status = answer.status
        request.words = _words(answer.text) if answer.status == 422 else ""
        return answer

    def name_of(self, request: Request) -> str:
        """The client order id of the first order that a request made; "" where it made none."""

        def look() -> str:
            row = Submission.objects.filter(key=request.key).first()
            made = (row.result or {}).get("orders") if row is not None else None
            return OrderRecord.objects.get(pk=made[0]).client_order_id if made else ""

        return self.read(look)

    def order_is(self, request: Request, *statuses: str) -> str:
        """Waits until the first order of a request has one of the statuses; its client order id."""
        name = self.name_of(request)
        seen: list[str] = [""]

        def arrived() -> bool:
            seen[0] = self.read(lambda: OrderRecord.objects.get(client_order_id=name).status)
            return seen[0] in statuses

        try:
            wait_until(arrived, "the order's status", SECONDS)
        except AssertionError:
            raise AssertionError(f"{name} is {seen[0]}, and not {' or '.join(statuses)}") from None
        return name

    def placed(self) -> int:
        """How many placeOrder frames the exchange has heard, but for previews (what-if), which place nothing."""
        lines = [line for line in self.ledger if line["kind"] == "in" and line["message"] == "placeOrder"]
        frames = [order_frame(line["time"], line["client"], line["fields"]) for line in lines]
        return sum(frame is None or not frame.is_preview for frame in frames)

    def say(self, *words: str) -> None:
        """A verb of the command line, which must be taken."""
        said = say(*words, "--wait", "0")
        assert said.code == 0, said.text

    def place(self, *words: str) -> str:
        """An order of the command line, which must be taken; its client order id."""
        self.control("tick 0")  # the market stands still in a drill, and the command line waits a while for a fresh quote
        said = say(*words, "--again", "--wait", "0")
        assert said.code == 0, said.text
        name = next(cell for cells in said.rows for cell in cells[:1] if cell.startswith("DB"))
        self.told.append(name)
        return name

    def refusal(self, *words: str) -> str:
        """The words with which the command line refuses an order; AssertionError where it does not."""
        said = say(*words, "--again", "--wait", "0")
        assert said.code != 0, said.text
        return said.text

    def queue(self, count: int, limit: str = "") -> list[str]:
        """So many orders that wait because the gateway has lost IB; `connectivity restored` lets them go.

        They rest, spread over contracts, or are all for AAPL at `limit`.
        """
        symbols = ["AAPL"] if limit else list(QUIET)[: -(-count // MOST_EACH)]
        for symbol in symbols:
            self.visitor.get(f"/ticket/contract/{QUIET[symbol][0]}/")
        self.control("connectivity lost")
        self.state_is("DEGRADED")
        words = [(symbol, limit or QUIET[symbol][1]) for symbol in symbols]
        return [self.place("buy", words[n % len(words)][0], "1", "--limit", words[n % len(words)][1]) for n in range(count)]

    def state_is(self, *states: str) -> Gateway:
        """Waits until the screens show the gateway in one of these states."""
        found: Gateway = wait_until(
            lambda: self.read(lambda: Gateway.objects.filter(state__in=states, pk=1).first()), f"the gateway is {states}", SECONDS
        )
        return found

    def orders(self, **where: Any) -> QuerySet[OrderRecord]:
        return OrderRecord.objects.filter(**where)

    def exchange_orders(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.control("orders"))
        return found


def _words(page: str) -> str:
    """What a page says, from its first alert on: there it tells why it refuses."""
    before, alert, after = page.partition('role="alert"')
    return " ".join(re.sub(r"<[^>]*>", " ", f"<p{alert}{after}" if alert else before).split())[:2000]


@contextlib.contextmanager
def rig(folder: Path, server: PostgresServer | None = None, *, wired: bool = False) -> Iterator[Rig]:
    """A running desk: on SQLite in `folder`, or spread over processes on a new database of `server`.

    `wired`: there is a line between worker and gateway that can be broken.
    """
    with contextlib.ExitStack() as stack:
        database: Path | str = folder
        redis = None
        if server is not None:
            database = stack.enter_context(server.database())
            redis = RedisServer(folder)
            redis.start()
            stack.callback(redis.stop)
        stack.enter_context(inside(database))
        made = Rig(folder, database, server, redis)
        stack.callback(made.close)
        if wired:
            made.wire = Wire(made.gateway_port)
            made.wire.open()
        made.open()
        yield made
