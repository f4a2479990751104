"""A saved exchange, read back from JSON, is the same exchange: same answers, same future."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from broker.simulator.exchange import Exchange
from broker.tests.simulator.broken import ModifyIgnored
from broker.tests.simulator.trading import ACCOUNT, CLIENT, NOON, SECOND, bracket, errors, limit, quiet, quote, stop, ticket


def busy() -> Exchange:
    """An exchange with a working bracket, a group partly filled, a delayed cancel, a pinned quote, a finished group and a hidden order."""
    exchange = quiet()
    bracket(exchange)
    exchange.submit(ticket(4, quantity=300, oca_group="done", oca_type=1), NOON)
    exchange.submit(stop(5, "SELL", 100, "95.00", oca_group="g", oca_type=2, tif="GTC", order_ref="DB1-x"), NOON)
    exchange.submit(limit(6, "SELL", 100, "104.00", oca_group="g", oca_type=2), NOON)
    exchange.submit(limit(7, "BUY", 100, "98.00", tif="GTD", wire={"goodTillDate": "20261118-18:00:00"}), NOON)
    exchange.submit(ticket(8, transmit=False), NOON)
    quote(exchange, "104.00", "104.02", size=30)
    exchange.submit(limit(9, "BUY", 5, "1.00"), NOON)
    exchange.cancel_delay_steps = 5
    exchange.cancel(CLIENT, 9, NOON)
    exchange.tick(NOON + 2 * SECOND)
    return exchange


def reread(exchange: Exchange) -> Exchange:
    return type(exchange).restore(json.loads(json.dumps(exchange.snapshot())))


def test_restored_exchange_answers_the_same() -> None:
    saved = busy()
    restored = reread(saved)
    assert restored.snapshot() == saved.snapshot()
    assert restored.accounts == saved.accounts
    assert restored.instruments == saved.instruments
    assert restored.open_orders() == saved.open_orders()
    assert restored.completed_orders(NOON) == saved.completed_orders(NOON)
    assert restored.fills(NOON) == saved.fills(NOON)
    assert restored.positions() == saved.positions()
    assert restored.account_values(ACCOUNT) == saved.account_values(ACCOUNT)
    assert restored.next_order_id_floor(CLIENT) == saved.next_order_id_floor(CLIENT) == 10


def test_restored_exchange_has_the_same_future() -> None:
    saved = busy()
    restored = reread(saved)
    for exchange in (saved, restored):
        exchange.release_quote("AAPL")
    for step in range(3, 40):
        assert restored.tick(NOON + step * SECOND) == saved.tick(NOON + step * SECOND)
    later = NOON + timedelta(hours=2)
    for act in (
        lambda one: one.submit(ticket(8), later),
        lambda one: one.submit(limit(20, "BUY", 1, "50.00", oca_group="done", oca_type=1), later),
        lambda one: one.submit(ticket(21, quantity=3000), later),
        lambda one: one.tick(later),
        lambda one: one.tick(later + timedelta(days=3)),
        lambda one: one.cancel_all(later + timedelta(days=3)),
    ):
        assert act(restored) == act(saved)
    assert restored.snapshot() == saved.snapshot()


def test_finished_groups_and_used_ids_stay_so() -> None:
    restored = reread(busy())
    assert errors(restored.submit(limit(20, "BUY", 1, "50.00", oca_group="done", oca_type=1), NOON)) == [(20, 201)]
    assert errors(restored.submit(ticket(4), NOON)) == [(4, 104)]
    assert errors(restored.submit(ticket(3, action="BUY"), NOON)) == [(3, 105)]


def test_subclass_restores_as_itself() -> None:
    assert isinstance(reread(quiet(ModifyIgnored)), ModifyIgnored)


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        Exchange.restore({**quiet().snapshot(), "version": 0})


TICKET_FIELDS = ("live_from", "auction_at", "trail_stop", "trail_limit", "limit_offset")


def test_state_from_before_there_were_complete_tickets_is_taken_up() -> None:
    saved = busy()
    state = json.loads(json.dumps(saved.snapshot()))
    expiries = sorted({one.expiry for one in saved.instruments.values() if one.sec_type == "OPT"})
    third = {str(one.con_id) for one in saved.instruments.values() if one.sec_type == "OPT" and one.expiry == expiries[-1]}
    state["version"] = 1
    state["lines"] = {con_id: numbers[:9] for con_id, numbers in state["lines"].items() if con_id not in third}
    state["orders"] = [{name: value for name, value in one.items() if name not in TICKET_FIELDS} for one in state["orders"]]
    del state["kills_as_inactive"]
    restored = Exchange.restore(state)
    assert restored.open_orders() == saved.open_orders()
    assert restored.instruments == saved.instruments
    assert restored.cancel_all(NOON + 3 * SECOND) == saved.cancel_all(NOON + 3 * SECOND)
    assert errors(restored.submit(ticket(30, order_type="MOC"), NOON)) == []


def test_contracts_listed_over_the_months_are_still_there_after_a_restart() -> None:
    exchange = Exchange(seed=1, now=NOON)
    (future,) = exchange.find(local_symbol="ESZ6")
    exchange.submit(ticket(1, quantity=1, con_id=future.con_id), NOON)
    later = NOON + timedelta(days=120)
    exchange.tick(later)
    assert exchange.find(symbol="ES", expiry="202706")
    restored = reread(exchange)
    assert restored.instruments == exchange.instruments
    assert [one.con_id for one in restored.positions()] == [future.con_id]
    assert restored.tick(later + SECOND) == exchange.tick(later + SECOND)
