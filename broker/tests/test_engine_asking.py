"""What pages and people ask, through the whole worker: searches, contracts, previews, bars, quotes, account figures."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.utils import timezone

from broker import questions
from broker.engine import asking
from broker.simulator.server import SimulatedGateway
from broker.tests.running import BookThread, Desk, running_desk
from orders import inquiries
from orders.models import AccountValue, Contract, Incident, Inquiry, MarketRule, OrderRecord, Position, PositionValue, Quote
from orders.models.market import Inquiry as Question
from orders.rules.terms import OrderTerms, OrderType, Side, terms_to_json

pytestmark = pytest.mark.django_db
Kind = Question.Kind


async def asked(desk: Desk, kind: str, **arguments: Any) -> Inquiry:
    """Asks, and waits until somebody answered or gave up."""
    row = await desk.do(inquiries.ask, kind, arguments, desk.manager.actor, timezone.now(), timedelta(seconds=20))
    desk.engine.wake()
    return await desk.until(lambda: Inquiry.objects.filter(pk=row.pk, state__in=["answered", "failed"]).first())


async def test_a_search_is_answered(desk: Desk) -> None:
    row = await asked(desk, Kind.SEARCH, pattern="MSF")
    assert row.state == "answered"
    assert {"con_id": 272093, "symbol": "MSFT", "sec_type": "STK"}.items() <= row.answer[0].items()


async def test_a_contract_is_stored_with_the_ladder_it_names(desk: Desk) -> None:
    await desk.do(MarketRule.objects.all().delete)
    row = await asked(desk, Kind.CONTRACT, con_id=272093)
    assert row.answer == [{"con_id": 272093}]
    contract = await desk.do(lambda: Contract.objects.get(con_id=272093))
    assert (contract.symbol, contract.exchange, contract.market_rule_ids) == ("MSFT", "SMART", [26, 26])
    assert contract.detailed_at is not None
    assert await desk.do(lambda: MarketRule.objects.get(rule_id=26).increments)


async def test_a_contract_that_nobody_knows_fails_in_the_brokers_words(desk: Desk) -> None:
    row = await asked(desk, Kind.CONTRACT, symbol="NOSUCHTHING", sec_type="STK", exchange="SMART", currency="USD")
    assert (row.state, row.answer) == ("failed", None)
    assert "security definition" in row.error


async def test_a_preview_places_nothing_and_takes_an_order_id_of_its_own(desk: Desk) -> None:
    row = await asked(
        desk,
        Kind.WHAT_IF,
        con_id=desk.contract.con_id,
        account="DU1000417",
        terms=terms_to_json(OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D(230))),
    )
    assert row.state == "answered", row.error
    assert D(row.answer["initial_margin_change"]) > 0
    assert await desk.broker_orders() == []
    assert await desk.do(OrderRecord.objects.count) == 0
    await desk.order_is(await desk.place(), "FILLED")


@pytest.mark.parametrize("order_type", list(OrderType))
async def test_every_type_can_be_previewed(desk: Desk, order_type: OrderType) -> None:
    limit = {"limit_price": D(230)} if order_type.has_limit else {}
    stop = {"stop_price": D(260)} if order_type.has_trigger or order_type is OrderType.TRAIL_LIMIT else {}
    trail = {"trail_amount": D(5)} if order_type.trails else {}
    offset = {"limit_offset": D("0.5")} if order_type is OrderType.TRAIL_LIMIT else {}
    terms = OrderTerms(Side.BUY, order_type, D(100), **limit, **stop, **trail, **offset)
    row = await asked(desk, Kind.WHAT_IF, con_id=desk.contract.con_id, account="DU1000417", terms=terms_to_json(terms))
    assert row.state == "answered", row.error
    assert D(row.answer["initial_margin_change"]) > 0
    assert await desk.broker_orders() == []


async def test_a_preview_that_is_refused_fails_in_the_brokers_words(desk: Desk) -> None:
    terms = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D("230.001"))
    row = await asked(desk, Kind.WHAT_IF, con_id=desk.contract.con_id, account="DU1000417", terms=terms_to_json(terms))
    assert (row.state, "minimum price variation" in row.error) == ("failed", True)


@pytest.mark.parametrize("notice", ["", "399 'Your order will be held'"])
async def test_a_preview_that_is_not_answered_ends_in_time_with_what_was_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, notice: str
) -> None:
    monkeypatch.setattr(questions, "ANSWER_PATIENCE", 2.0)
    await desk.command("hold openOrder")
    terms = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), limit_price=D(230))
    arguments = {"con_id": desk.contract.con_id, "account": "DU1000417", "terms": terms_to_json(terms)}
    row = await desk.do(inquiries.ask, Kind.WHAT_IF, arguments, desk.manager.actor, timezone.now(), timedelta(seconds=20))
    desk.engine.wake()
    previews = desk.connector._connected.listener.previews
    await desk.until(lambda: bool(previews))
    if notice:
        await desk.command(f"error 17 {min(previews)} {notice}")
    row = await desk.until(lambda: Inquiry.objects.filter(pk=row.pk, state="failed").first())
    assert ("held" if notice else "did not answer") in row.error
    # What comes of it later is about no order, and nobody is alarmed.
    await desk.command(f"error 17 {min(previews)} 202 'Order Canceled'")
    await desk.command("off")
    assert (await asked(desk, Kind.SEARCH, pattern="AAPL")).state == "answered"
    assert not await desk.do(Incident.objects.exists)


async def test_an_option_chain_is_told_by_exchange_and_class(desk: Desk) -> None:
    row = await asked(desk, Kind.CHAIN, con_id=desk.contract.con_id)
    assert row.state == "answered", row.error
    smart = row.answer[0]
    assert (smart["exchange"], smart["trading_class"], smart["multiplier"]) == ("SMART", "AAPL", "100")
    assert smart["expirations"] == sorted(smart["expirations"])
    assert [D(strike) for strike in smart["strikes"]] == [D(220), D(230), D(235), D(240), D(250)]
    # What the chain names is found by its parts, and is one contract.
    parts = {"symbol": "AAPL", "sec_type": "OPT", "exchange": "SMART", "currency": "USD", "strike": "240", "right": "C"}
    found = await asked(desk, Kind.CONTRACT, **parts, expiry=smart["expirations"][0], trading_class="AAPL")
    [one] = found.answer
    contract = await desk.do(lambda: Contract.objects.get(con_id=one["con_id"]))
    assert (contract.sec_type, contract.strike, contract.right, contract.expiry) == ("OPT", 240, "C", smart["expirations"][0])


async def test_an_underlying_without_options_has_an_empty_chain(desk: Desk) -> None:
    other = await asked(desk, Kind.CONTRACT, symbol="EUR", sec_type="CASH", exchange="IDEALPRO", currency="USD")
    row = await asked(desk, Kind.CHAIN, con_id=other.answer[0]["con_id"])
    assert (row.state, row.answer) == ("answered", [])


async def test_all_contracts_that_fit_are_told(desk: Desk) -> None:
    futures = await asked(desk, Kind.CONTRACT, symbol="ES", sec_type="FUT", exchange="CME")
    assert len(futures.answer) > 1
    months = await desk.do(lambda: {c.expiry for c in Contract.objects.filter(con_id__in=[one["con_id"] for one in futures.answer])})
    assert len(months) == len(futures.answer)
    [one] = (await asked(desk, Kind.CONTRACT, symbol="ES", sec_type="FUT", exchange="CME", expiry=min(months))).answer
    assert one in futures.answer
    pair = await asked(desk, Kind.CONTRACT, symbol="GBP", sec_type="CASH", exchange="IDEALPRO", currency="USD")
    assert len(pair.answer) == 1


async def test_more_contracts_than_anybody_can_choose_from_are_asked_to_be_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_CONTRACTS", 10)
    row = await asked(desk, Kind.CONTRACT, symbol="AAPL", sec_type="OPT", exchange="SMART", right="C")
    assert (row.state, row.answer) == ("failed", None)
    assert "contracts fit" in row.error
    assert "strike" in row.error
    assert "right" not in row.error


async def test_a_question_for_a_contract_that_names_none_is_refused(desk: Desk) -> None:
    row = await asked(desk, Kind.CONTRACT, sec_type="FUT", exchange="CME")
    assert (row.state, "no symbol" in row.error) == ("failed", True)


async def test_bars_are_answered_as_text(desk: Desk) -> None:
    row = await asked(desk, Kind.BARS, con_id=desk.contract.con_id, bar="5 mins", duration="1800 S")
    assert row.state == "answered", row.error
    assert all(len(bar) == 6 and D(bar[2]) >= D(bar[3]) for bar in row.answer)


@pytest.mark.parametrize("arguments", [{"con_id": 1}, {"con_id": "x"}, {}])
async def test_a_question_that_makes_no_sense_fails_in_words_and_the_worker_goes_on(desk: Desk, arguments: dict[str, Any]) -> None:
    row = await asked(desk, Kind.BARS, bar="5 mins", duration="1800 S", **arguments)
    assert (row.state, row.error != "") == ("failed", True)
    assert (await asked(desk, Kind.SEARCH, pattern="AAPL")).state == "answered"


async def test_quotes_come_for_an_open_ticket(desk: Desk) -> None:
    await desk.do(inquiries.watch_ticket, desk.manager.actor, desk.contract, timezone.now())
    desk.engine.wake()
    quote = await desk.until(lambda: Quote.objects.filter(contract=desk.contract, bid__isnull=False).first())
    told = desk.gateway.exchange.quote(desk.contract.con_id)
    assert (quote.bid, quote.ask, quote.delayed) == (told.bid, told.ask, False)
    await desk.command("quote AAPL 250.00 250.10")
    await desk.until(lambda: Quote.objects.filter(contract=desk.contract, bid=D("250.00")).exists())


async def test_a_position_moves_with_the_market_and_the_account_with_it(desk: Desk) -> None:
    await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await desk.until(lambda: Position.objects.filter(contract=desk.contract, quantity=100).exists())
    await desk.command("quote AAPL 250.00 250.10")
    await desk.command("tick 2")
    values = await desk.until(lambda: PositionValue.objects.filter(position__contract=desk.contract, unrealized_pnl__gt=1000).first())
    assert values.market_value is not None
    await desk.until(lambda: AccountValue.objects.filter(account=desk.account, name="DailyPnL").exists())


async def test_a_contract_known_from_a_position_alone_is_asked_for(gateway: SimulatedGateway, book_thread: BookThread) -> None:
    await gateway.command("position DU1000417 KO 50 70")
    async with running_desk(gateway, book_thread) as desk:
        contract = await desk.until(lambda: Contract.objects.filter(symbol="KO", detailed_at__isnull=False).first())
        assert (contract.exchange, contract.long_name) == ("SMART", "COCA-COLA CO/THE")
