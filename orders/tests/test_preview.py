"""A preview in the book: what it says of an order, and under which seal that order passes, once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders.errors import Refused
from orders.models import AccountValue, BrokerCommand, Contract, Event, Inquiry, OrderRecord, Preview
from orders.preview.making import Previewed, make
from orders.preview.margin import heard
from orders.preview.shown import preview_view
from orders.rules.terms import OrderTerms, OrderType, Side, TimeInForce
from orders.rules.tickets import BracketTicket, ExitPair, TicketError
from orders.tests import factories
from orders.tests.desk_of_one import Desk
from orders.tests.factories import a_key, make_limit, make_position, make_quote

pytestmark = pytest.mark.django_db

BUY = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), D("99.50"))
MARKET = OrderTerms(Side.BUY, OrderType.MARKET, D(100))


def bracket(entry: OrderTerms, stop: str, target: str) -> BracketTicket:
    return BracketTicket(entry, (ExitPair(entry.quantity, target_price=D(target), stop_price=D(stop)),))


BRACKET = bracket(BUY, "97.50", "107.50")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def look(desk: Desk, request: Any = BUY, **more: Any) -> Previewed:
    return make(desk.user, desk.account, desk.contract, request, desk.now, **more)


def send(desk: Desk, seal: str, terms: OrderTerms = BUY, *, key: str = "", manager: Any = None, **options: Any) -> OrderRecord:
    manager = manager or desk.manager
    what = (desk.account, desk.contract, terms.side, terms.quantity)
    options = {"key": key or a_key(), "seal": seal, "time_in_force": terms.time_in_force, **options}
    if terms.order_type is OrderType.MARKET:
        return manager.place_market_order(*what, **options)
    return manager.place_limit_order(*what, terms.limit_price, **options)


def refusal(desk: Desk, seal: str, *args: Any, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        send(desk, seal, *args, **options)
    assert OrderRecord.objects.count() == 0
    return caught.value


# --- what it says ---------------------------------------------------------------------------------------------------------------------


def test_a_bracket_in_one_sentence_with_worth_and_risk(desk: Desk) -> None:
    AccountValue.objects.filter(account=desk.account, name="NetLiquidation").update(value="100000")
    made = look(desk, BRACKET)
    assert made.sentence == f"BUY 100 AAPL LMT 99.50 DAY, account {desk.account.short}, stop 97.50, target 107.50"
    assert (made.worth.price, made.worth.own, made.worth.base) == (D("99.50"), D(9950), D(9950))
    assert made.risk is not None
    assert (made.risk.loss, made.risk.share, made.risk.gain, made.risk.reward) == (D(200), D("0.002"), D(800), D(4))
    assert (made.before, made.after) == (D(0), D(100))
    assert made.expires_at == desk.now + timedelta(seconds=60)
    assert list(made.breaches) == []


def test_a_contract_in_another_currency_with_a_multiplier_is_worth_both(desk: Desk) -> None:
    Contract.objects.filter(pk=desk.contract.pk).update(currency="EUR", multiplier=D(50))
    made = look(desk)
    assert (made.worth.own, made.worth.base, made.worth.rate) == (D(497500), D("547250"), D("1.10"))
    words = {fact.label: (fact.value, fact.more) for fact in preview_view(made).facts}
    assert words["Worth"] == ("497,500.00 EUR", "100 × 99.50 × 50")
    assert words["In USD"] == ("547,250.00", "at 1.1")


def test_a_short_bracket_risks_upwards(desk: Desk) -> None:
    AccountValue.objects.filter(account=desk.account, name="NetLiquidation").delete()
    sell = OrderTerms(Side.SELL, OrderType.MARKET, D(10))
    made = look(desk, bracket(sell, "101.99", "89.99"))
    assert made.risk is not None
    assert (made.risk.loss, made.risk.gain, made.risk.share) == (D(20), D(100), None)


def test_what_would_be_refused_is_said_with_rule_limit_and_actual(desk: Desk) -> None:
    make_limit("MAX_QUANTITY", "50")
    make_limit("MAX_NOTIONAL", "1000")
    made = look(desk)
    assert [(breach.code, breach.limit, breach.actual) for breach in made.refusals] == [
        ("MAX_QUANTITY", D(50), D(100)),
        ("MAX_NOTIONAL", D(1000), D(9950)),
    ]
    assert preview_view(made).may_send is False
    with pytest.raises(Refused) as caught:
        send(desk, made.seal)
    assert caught.value.code == "MAX_QUANTITY"


def test_an_order_like_the_last_asks_back_and_is_no_refusal(desk: Desk) -> None:
    desk.buy("100", "99.50")
    made = look(desk)
    assert (made.asks_for_confirmation, made.refusals) == (True, [])
    assert not look(desk, confirm_duplicate=True).asks_for_confirmation


def test_what_makes_no_sense_is_no_preview(desk: Desk) -> None:
    with pytest.raises(TicketError):
        look(desk, bracket(BUY, "95", "90"))
    assert Preview.objects.count() == 0


def test_who_may_not_trade_is_told_so_and_ib_is_not_asked(desk: Desk) -> None:
    made = make(factories.make_user(), desk.account, desk.contract, BUY, desk.now)
    assert [breach.code for breach in made.refusals] == ["NO_PERMISSION"]
    assert Inquiry.objects.count() == 0


def test_a_preview_writes_no_order_and_no_event(desk: Desk) -> None:
    before = Event.objects.count()
    look(desk, BRACKET)
    assert (OrderRecord.objects.count(), BrokerCommand.objects.count(), Event.objects.count()) == (0, 0, before)


def test_previews_that_are_long_over_are_cleared_away(desk: Desk) -> None:
    look(desk)
    desk.now += timedelta(hours=1, seconds=61)
    made = look(desk)
    assert [row.seal for row in Preview.objects.all()] == [made.seal]


# --- the seal -------------------------------------------------------------------------------------------------------------------------


def test_an_order_passes_under_its_seal_and_the_event_carries_it(desk: Desk) -> None:
    made = look(desk)
    order = send(desk, made.seal)
    assert Event.objects.get(kind="order.placed", order=order).data["seal"] == made.seal
    assert Preview.objects.get().used_at == desk.now


def test_a_bracket_passes_under_one_seal(desk: Desk) -> None:
    made = look(desk, BRACKET)
    orders = desk.manager.place_bracket_ticket(desk.account, desk.contract, BRACKET, key=a_key(), seal=made.seal)
    events = Event.objects.filter(kind="order.placed", order__in=orders)
    assert [event.data["seal"] for event in events] == [made.seal] * 3


def test_the_same_key_and_seal_twice_are_one_order_and_another_key_is_refused(desk: Desk) -> None:
    made = look(desk)
    first = send(desk, made.seal, key="one")
    assert send(desk, made.seal, key="one") == first
    with pytest.raises(Refused) as caught:
        send(desk, made.seal, key="two", confirm_duplicate=True)
    assert caught.value.code == "SEAL_USED"
    assert OrderRecord.objects.count() == 1


def test_the_same_key_under_a_fresh_seal_is_the_same_order(desk: Desk) -> None:
    """The answer was lost, and the ticket was looked at again."""
    first = send(desk, look(desk).seal, key="one")
    assert send(desk, look(desk, confirm_duplicate=True).seal, key="one") == first
    assert OrderRecord.objects.count() == 1


def test_a_seal_whose_order_was_refused_is_not_used(desk: Desk) -> None:
    made = look(desk)
    with pytest.raises(Refused):
        send(desk, made.seal, note="x" * 81)
    assert Preview.objects.get().used_at is None
    assert send(desk, made.seal).status == "PENDING"


def test_the_shell_needs_no_seal(desk: Desk) -> None:
    order = desk.buy()
    assert "seal" not in Event.objects.get(kind="order.placed", order=order).data


def foreign(desk: Desk, seal: str) -> Refused:
    from orders.manager import OrderManager

    colleague = factories.make_trader(desk.account)
    return refusal(desk, seal, manager=OrderManager(colleague, clock=lambda: desk.now))


def test_a_seal_that_is_unknown_foreign_or_old_is_refused(desk: Desk) -> None:
    made = look(desk)
    assert refusal(desk, "0" * 64).code == "SEAL_UNKNOWN"
    assert foreign(desk, made.seal).code == "SEAL_FOREIGN"
    desk.now += timedelta(seconds=59)
    make_quote(desk.contract, at=desk.now)
    desk.now += timedelta(seconds=1)
    late = refusal(desk, made.seal)
    assert late.code == "SEAL_EXPIRED"
    assert "60 seconds old" in late.message


@pytest.mark.parametrize(
    "terms",
    [
        OrderTerms(Side.BUY, OrderType.LIMIT, D(101), D("99.50")),
        OrderTerms(Side.SELL, OrderType.LIMIT, D(100), D("99.50")),
        OrderTerms(Side.BUY, OrderType.LIMIT, D(100), D("99.51")),
        OrderTerms(Side.BUY, OrderType.LIMIT, D(100), D("99.50"), time_in_force=TimeInForce.GTC),
        MARKET,
    ],
)
def test_another_request_than_the_one_that_was_shown_is_refused(desk: Desk, terms: OrderTerms) -> None:
    assert refusal(desk, look(desk).seal, terms).code == "SEAL_MISMATCH"


def test_the_seal_of_another_account_contract_or_verb_is_refused(desk: Desk) -> None:
    seal = look(desk).seal
    account, contract = factories.make_account(), factories.make_contract("MSFT")
    factories.grant(desk.user, account)
    make_quote(contract)
    for where in ((account, desk.contract), (desk.account, contract)):
        with pytest.raises(Refused) as caught:
            desk.manager.place_limit_order(*where, Side.BUY, D(100), D("99.50"), key=a_key(), seal=seal)
        assert caught.value.code == "SEAL_MISMATCH"
    make_position(desk.account, desk.contract)
    with pytest.raises(Refused) as caught:
        desk.protect(seal=seal)
    assert caught.value.code == "SEAL_MISMATCH"
    assert OrderRecord.objects.count() == 0


def test_a_row_that_was_tampered_with_lets_nothing_pass(desk: Desk) -> None:
    made = look(desk)
    Preview.objects.update(expires_at=desk.now + timedelta(hours=1))
    assert refusal(desk, made.seal).code == "SEAL_MISMATCH"


def change_quote(desk: Desk) -> None:
    make_quote(desk.contract, bid="100.58", ask="100.60", last="100.59")


def change_limit(desk: Desk) -> None:
    make_limit("MAX_QUANTITY", "5000", account=desk.account)


def halt(desk: Desk) -> None:
    make_limit("TRADING_STATE", "2")


def go_short(desk: Desk) -> None:
    make_position(desk.account, desk.contract, "-200")


def change_rate(desk: Desk) -> None:
    AccountValue.objects.filter(account=desk.account, name="ExchangeRate", currency="EUR").update(value="1.2")


def change_multiplier(desk: Desk) -> None:
    Contract.objects.update(multiplier=D(2))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (change_quote, "QUOTE_MOVED", "100.01 → 100.6."),
        (change_limit, "LIMITS_CHANGED", "The limit MAX_QUANTITY: 10000 → 5000."),
        (halt, "LIMITS_CHANGED", "Trading: free → halted."),
        (go_short, "POSITION_CHANGED", "0 (the order increases it) → -200 (the order reduces it)."),
        (change_rate, "RATE_CHANGED", "1.1 → 1.2."),
        (change_multiplier, "CONTRACT_CHANGED", "1 → 2."),
    ],
)
def test_what_changed_since_is_refused_and_told(desk: Desk, change: Any, code: str, words: str) -> None:
    Contract.objects.filter(pk=desk.contract.pk).update(currency="EUR")
    made = look(desk)
    change(desk)
    refused = refusal(desk, made.seal)
    assert refused.code == code
    assert words in refused.message
    [told] = look(desk, instead_of=made.seal).changed
    assert words in str(told)
    assert Event.objects.filter(kind="order.refused").get().data["code"] == code


def test_how_far_a_price_may_drift_is_a_limit_like_the_others(desk: Desk) -> None:
    make_limit("PREVIEW_DRIFT", "0.01")
    made = look(desk)
    change_quote(desk)
    assert send(desk, made.seal).status == "PENDING"


# --- the margin -----------------------------------------------------------------------------------------------------------------------


def test_ib_is_asked_for_the_entry_and_its_answer_is_shown(desk: Desk) -> None:
    made = look(desk, BRACKET)
    assert made.margin.asking
    asked = Inquiry.objects.get()
    assert (asked.kind, asked.arguments["account"], asked.arguments["con_id"]) == ("what-if", desk.account.code, desk.contract.con_id)
    assert asked.arguments["terms"]["limit_price"] == "99.5"
    assert Preview.objects.get().inquiry == asked
    asked.state, asked.answer = Inquiry.State.ANSWERED, {"initial_margin_before": "0", "initial_margin_change": "2500"}
    known = heard(asked, desk.now)
    assert known.margin is not None and known.margin.initial_change == D(2500)


def test_what_ib_does_not_answer_in_five_seconds_is_unknown(desk: Desk) -> None:
    look(desk)
    asked = Inquiry.objects.get()
    assert heard(asked, desk.now + timedelta(seconds=4.9)).asking
    silent = heard(asked, desk.now + timedelta(seconds=5))
    assert (silent.asking, silent.margin, silent.why) == (False, None, "IB did not answer.")
    asked.state, asked.error = Inquiry.State.FAILED, "Order rejected - reason:no margin"
    assert heard(asked, desk.now).why == "Order rejected - reason:no margin"


def test_within_a_minute_ib_is_not_asked_again_and_the_last_answer_is_scaled(desk: Desk) -> None:
    look(desk)
    answer = {"initial_margin_change": "2500", "maintenance_margin_change": "2000", "initial_margin_before": "10"}
    Inquiry.objects.update(state=Inquiry.State.ANSWERED, answer=answer)
    desk.now += timedelta(seconds=20)
    again = look(desk, OrderTerms(Side.BUY, OrderType.LIMIT, D(40), D("99.50")))
    assert Inquiry.objects.count() == 1
    assert again.margin.is_estimate and again.margin.margin is not None
    assert (again.margin.margin.initial_change, again.margin.margin.initial_after) == (D(1000), D(1010))
    assert again.margin.why == "IB asks for at most one what-if a minute; next possible at 10:01:00."
    other = look(desk, OrderTerms(Side.SELL, OrderType.LIMIT, D(40), D("100")))
    assert (other.margin.margin, other.margin.is_estimate) == (None, False)
    desk.now += timedelta(seconds=40)
    assert look(desk).margin.asking


def test_another_account_has_a_minute_of_its_own(desk: Desk) -> None:
    look(desk)
    account = factories.make_account()
    factories.grant(desk.user, account)
    assert make(desk.user, account, desk.contract, BUY, desk.now).margin.asking


def test_nothing_of_the_margin_is_needed_to_send(desk: Desk) -> None:
    made = look(desk)
    assert made.margin.asking
    assert send(desk, made.seal).status == "PENDING"
