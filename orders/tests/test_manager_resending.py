"""Sending again what is not at the broker: a new order, linked, on a person's word; never by itself and never where the first may live."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders.errors import Refused
from orders.manager.resending import as_of_now
from orders.models import Event, Incident, OrderRecord
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import OrderAbsent, OrderDoubtful
from orders.rules.terms import AccessLevel, CommandKind, TimeInForce
from orders.tests.desk_of_one import Wire
from orders.tests.factories import a_key, grant, make_limit, make_position

pytestmark = pytest.mark.django_db


@pytest.fixture
def wire() -> Wire:
    return Wire()


def lose(wire: Wire, *orders: OrderRecord, snapshots: int = 2) -> None:
    """The orders were sent, the link was lost, and complete snapshots lacked them."""
    wire.send()
    wire.hear(*(OrderDoubtful(order.client_order_id, "The link was lost.") for order in orders))
    for _ in range(snapshots):
        wire.pass_time(11)
        wire.hear(*(OrderAbsent(order.client_order_id, wire.now) for order in orders))
    for order in orders:
        order.refresh_from_db()


def again(wire: Wire, order: OrderRecord, **options: Any) -> list[OrderRecord]:
    return wire.manager.send_again(order, **{"key": a_key(), "reason": "Not in TWS.", **options})


def refusal(wire: Wire, order: OrderRecord, **options: Any) -> str:
    with pytest.raises(Refused) as refused:
        again(wire, order, **options)
    return refused.value.code


def test_a_lost_order_goes_again_as_a_new_one_and_the_old_one_ends(wire: Wire) -> None:
    lost = wire.buy()
    lose(wire, lost)
    [new] = again(wire, lost)
    lost.refresh_from_db()
    assert (lost.status, lost.status_basis) == ("CANCELLED", "person")
    assert new.resend_of == lost
    assert new.terms == lost.terms
    assert new.client_order_id != lost.client_order_id
    [unit] = wire.send()
    assert unit.frames[0].client_order_id == new.client_order_id


def test_it_is_never_sent_again_by_itself(wire: Wire) -> None:
    lost = wire.buy()
    lose(wire, lost, snapshots=4)
    assert wire.send() == []
    assert OrderRecord.objects.count() == 1


@pytest.mark.parametrize("snapshots", [0, 1])
def test_before_two_complete_snapshots_lacked_it_nobody_may(wire: Wire, snapshots: int) -> None:
    order = wire.buy()
    lose(wire, order, snapshots=snapshots)
    assert order.status == "UNKNOWN"
    assert refusal(wire, order) == "NOT_LOST"
    assert OrderRecord.objects.count() == 1


@pytest.mark.parametrize("evidence", ["fill", "word"])
def test_an_order_that_shows_a_sign_of_life_is_lost_no_more(wire: Wire, evidence: str) -> None:
    lost = wire.buy()
    lose(wire, lost)
    wire.pass_time(1)
    if evidence == "fill":
        wire.fill(lost, "40")
    else:
        wire.acknowledge(lost, word="PendingCancel")  # it is on its way out and may still fill: no step follows from it
    lost.refresh_from_db()
    assert Incident.objects.filter(kind="found_again").exists()
    assert lost.status == "UNKNOWN"
    assert refusal(wire, lost) == "NOT_LOST", "the first would trade beside the second"


def test_an_order_that_lives_or_ended_is_not_sent_again(wire: Wire) -> None:
    order = wire.buy()
    wire.sent(order)
    assert refusal(wire, order) == "NOT_LOST"
    wire.gone(order)
    assert refusal(wire, order) == "NOT_LOST"


def test_one_key_is_one_order_and_a_second_press_finds_nothing_to_send(wire: Wire) -> None:
    lost = wire.buy()
    lose(wire, lost)
    assert again(wire, lost, key="k") == again(wire, lost, key="k")
    assert refusal(wire, lost) == "NOT_LOST"
    assert OrderRecord.objects.count() == 2


def test_a_bracket_goes_again_whole(wire: Wire) -> None:
    entry, target, stop = wire.bracket()
    lose(wire, entry, target, stop)
    new = again(wire, stop)
    assert [order.resend_of_id for order in new] == [entry.pk, stop.pk, target.pk]
    assert [order.parent_id for order in new] == [None, new[0].pk, new[0].pk]
    [unit] = wire.send()
    assert [(frame.client_order_id, frame.transmit) for frame in unit.frames] == [
        (order.client_order_id, last) for order, last in zip(new, (False, False, True), strict=True)
    ]


def test_a_pair_goes_again_in_a_group_of_its_own(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    old = wire.protect()
    lose(wire, *old)
    new = again(wire, old[0])
    assert new[0].oca_group == new[1].oca_group != old[0].oca_group
    assert len(wire.send()) == 1


def test_where_a_part_of_its_unit_lives_it_is_refused_in_words(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    stop, target = wire.protect()
    wire.send()
    wire.acknowledge(target)
    lose(wire, stop)
    with pytest.raises(Refused) as refused:
        again(wire, stop)
    assert refused.value.code == "UNIT_LIVES"
    assert "WORKING" in refused.value.message
    stop.refresh_from_db()
    assert stop.status == "UNKNOWN", "nothing was done"


def test_of_what_had_filled_in_part_the_rest_goes(wire: Wire) -> None:
    order = wire.buy()
    wire.sent(order)
    wire.fill(order, "40")
    make_position(wire.account, wire.contract, "40", "100")
    lose(wire, order)
    [new] = again(wire, order)
    assert new.quantity == D(60)


def test_what_time_has_overtaken_goes_without_it_or_not_at_all(wire: Wire) -> None:
    soon, end = wire.now + timedelta(seconds=15), wire.now + timedelta(seconds=3600)
    lost = wire.buy(good_till=end, time_in_force=TimeInForce.GTD, display_size=D(50))
    late = wire.buy("10", good_till=soon, time_in_force=TimeInForce.GTD)
    lose(wire, lost, late)
    [new] = again(wire, lost)
    assert (new.quantity, new.good_till, new.display_size) == (100, end, 50)
    assert refusal(wire, late) == "TICKET"
    assert as_of_now(replace(new.terms, quantity=D(50)), wire.now).display_size is None


def test_the_limits_of_any_order_hold_and_then_nothing_is_closed(wire: Wire) -> None:
    lost = wire.buy()
    lose(wire, lost)
    make_limit("TRADING_STATE", "2")
    assert refusal(wire, lost) == "TRADING_STATE"
    lost.refresh_from_db()
    assert lost.status == "UNKNOWN"
    make_limit("TRADING_STATE", "0")
    make_limit("MAX_QUANTITY", "50")
    assert refusal(wire, lost) == "MAX_QUANTITY"


def test_it_needs_a_reason_and_the_right_to_trade(wire: Wire) -> None:
    lost = wire.buy()
    lose(wire, lost)
    assert refusal(wire, lost, reason="  ") == "REASON"
    grant(wire.user, wire.account, AccessLevel.VIEW)
    assert refusal(wire, lost) == "NO_PERMISSION"


def test_a_closing_order_takes_its_quantity_from_the_position_again(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "100", "100")
    lost = wire.manager.close_position(wire.account, wire.contract, key=a_key())
    lose(wire, lost)
    make_position(wire.account, wire.contract, "70", "100", at=wire.now)
    [new] = again(wire, lost)
    [unit] = wire.send()
    assert (unit.frames[0].client_order_id, unit.frames[0].terms.quantity) == (new.client_order_id, D(70))


def test_a_closing_order_goes_again_for_an_odd_lot_too(wire: Wire) -> None:
    make_position(wire.account, wire.contract, "150", "100")
    lost = wire.manager.close_position(wire.account, wire.contract, key=a_key())
    lose(wire, lost)
    wire.contract.size_increment = D(100)
    wire.contract.save()
    again(wire, lost)
    [unit] = wire.send()
    assert unit.frames[0].terms.quantity == D(150)


@pytest.mark.parametrize("evidence", ["fill", "open"])
def test_late_evidence_of_the_first_counts_and_is_an_incident_of_both(wire: Wire, evidence: str) -> None:
    lost = wire.buy()
    lose(wire, lost)
    [new] = again(wire, lost)
    if evidence == "fill":
        wire.fill(lost, "40")
        assert lost.filled_quantity == D(40)
    else:
        wire.acknowledge(lost)
        assert lost.status == "WORKING"
    told = set(Incident.objects.values_list("order__client_order_id", "kind"))
    assert told == {(lost.client_order_id, "late_fill" if evidence == "fill" else "reopened"), (new.client_order_id, "first_lives")}
    new.refresh_from_db()
    assert new.needs_attention
    assert lost.client_order_id in new.attention_text


def test_asking_again_is_on_record_and_only_about_what_is_unknown(wire: Wire) -> None:
    order = wire.buy()
    with pytest.raises(Refused) as refused:
        wire.manager.ask_again(order, key=a_key())
    assert refused.value.code == "NOT_UNKNOWN"
    lose(wire, order, snapshots=0)
    wire.manager.ask_again(order, key=a_key())
    assert Event.objects.filter(order=order, kind="order.inquired").count() == 1
    assert not order.commands.filter(kind=CommandKind.CANCEL).exists()
    assert OrderRecord.objects.get(pk=order.pk).status == OrderStatus.UNKNOWN
    assert wire.now - order.created_at < timedelta(minutes=1)
