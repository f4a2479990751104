"""Accounts, positions, the gateway's state, whose book it is, and values: what makes an event and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from orders import intake
from orders.errors import Refused
from orders.lease import LeaseLost, acquire, release
from orders.models import Account, AccountValue, Book, Contract, Event, Gateway, MarketRule, OrderRecord, Position, PositionValue, Quote
from orders.rules.lifecycle import OrderStatus
from orders.rules.reports import (
    AccountsReported,
    AccountValueReported,
    ContractDetailed,
    ContractFacts,
    GatewayChanged,
    MarketRuleReported,
    PnlReported,
    PositionAbsent,
    PositionPnlReported,
    PositionReported,
    QuoteReported,
)
from orders.rules.terms import BookKind, GatewayState
from orders.signals import positions_update
from orders.tests.factories import NOW
from orders.tests.told import CLIENT, Desk, a_desk, facts, incidents, new_events, proven

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Iterator[Desk]:
    with proven():
        yield a_desk()


# --- positions ----------------------------------------------------------------------------------------------------------------------------


def held(desk: Desk, quantity: str, cost: str = "10") -> PositionReported:
    return PositionReported(desk.account.code, facts(desk.contract), Decimal(quantity), Decimal(cost))


def test_a_position_is_what_the_broker_reports_and_an_event_only_when_it_changed(desk: Desk) -> None:
    with new_events() as events:
        desk.tell(held(desk, "100"), held(desk, "100"), held(desk, "40", "10.333333333333"), held(desk, "40", "10.333333333333"))
    row = Position.objects.get()
    assert (row.quantity, row.average_cost) == (40, Decimal("10.33333333"))
    assert [event.text for event in events] == ["AAPL: none → 100", "AAPL: 100 → 40"]


def test_a_position_that_is_closed_stays_at_zero(desk: Desk) -> None:
    desk.tell(held(desk, "100"), held(desk, "0", "0"))
    assert Position.objects.get().quantity == 0


def test_a_flat_position_that_was_never_held_is_nothing(desk: Desk) -> None:
    desk.tell(held(desk, "0"))
    assert not Position.objects.exists()


def test_a_position_that_a_complete_list_lacks_is_flat(desk: Desk) -> None:
    desk.tell(held(desk, "100"))
    with new_events() as events:
        desk.tell(*[PositionAbsent(desk.account.code, desk.contract.con_id)] * 2)
    assert Position.objects.get().quantity == 0
    assert len(events) == 1


def test_a_position_of_a_foreign_account_is_told_of_and_not_shown(desk: Desk) -> None:
    desk.tell(replace(held(desk, "100"), account="U7654321"))
    assert not Position.objects.exists()
    assert incidents() == ["foreign_account"]


def test_a_position_is_signalled(desk: Desk) -> None:
    told: list[Decimal] = []

    def listen(position: Position, **_: object) -> None:
        told.append(position.quantity)

    positions_update.connect(listen)
    try:
        desk.tell(held(desk, "100"), held(desk, "100"), held(desk, "-5"))
    finally:
        positions_update.disconnect(listen)
    assert told == [100, -5]


def test_a_contract_that_only_a_message_named_is_routed_to_smart_and_not_to_a_venue(desk: Desk) -> None:
    named = ContractFacts(4391, "AMD", "STK", "USD", exchange="IEX", primary_exchange="NASDAQ")
    desk.tell(PositionReported(desk.account.code, named, Decimal(1), Decimal(1)))
    row = Contract.objects.get(con_id=4391)
    assert (row.exchange, row.primary_exchange, row.detailed_at) == ("SMART", "NASDAQ", None)


# --- accounts, the book, the gateway ------------------------------------------------------------------------------------------------------


def test_accounts_that_the_gateway_names_are_added_once(desk: Desk) -> None:
    with new_events() as events:
        desk.tell(*[AccountsReported(("DU1000001", "DU1000002"))] * 2)
    assert list(Account.objects.values_list("code", flat=True)) == ["DU1000001", "DU1000002"]
    assert [event.kind for event in events] == ["account.added"]


def test_a_book_is_bound_once_and_takes_further_accounts_of_its_gateway(desk: Desk) -> None:
    with new_events() as events:
        intake.bind(BookKind.SIMULATED, ["DU1000001"], NOW)
        intake.bind(BookKind.SIMULATED, ["DU1000002", "DU1000001"], NOW)
    book = Book.objects.get()
    assert (book.kind, book.bound_accounts) == ("simulated", ["DU1000001", "DU1000002"])
    assert [event.kind for event in events] == ["book.bound", "account.added"]


@pytest.mark.parametrize(
    ("kind", "accounts", "word"),
    [
        (BookKind.PAPER, ["DU1000001"], "this gateway is paper"),
        (BookKind.LIVE, ["U1"], "this gateway is live"),
        (BookKind.SIMULATED, ["DU9"], "this gateway has DU9 and the book has DU1000001"),
        (BookKind.SIMULATED, [], "names no account"),
    ],
)
def test_another_gateway_is_refused_in_words_that_say_what_to_do(desk: Desk, kind: BookKind, accounts: list[str], word: str) -> None:
    with new_events() as events, pytest.raises(Refused, match=word) as refusal:
        intake.bind(kind, accounts, NOW)
    assert refusal.value.code == "WRONG_BOOK"
    assert events == []
    if accounts:
        assert "DESKBOOK_DATA" in refusal.value.message


def test_the_gateway_makes_an_event_only_when_its_state_or_reason_differs(desk: Desk) -> None:
    ready = GatewayChanged(GatewayState.READY, server_version=178, latency_ms=12)
    with new_events() as events:
        intake.gateway(ready, NOW, "127.0.0.1:4002", CLIENT)
        intake.gateway(replace(ready, latency_ms=40), NOW + timedelta(seconds=2), "127.0.0.1:4002", CLIENT)
        intake.gateway(GatewayChanged(GatewayState.DEGRADED, "1100"), NOW + timedelta(seconds=9), "127.0.0.1:4002", CLIENT)
    assert [event.text for event in events] == ["READY", "DEGRADED: 1100"]
    row = Gateway.objects.get()
    assert (row.state, row.reason, row.server_version, row.address) == ("DEGRADED", "1100", 178, "127.0.0.1:4002")
    assert (row.since, row.heard_at) == (NOW + timedelta(seconds=9), NOW + timedelta(seconds=9))


def test_a_fence_that_is_not_the_newest_changes_nothing(desk: Desk) -> None:
    order = desk.order()
    old = acquire("one", NOW)
    assert old is not None
    release("one", old)
    newest = acquire("two", NOW)
    with pytest.raises(LeaseLost):
        intake.apply([desk.says(order, "Submitted")], now=NOW, client_id=CLIENT, fence=old)
    assert desk.fresh(order).state is OrderStatus.SENT
    intake.apply([desk.says(order, "Submitted")], now=NOW, client_id=CLIENT, fence=newest)
    assert desk.fresh(order).state is OrderStatus.WORKING


# --- values -------------------------------------------------------------------------------------------------------------------------------


def test_the_newest_account_value_wins_without_an_event(desk: Desk) -> None:
    with new_events() as events:
        intake.apply_values(
            [
                AccountValueReported("DU1000001", "BuyingPower", "1", "USD"),
                AccountValueReported("DU1000001", "BuyingPower", "2", "USD"),
                AccountValueReported("U7654321", "BuyingPower", "3", "USD"),
                PnlReported("DU1000001", Decimal("-12.50"), None, Decimal(3)),
            ],
            now=NOW,
        )
        intake.apply_values([AccountValueReported("DU1000001", "BuyingPower", "4", "USD")], now=NOW + timedelta(seconds=1))
    values = {(row.name, row.currency): row.value for row in AccountValue.objects.all()}
    assert values == {("BuyingPower", "USD"): "4", ("DailyPnL", ""): "-12.5", ("RealizedPnL", ""): "3"}
    assert events == []


def test_the_base_currency_is_of_record(desk: Desk) -> None:
    with new_events() as events:
        for _ in range(2):
            intake.apply_values(
                [
                    AccountValueReported("DU1000001", "NetLiquidation", "1000", "EUR"),
                    AccountValueReported("DU1000001", "NetLiquidation", "1000", "BASE"),
                ],
                now=NOW,
            )
    assert Account.objects.get().base_currency == "EUR"
    assert [event.kind for event in events] == ["account.base_currency"]


def test_the_newest_quote_wins_and_an_impossible_price_is_left_out(desk: Desk) -> None:
    con_id = desk.contract.con_id
    later = NOW + timedelta(seconds=1)
    intake.apply_values(
        [
            QuoteReported(con_id, later, bid=Decimal("10.1"), ask=Decimal("1e300")),
            QuoteReported(con_id, NOW, bid=Decimal("9")),
            QuoteReported(424242, NOW, bid=Decimal("9")),
        ],
        now=NOW,
    )
    intake.apply_values([QuoteReported(con_id, NOW, bid=Decimal("8"))], now=NOW)
    row = Quote.objects.get()
    assert (row.bid, row.ask, row.at) == (Decimal("10.1"), None, later)


def test_figures_of_a_position_are_upserted(desk: Desk) -> None:
    desk.tell(held(desk, "100"))
    for value in ("5", "6"):
        report = PositionPnlReported(desk.account.code, desk.contract.con_id, Decimal(1), Decimal(2), None, Decimal(value))
        intake.apply_values([report, replace(report, con_id=1)], now=NOW)
    row = PositionValue.objects.get()
    assert (row.market_value, row.daily_pnl, row.unrealized_pnl, row.realized_pnl) == (6, 1, 2, None)


def test_contract_details_and_price_rules_are_kept(desk: Desk) -> None:
    named = ContractFacts(265598, "AAPL", "STK", "USD", exchange="SMART", primary_exchange="NASDAQ")
    details = ContractDetailed(named, "APPLE INC", Decimal("0.01"), ("LMT", "MKT"), ("SMART", "NASDAQ"), (26, 557), time_zone="US/Eastern")
    intake.apply_values([details, MarketRuleReported(26, ((Decimal(0), Decimal("0.0001")), (Decimal(1), Decimal("0.0100"))))], now=NOW)
    row = Contract.objects.get(con_id=265598)
    assert (row.long_name, row.min_tick, row.market_rule_ids, row.detailed_at) == ("APPLE INC", Decimal("0.01"), [26, 557], NOW)
    assert MarketRule.objects.get(rule_id=26).increments == [["0", "0.0001"], ["1", "0.01"]]


def test_nothing_of_all_this_made_an_order(desk: Desk) -> None:
    """The reports of an account never touch the orders of it."""
    desk.tell(held(desk, "100"), AccountsReported(("DU1000001",)))
    assert not OrderRecord.objects.exists()
    assert Event.objects.filter(order__isnull=False).count() == 0
