"""The way to the gateway, and from there to IB: broken, silent, half told."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from oms_site.faults.rig import Rig
from oms_site.faults.rows.row import BRACKET, Row
from oms_site.faults.wire import ALL, DOWN, NOTHING, UP
from oms_site.tests.desk import wait_until
from orders.models import Certificate, Gateway, Incident, Limit, OrderRecord
from orders.rules.breaks import ORDERS_MISSING
from orders.rules.limits import HALTED

CLIENT = 17
READ_ONLY = "'Error validating request.-bW : cause - The API interface is currently in Read-Only mode.'"


# --- the line itself --------------------------------------------------------------------------------------------------------------------

# Where the line breaks: which way, at which bytes, and how many of them still go through.
BREAKS = (
    ("before an order", UP, b"\0DB", NOTHING),
    ("within an order", UP, b"\0DB", 3),
    ("right after an order", UP, b"\0DB", ALL),
    ("within the answer to an order", DOWN, b"\0DB", 3),
    ("within an execution", DOWN, b"\0BOT\0", 2),
)


def _resets(rig: Rig) -> None:
    """The line is reset in a handshake, within the lists of a new connection, and before, within and after an order and its fill."""
    wire = rig.wire
    assert wire is not None
    rig.order_is(rig.order(), "WORKING")  # the lists tell of it
    for way, pattern, keep in ((DOWN, b"", 5), (DOWN, b"\0DB", 3)):
        cuts, ways_back = wire.cuts, Certificate.objects.count()
        wire.arm(way, pattern, keep)
        wire.reset()
        wait_until(lambda cuts=cuts: wire.cuts > cuts, "the new connection breaks")
        rig.faults += 2
        rig.is_back(ways_back)
    for where, way, pattern, keep in BREAKS:
        cuts, ways_back = wire.cuts, Certificate.objects.count()
        wire.arm(way, pattern, keep)
        rig.post(limit="245")
        wait_until(lambda cuts=cuts: wire.cuts > cuts, f"the line breaks {where}")
        rig.faults += 1
        started = time.monotonic()
        rig.is_back(ways_back)
        rig.notes.append(f"reset {where}: READY again after {time.monotonic() - started:.1f} s")


def _half_a_bracket(rig: Rig) -> None:
    """The line breaks between the entry of a bracket and its exits: the entry was not transmitted, and never works alone."""
    wire = rig.wire
    assert wire is not None
    wire.arm(UP, b"\x00220\x00", NOTHING)  # the price of the first exit
    request = rig.post(**BRACKET)
    wait_until(lambda: wire.cuts, "the line breaks within the bracket")
    rig.faults += 1
    rig.ready()
    name = rig.name_of(request)
    live = {one["request"]["order_ref"]: one["status"] for one in rig.exchange_orders() if one["status"] in ("Submitted", "PreSubmitted")}
    assert name not in live or len(live) == 3, f"the entry {name} works without its stop: {live}"


def _slow_gateway(rig: Rig) -> None:
    """Five seconds each way: the answer is late, which is not a refusal, and nothing is sent twice."""
    wire = rig.wire
    assert wire is not None
    rig.order_is(rig.order(), "WORKING")
    wire.latency = 5.0
    rig.faults += 1
    request = rig.post(quantity=2)
    if request.is_accepted:
        assert rig.order_is(request, "UNKNOWN", "WORKING", "PENDING")
    rig.state_is("DEGRADED")
    wire.latency = 0.0
    if request.is_accepted:
        rig.order_is(request, "WORKING")


def _closed_by_the_gateway(rig: Rig) -> None:
    request = rig.order()
    rig.order_is(request, "WORKING")
    rig.control(f"drop {CLIENT}")
    rig.faults += 1
    started = time.monotonic()
    wait_until(lambda: not rig.is_ready(), "the loss is noticed")
    rig.ready()
    rig.notes.append(f"READY again after {time.monotonic() - started:.1f} s")
    rig.order_is(request, "WORKING")
    assert Certificate.objects.filter(reason__contains="A new connection").exists()


# --- the gateway ------------------------------------------------------------------------------------------------------------------------


def _gateway_killed(rig: Rig) -> None:
    request = rig.post()
    rig.order_is(request, "WORKING")
    rig.kill("gateway")
    rig.start_gateway()
    rig.ready()
    rig.order_is(request, "WORKING")


def _ids_rolled_back(rig: Rig) -> None:
    rig.order_is(rig.order(), "WORKING")
    rig.control("reset-ids 5")
    rig.control("drop")
    rig.faults += 1
    wait_until(lambda: not rig.is_ready(), "the loss is noticed")
    rig.order_is(rig.order(quantity=2), "WORKING")


def _frozen_gateway(rig: Rig) -> None:
    """It looks connected and answers nothing: found within 10 s (and some for a busy machine), and no order enters the dead socket."""
    rig.order_is(rig.order(), "WORKING")
    rig.parts["gateway"].signal(signal.SIGSTOP)
    rig.faults += 1
    started = time.monotonic()
    wait_until(lambda: rig.read(lambda: Gateway.objects.get(pk=1)).state == "DEGRADED", "it is found", 15)
    assert time.monotonic() - started < 12
    late = rig.post(quantity=2)
    assert late.status != 200 or OrderRecord.objects.get(client_order_id=rig.name_of(late)).status == "PENDING"
    rig.parts["gateway"].signal(signal.SIGCONT)


def _restarted_empty(rig: Rig) -> None:
    """It comes back without a memory: nothing is taken for cancelled, the account is halted, and a person is asked."""
    requests = [rig.order(quantity) for quantity in range(1, 6)]
    names = [rig.order_is(request, "WORKING") for request in requests]
    rig.control("reset")
    rig.kill("gateway")
    started = time.monotonic()
    rig.start_gateway()
    rig.ready()
    assert not rig.orders(client_order_id__in=names).exclude(status__in=("WORKING", "UNKNOWN")).exists()
    assert not Limit.objects.filter(rule="TRADING_STATE").exists(), "halted at the first look"
    for request in requests:
        rig.order_is(request, "UNKNOWN")
    wait_until(lambda: Incident.objects.filter(kind=ORDERS_MISSING).exists(), "an incident tells of it", 40)
    assert time.monotonic() - started > 10, "two lists at least ten seconds apart"
    assert Limit.objects.get(rule="TRADING_STATE").value == HALTED
    assert rig.refusal("buy", "AAPL", "9", "--limit", "200"), "a halted account takes no order"


def _client_id_taken(rig: Rig) -> None:
    """Somebody else has our client id: we stay out, say why, and never come in under another one."""
    rig.control(f"client-id-taken {CLIENT}")
    rig.control(f"drop {CLIENT}")
    rig.faults += 1
    wait_until(lambda: "326" in rig.read(lambda: Gateway.objects.get(pk=1)).reason, "the cause is named")
    before = rig.placed()
    rig.place("buy", "AAPL", "3", "--limit", "200")
    refusals = _refused_clients(rig)
    wait_until(lambda: _refused_clients(rig) >= refusals + 2, "it tries again")
    assert rig.placed() == before
    rig.control("off client-id-taken")
    rig.ready()
    assert {line["client"] for line in rig.ledger if line["kind"] == "client" and line["event"] == "connected"} == {CLIENT}


def _refused_clients(rig: Rig) -> int:
    return sum(line["kind"] == "injected" and line["what"] == "client-id-taken" for line in rig.ledger)


def _never_answered(kind: str) -> Callable[[Rig], None]:
    """A list that never ends: RECONCILING stays, and no order goes out."""

    def provoke(rig: Rig) -> None:
        rig.control(f"mute {kind}")
        rig.control(f"drop {CLIENT}")
        rig.faults += 1
        wait_until(lambda: "has not told all" in rig.read(lambda: Gateway.objects.get(pk=1)).reason, "what is missing is named")
        before = rig.placed()
        name = rig.place("buy", "AAPL", "3", "--limit", "200")
        wait_until(lambda: "ALARM" in rig.read(lambda: Gateway.objects.get(pk=1)).reason, "an alarm after 30 s", 50)
        assert Gateway.objects.get(pk=1).state == "RECONCILING"
        assert rig.placed() == before and rig.orders(client_order_id=name, status="PENDING").exists()
        rig.control("off mute")
        rig.ready()

    return provoke


def _read_only(rig: Rig) -> None:
    """The first order is refused with 321: the desk says what to do, keeps the next order in, and cancels all the same."""
    working = rig.order_is(rig.order(), "WORKING")
    rig.control(f"refuse placeOrder 321 {READ_ONLY} count=1")
    refused = rig.place("buy", "AAPL", "2", "--limit", "200")
    rig.faults += 1
    wait_until(lambda: rig.orders(client_order_id=refused, status="REJECTED").exists(), "it is refused")
    wait_until(lambda: "read-only (code 321)" in rig.read(lambda: Gateway.objects.get(pk=1)).reason, "the cause is named")
    before = rig.placed()
    rig.place("buy", "AAPL", "3", "--limit", "200")
    rig.say("cancel", working)
    wait_until(lambda: rig.orders(client_order_id=working, status="CANCELLED").exists(), "a cancel goes out")
    assert rig.placed() == before
    rig.control(f"drop {CLIENT}")  # as when it is restarted with the box unticked


# --- IB, behind the gateway -------------------------------------------------------------------------------------------------------------


def _ib_is_lost(restored: str, code: str, *meanwhile: str) -> Callable[[Rig], None]:
    """Nothing new goes out, a fill happens that nobody is told of, and it is found when IB is back."""

    def provoke(rig: Rig) -> None:
        request = rig.order(quantity=3)
        rig.order_is(request, "WORKING")
        rig.control("connectivity lost")
        rig.faults += 1
        assert "1100" in rig.state_is("DEGRADED").reason
        subscribed = _subscriptions(rig)
        before = rig.placed()
        refused = rig.post(quantity=2)
        assert refused.status == 422 and "gateway" in refused.words.lower(), (refused.status, refused.words)
        waiting = rig.place("buy", "AAPL", "1", "--limit", "199")
        for line in meanwhile:
            rig.control(line)
        assert rig.placed() == before
        rig.control(f"connectivity {restored}")
        rig.ready()
        rig.order_is(request, "FILLED" if meanwhile else "WORKING")
        wait_until(lambda: rig.orders(client_order_id=waiting).exclude(status="PENDING").exists(), "what waited goes out")
        wait_until(lambda: Certificate.objects.filter(reason__contains=code).exists(), f"everything was asked after {code}")
        if restored == "restored-lost":
            wait_until(lambda: _subscriptions(rig) > subscribed, "quotes are asked for anew")
        rig.control("release-quote AAPL")

    return provoke


def _subscriptions(rig: Rig) -> int:
    return sum(line["kind"] == "in" and line["message"] == "reqMktData" for line in rig.ledger)


def _changed_while_lost(rig: Rig) -> None:
    """A change that is asked for while IB is lost is not written: written twice, it would be two orders."""
    request = rig.order()
    name = rig.order_is(request, "WORKING")
    before = rig.placed()
    rig.control("connectivity lost")
    rig.faults += 1
    rig.state_is("DEGRADED")
    rig.say("modify", name, "--limit", "201")
    late = rig.place("buy", "AAPL", "7", "--limit", "199")
    assert rig.placed() == before
    rig.control("connectivity restored")
    wait_until(lambda: rig.orders(client_order_id=late, status="WORKING").exists(), "what was asked later is done")
    wait_until(lambda: rig.orders(client_order_id=name, limit_price="201").exists(), "the change is in force")
    assert len({one["perm_id"] for one in rig.exchange_orders() if one["request"]["order_ref"] == name}) == 1


ROWS = (
    Row("A15d", "the line breaks within a bracket", _half_a_bracket, wired=True),
    Row("B1", "the line is reset at seven places", _resets, wired=True),
    Row("B2", "the gateway closes the connection", _closed_by_the_gateway),
    Row("B3", "the gateway freezes", _frozen_gateway),
    Row("B4", "the gateway answers after ten seconds", _slow_gateway, wired=True),
    Row("B6", "the gateway is killed and started again", _gateway_killed),
    Row("B7", "the gateway comes back empty", _restarted_empty),
    Row("B8", "the gateway's order ids roll back", _ids_rolled_back),
    Row("B9", "IB is lost and comes back (1100, 1102)", _ib_is_lost("restored", "(1102)")),
    Row("B10", "IB is lost and comes back without its data (1100, 1101)", _ib_is_lost("restored-lost", "(1101)", "quote AAPL 199 199.5")),
    Row(
        "B11",
        "a fill between 1100 and 1102 that is never pushed",
        _ib_is_lost("restored", "(1102)", "forget-fills", "quote AAPL 199 199.5"),
    ),
    Row("B12", "a change is asked for while IB is lost", _changed_while_lost),
    Row("B13", "the client id is taken", _client_id_taken),
    Row("B15a", "the list of open orders never ends", _never_answered("openOrderEnd")),
    Row("B15b", "the list of positions never ends", _never_answered("positionEnd")),
    Row("B20", "the gateway's API is read-only", _read_only),
)
