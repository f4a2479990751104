"""What people and their browsers do, and what is done to them."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

from django.contrib.auth import get_user_model

from oms_site.faults.rig import QUIET, Rig
from oms_site.faults.rows.row import Row
from oms_site.faults.wire import DOWN, NOTHING, UP, Wire
from oms_site.tests.desk import Visitor, wait_until
from oms_site.tests.pages import LivePage
from orders.models import OrderRecord, Submission
from orders.pages.consumers import MOST_PANELS
from orders.pages.sockets import UNKNOWN_PERSON


def _thousand_clicks(rig: Rig) -> None:
    request = rig.post(quantity=7)
    rig.faults += 1
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: rig.send(request), range(200)))
    assert {answer.status for answer in answers if answer is not None} == {200}
    assert OrderRecord.objects.filter(quantity=7).count() == 1


@contextlib.contextmanager
def _line_to_the_web(rig: Rig) -> Iterator[Wire]:
    """The trader comes in over a line that can be cut."""
    wire, direct = Wire(rig.web_port), rig.visitor
    wire.open()
    try:
        rig.visitor = rig.somebody(port=wire.port)
        yield wire
    finally:
        rig.visitor = direct
        wire.close()


def _question_lost(rig: Rig) -> None:
    """The line breaks before the ticket arrives: nothing is in the book, and the same ticket sent again is one order."""
    with _line_to_the_web(rig) as wire:
        request = rig.look(quantity=5)
        wire.arm(UP, b"POST /ticket/", NOTHING)
        rig.send(request)
        rig.faults += wire.cuts
        assert wire.cuts == 1 and request.status == 0
        assert not Submission.objects.filter(key=request.key).exists()
        told = rig.visitor.get(f"/submissions/{request.key}/")
        assert told.status in (200, 404), told
        assert rig.send(request) is not None and request.is_accepted
    assert rig.orders(quantity=5).count() == 1


def _answer_lost(rig: Rig) -> None:
    """The order is accepted and the answer never comes: it is looked up by its key, and sent again with it, it is still one order."""
    with _line_to_the_web(rig) as wire:
        request = rig.look(quantity=5)
        wire.arm(DOWN, b"HTTP/1.1 200", NOTHING)
        rig.send(request)
        rig.faults += wire.cuts
        assert wire.cuts == 1 and request.status == 0
        name = rig.name_of(request)
        assert name, "the order was accepted"
        told = rig.visitor.get(f"/submissions/{request.key}/")
        assert told.status == 200, told
        for _ in range(3):
            assert rig.send(request) is not None and request.is_accepted
    assert rig.orders(quantity=5).count() == 1
    rig.order_is(request, "WORKING")


def _slow_reader(rig: Rig) -> None:
    """A socket that never reads is closed; a page beside it is told of everything, and the web does not grow by what is not read."""
    web = rig.parts["web"].process
    assert web is not None
    for con_id, _ in QUIET.values():
        assert rig.visitor.post("/watchlist/add/", con_id=str(con_id)).status == 200
    with LivePage(rig.visitor, "/?scope=today") as page, _deaf(rig.visitor, rig.web_port) as deaf:
        rig.faults += 1
        before, started = _resident(web.pid), time.monotonic()
        while _is_open(rig.web_port, deaf.getsockname()[1]):
            assert time.monotonic() - started < 45, "it is still open"  # after 50 s it would be closed for not answering a ping
            rig.control("tick 0")
            name = rig.name_of(rig.post())
            page.until("the order", name, within="family-")
            rig.say("cancel", name)
        took, grown = time.monotonic() - started, _resident(web.pid) - before
        rig.notes.append(f"closed after {took:.1f} s; the web grew by {grown >> 10} KiB")
        assert grown < 64 << 20
        name = rig.name_of(rig.post(quantity=2))
        page.until("the order", name, "WORKING", within="family-")


@contextlib.contextmanager
def _deaf(visitor: Visitor, port: int) -> Iterator[socket.socket]:
    """A page's socket that reads nothing, with as many panels as there may be, so that much is told to it."""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies)
    panels = [f"watchlist~{number}" for number in range(MOST_PANELS)]
    lines = (
        f"GET /live/?{urlencode({'seq': 0, 'account': '', 'panel': panels}, doseq=True)} HTTP/1.1", f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
        f"Origin: {visitor.url}", f"Cookie: {cookies}", "", "",
    )  # fmt: skip
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", port))
        deaf.sendall("\r\n".join(lines).encode())
        assert deaf.recv(12) == b"HTTP/1.1 101", "the socket is taken"
        yield deaf


def _is_open(port: int, peer: int) -> bool:
    """Whether the server's end of a connection is established, as the system says."""
    ends = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(int(here[9:], 16) == port and int(there[9:], 16) == peer and state == "01" for here, there, state in ends)


def _resident(pid: int) -> int:
    """Bytes of memory."""
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) << 10


def _limit_reached_together(rig: Rig) -> None:
    """Fifty orders of one share at once, from two sessions, where ten may be held: exactly ten are taken."""
    admin = rig.somebody("admin")
    admin.get("/admin/orders/limit/add/")
    held = {"scope": "desk", "account": "", "user": "", "rule": "MAX_POSITION", "value": "10", "note": "A drill"}
    assert admin.post("/admin/orders/limit/add/", **held).url.endswith("/limit/")
    rig.faults += 1
    with ThreadPoolExecutor(16) as pool:
        requests = list(pool.map(lambda _: rig.post(), range(50)))
    refused = [one for one in requests if one.status == 422]
    assert sorted(one.status for one in requests) == [200] * 10 + [422] * 40, sorted(one.status for one in requests)
    assert all("position" in one.words.lower() for one in refused), refused[0].words
    rig.requests = [one for one in rig.requests if one not in refused]
    assert rig.orders().count() == 10


def _shut_out(rig: Rig) -> None:
    """A trader is switched off with a page open, an order that works and orders that wait."""
    request = rig.order()
    working = rig.order_is(request, "WORKING")
    admin, user = rig.somebody("admin"), get_user_model().objects.get(username="trader1")
    address = f"/admin/auth/user/{user.pk}/change/"
    admin.get(address)
    with LivePage(rig.visitor, "/") as page:
        rig.control("connectivity lost")
        rig.state_is("DEGRADED")
        waiting = [rig.place("buy", "AAPL", str(quantity), "--limit", "199") for quantity in (1, 2)]
        joined = user.date_joined
        fields = {"username": user.username, "date_joined_0": f"{joined:%Y-%m-%d}", "date_joined_1": f"{joined:%H:%M:%S}"}
        before, started = rig.placed(), time.monotonic()
        assert admin.post(address, **fields).url.endswith("/user/")
        rig.faults += 1
        assert page.closed() == UNKNOWN_PERSON
        took = time.monotonic() - started
        rig.notes.append(f"the page's socket was closed after {took:.1f} s")
        assert took < 10
    assert "/login/" in rig.visitor.get("/").url
    rig.control("connectivity restored")
    for name in waiting:
        wait_until(lambda name=name: rig.orders(client_order_id=name, status="REJECTED").exists(), "what waited is refused")
        assert rig.orders(client_order_id=name).get().status_code == "USER_INACTIVE"
    assert rig.placed() == before
    assert rig.orders(client_order_id=working, status="WORKING").exists()


ROWS = (
    Row("F1", "the same ticket 200 times, 16 at once", _thousand_clicks),
    Row("F5", "the line breaks before a ticket arrives", _question_lost),
    Row("F6", "the answer to a ticket is lost", _answer_lost),
    Row("F7", "a page's socket never reads", _slow_reader),
    Row("F12", "fifty orders at once against one limit", _limit_reached_together),
    Row("F14", "a trader is switched off while orders wait", _shut_out),
)
