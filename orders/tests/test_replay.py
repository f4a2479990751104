"""Folding the events gives the rows, and a chain that was touched is found, at its first bad event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.db import connection

from orders import intake, integrity, lease, outbox, replay
from orders.book import book, event_hash
from orders.manager import OrderManager
from orders.models import Account, Event, Incident, OrderRecord, Position
from orders.models.book import Source
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import AccountValueReported, CommissionReported, GatewayChanged, Meaning, OrderMessage, PositionReported
from orders.rules.terms import GatewayState, OrderType, Side
from orders.tests.factories import NOW, a_key, make_quote, make_trader
from orders.tests.told import CLIENT, Desk, a_desk, facts

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Desk:
    return a_desk()


def a_day(desk: Desk) -> OrderRecord:
    """A bracket from the ticket to its fill, a change, a cancel, a rejection, a position: through manager, outbox and intake."""
    user = make_trader(desk.account)
    make_quote(desk.contract)
    for name in ("NetLiquidation", "BuyingPower"):
        intake.apply_values([AccountValueReported(desk.account.code, name, "100000", "USD")], now=desk.now)
    manager = OrderManager(user, clock=lambda: desk.now)
    fence = lease.acquire("test", desk.now)
    assert fence is not None
    intake.gateway(GatewayChanged(GatewayState.READY), desk.now, "127.0.0.1:4002", CLIENT)
    manager.set_exit_template(desk.contract.symbol, key=a_key(), stop_loss=Decimal("0.01"))
    entry, target, stop = manager.place_bracket(
        desk.account,
        desk.contract,
        Side.BUY,
        Decimal(100),
        limit_price=Decimal(100),
        take_profit_price=Decimal(108),
        stop_loss_price=Decimal(98),
        key=a_key(),
    )
    send(desk, fence)
    desk.tell(*[desk.opened(desk.fresh(order), "PreSubmitted") for order in (entry, target, stop)])
    change = manager.modify_order(desk.fresh(entry), key=a_key(), limit_price=Decimal("100.5"))
    assert change is not None
    send(desk, fence)
    desk.tell(desk.opened(desk.fresh(entry), terms=desk.fresh(entry).terms))
    desk.tell(desk.fill(entry, "a.1.01", "60", "100.02"), CommissionReported("a.1.01", Decimal("0.60"), "USD"))
    desk.tell(desk.fill(entry, "a.2.01", "40", "100.03"), desk.fill(entry, "a.1.02", "60", "100.01"))
    desk.tell(PositionReported(desk.account.code, facts(desk.contract), Decimal(100), Decimal("100.018")))
    manager.cancel_order(desk.fresh(target), key=a_key())
    send(desk, fence)
    desk.tell(desk.says(target, "Cancelled"), desk.message(target, 202, Meaning.CANCELLED), desk.fill(target, "a.3.01", "1", "108"))
    refused = manager.place_limit_order(desk.account, desk.contract, Side.SELL, Decimal(1), Decimal(101), key=a_key())
    send(desk, fence)
    desk.tell(desk.message(refused, 201, Meaning.REJECTED), desk.elsewhere(888))
    for _ in range(2):
        desk.later(11)
        intake.reconcile(desk.snapshot(), now=desk.now, fence=fence)
    return desk.fresh(entry)


def send(desk: Desk, fence: int) -> None:
    units = outbox.claim(fence=fence, client_id=CLIENT, state=GatewayState.READY, room=40, now=desk.now)
    assert units
    for unit in units:
        outbox.written(unit, desk.now)


def test_folding_the_events_of_a_day_gives_its_rows(desk: Desk) -> None:
    entry = a_day(desk)
    assert (entry.state, entry.average_price, entry.order_type) == (OrderStatus.FILLED, Decimal("100.018"), OrderType.LIMIT.value)
    assert [str(difference) for difference in replay.differences()] == []
    assert replay.verify_chain() is None
    folded = replay.fold(replay.all_events())
    assert folded["orders.OrderRecord", entry.pk]["status"] == "FILLED"
    tables = {label for label, _ in folded}
    audited = {model._meta.label for model in replay.AUDITED}
    assert tables <= audited
    assert tables == audited - {"orders.OcaGroup", "orders.Limit", "orders.InstrumentRule", "orders.Certificate", "orders.Sweep"}


def test_the_past_can_be_folded_up_to_any_moment(desk: Desk) -> None:
    entry = a_day(desk)
    statuses = []
    for event in Event.objects.filter(order=entry):
        folded = replay.fold(Event.objects.filter(seq__lte=event.seq).order_by("seq"))
        statuses.append(folded["orders.OrderRecord", entry.pk]["status"])
        assert statuses[-1] == event.status_after
    assert list(dict.fromkeys(statuses)) == ["PENDING", "SENT", "HELD", "WORKING", "FILLED"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda: OrderRecord.objects.update(filled_quantity=1), "filled_quantity: '0' by the events, '1' in the row"),
        (lambda: Account.objects.update(alias="mine"), "alias: '' by the events, 'mine' in the row"),
        (lambda: Incident.objects.create(kind="x", text="y", opened_at=NOW), "in no event"),
        (lambda: Position.objects.all().delete(), "in the events only"),
    ],
)
def test_a_row_that_was_written_past_the_book_is_named(desk: Desk, spoil: Callable[[], object], said: str) -> None:
    desk.order()
    desk.tell(PositionReported(desk.account.code, facts(desk.contract), Decimal(1), Decimal(1)))
    spoil()
    found = replay.differences()
    assert len(found) == 1
    assert said in str(found[0])


def test_a_field_that_is_younger_than_its_rows_has_its_default(desk: Desk) -> None:
    """An upgrade adds a column; the events before it know nothing of it."""
    desk.tell(PositionReported(desk.account.code, facts(desk.contract), Decimal(1), Decimal(1)))
    folded = replay.fold(replay.all_events())
    for key in [key for key in folded if key[0] == "orders.Position"]:
        del folded[key]["opening"]
    assert replay.compare(folded, [(Position, Position.objects.all())]) == []
    Position.objects.update(opening=5)
    assert [one.field for one in replay.compare(folded, [(Position, Position.objects.all())])] == ["opening"]


def test_a_removed_row_is_gone_from_the_fold(desk: Desk) -> None:
    with book(at=NOW) as b, b.event("test.added", source=Source.SYSTEM) as fact:
        row = fact.add(Incident(kind="x", text="y", opened_at=NOW))
    with book(at=NOW) as b, b.event("test.removed", source=Source.SYSTEM) as fact:
        fact.remove(row)
    assert replay.differences() == []


# --- the chain ----------------------------------------------------------------------------------------------------------------------------


def spoil(sql: str) -> None:
    """Writes past the triggers, as somebody with the file in hands could."""
    integrity.remove(connection)
    with connection.cursor() as cursor:
        cursor.execute(sql)
    integrity.install(connection)


def events(desk: Desk, number: int = 6) -> list[int]:
    for word in ("PreSubmitted", "Submitted") * (number // 2):
        desk.tell(desk.says(desk.order(), word))
    return list(Event.objects.order_by("seq").values_list("seq", flat=True))


@pytest.mark.parametrize(
    ("sql", "bad"),
    [
        ("UPDATE orders_event SET text = 'x' WHERE seq = 5", 5),
        ("UPDATE orders_event SET data = '{}' WHERE seq = 6", 6),
        ("UPDATE orders_event SET status_after = 'FILLED' WHERE seq = 7", 7),
        ("UPDATE orders_event SET hash = 'x' WHERE seq = 5", 5),
        ("UPDATE orders_event SET broker_time = '2026-01-01 00:00:00' WHERE seq = 4", 4),
        ("DELETE FROM orders_event WHERE seq = 5", 5),
        ("DELETE FROM orders_event WHERE seq = 1", 1),
        ("DELETE FROM orders_event WHERE seq >= 9", 9),
    ],
)
def test_the_first_bad_event_is_named(desk: Desk, sql: str, bad: int) -> None:
    assert events(desk)[:9] == list(range(1, 10))
    assert replay.verify_chain() is None
    spoil(sql)
    assert replay.verify_chain() == bad


def test_events_that_changed_places_are_named(desk: Desk) -> None:
    events(desk)
    spoil("UPDATE orders_event SET seq = -5 WHERE seq = 5")
    spoil("UPDATE orders_event SET seq = 5 WHERE seq = 6")
    spoil("UPDATE orders_event SET seq = 6 WHERE seq = -5")
    assert replay.verify_chain() == 5


def test_an_event_that_was_put_in_is_named_even_with_a_hash_of_its_own(desk: Desk) -> None:
    last = Event.objects.get(seq=events(desk)[-1])
    forged = Event(seq=last.seq + 1, prev_hash=last.hash, kind="order.filled", source="broker", at=NOW, data={"rows": []})
    forged.hash = event_hash(forged)
    forged.save(force_insert=True)
    assert replay.verify_chain() == last.seq + 1


def test_a_last_event_that_was_written_anew_is_named(desk: Desk) -> None:
    event = Event.objects.get(seq=events(desk)[-1])
    event.text = "as it never was"
    spoil(f"UPDATE orders_event SET text = 'as it never was', hash = '{event_hash(event)}' WHERE seq = {event.seq}")
    assert replay.verify_chain() == event.seq


def test_a_changed_event_with_a_new_hash_breaks_the_next(desk: Desk) -> None:
    events(desk)
    event = Event.objects.get(seq=5)
    event.text = "as it never was"
    spoil(f"UPDATE orders_event SET text = 'as it never was', hash = '{event_hash(event)}' WHERE seq = 5")
    assert replay.verify_chain() == 6


def test_a_time_in_another_zone_hashes_as_the_database_gives_it_back(desk: Desk) -> None:
    zone = timezone(timedelta(hours=-5))
    local = datetime(2026, 3, 2, 10, 0, 0, 123456, tzinfo=zone)
    with book(at=local) as b, b.event("test.said", source=Source.SYSTEM, broker_time=local, when=local):
        pass
    assert replay.verify_chain() is None


def test_hostile_text_is_evidence_like_any_other(desk: Desk) -> None:
    order = desk.order()
    text = "\u202e<script>alert(1)</script> \"'; DROP TABLE orders_event; -- \ud7ff 💥"
    desk.tell(OrderMessage(desk.key(order), 399, text, Meaning.WARNING))
    assert replay.verify_chain() is None
    assert desk.fresh(order).status_text == text
