"""Words that are wrong though nothing happened: the real client hears them, the exchange stays as it was, the ledger has a line."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ib_async import LimitOrder, MarketOrder

from broker.simulator.messages.values import escaped
from broker.simulator.scenarios_words import HOSTILE, QUOTE_KINDS
from broker.tests.simulator.clients import AAPL, FIRST, SECOND, connected, errors_of, place, until
from broker.tests.simulator.raw import RawClient
from broker.tests.simulator.rehearsing import Rehearsal, rehearsal


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Rehearsal]:
    async with rehearsal(tmp_path) as running:
        await running.do("quote AAPL 100 100.02")
        yield running


# --- orders -----------------------------------------------------------------------------------------------------------------------


async def test_an_error_about_an_order_reaches_its_client_and_changes_nothing(here: Rehearsal) -> None:
    async with connected(here.port) as ib, connected(here.port, 3) as other:
        heard, elsewhere = errors_of(ib), errors_of(other)
        trade = await place(ib, LimitOrder("BUY", 10, 90, account=FIRST, orderRef="mine"))
        for code in (399, 2109, 10147, 19_999):
            await here.do(f"order-error mine {code} 'Order Message: something'")
            await until(ib, lambda code=code: (trade.order.orderId, code) in heard)
        await other.reqCurrentTimeAsync()
        assert elsewhere == [] and here.gateway.exchange.open_orders()[0].status == "Submitted"
        here.agrees()
    assert [line["details"].split()[2] for line in here.lines("injected")] == ["399", "2109", "10147", "19999"]


async def test_a_status_can_come_late_again_and_without_what_it_says(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        trade = await place(ib, LimitOrder("BUY", 10, 90, account=FIRST))
        told: list[tuple[str, float, float]] = []
        ib.wrapper.orderStatus = lambda order_id, status, filled, remaining, *rest: told.append((status, filled, remaining))
        await here.do("status last Filled 10")
        await here.do("cancel last")
        await here.do("status last Submitted times=3")
        await here.do("status last Inactive 4 5")
        await ib.reqCurrentTimeAsync()
        assert told == [("Filled", 10, 0), ("Cancelled", 0, 10), *[("Submitted", 0, 10)] * 3, ("Inactive", 4, 5)]
        assert trade.fills == [] and here.gateway.exchange.fills(here.gateway.core.now()) == []
        here.agrees()
    assert here.injected() == ["status", "cancel", "status"]


@pytest.mark.parametrize("account", ["U7654321", SECOND])
async def test_an_execution_of_nobodys_order_is_told_for_any_account(here: Rehearsal, account: str) -> None:
    async with connected(here.port) as ib:
        told: list[tuple] = []
        ib.wrapper.execDetails = lambda req_id, contract, one: told.append((one.execId, one.acctNumber, one.shares, one.price, one.side))
        exec_id = await here.do(f"stranger 17 {account} AAPL SLD 7 99.5")
        await ib.reqCurrentTimeAsync()
        assert told == [(exec_id, account, 7, 99.5, "SLD")]
        here.agrees()
    assert here.injected() == ["stranger"]


@pytest.mark.parametrize(("client_id", "binds"), [(17, True), (0, False)])
async def test_a_read_only_api_takes_no_orders_and_answers_questions(here: Rehearsal, client_id: int, binds: bool) -> None:
    async with connected(here.port, client_id) as ib:
        heard = errors_of(ib)
        working = await place(ib, LimitOrder("BUY", 10, 90, account=FIRST))
        await here.do("read-only")
        refused = ib.placeOrder(AAPL, MarketOrder("BUY", 10, account=FIRST))
        ib.client.cancelOrder(working.order.orderId)
        ib.client.reqGlobalCancel()
        ib.client.reqOpenOrders()
        await ib.reqAllOpenOrdersAsync()
        codes = [(refused.order.orderId, 321), (working.order.orderId, 321), (-1, 321), *([] if binds else [(-1, 321)])]
        assert [one for one in heard if one[1] == 321] == codes
        assert [one.perm_id for one in here.gateway.exchange.open_orders()] == [working.order.permId]
        await here.do("off read-only")
        ib.client.cancelOrder(working.order.orderId)
        await until(ib, lambda: working.orderStatus.status == "Cancelled")
    assert here.injected() == ["read-only"]


# --- the gateway itself -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [3, -90])
async def test_the_clock_can_be_told_wrong(here: Rehearsal, seconds: int) -> None:
    async with connected(here.port) as ib:
        await here.do(f"clock-skew {seconds}")
        assert (await ib.reqCurrentTimeAsync()).timestamp() - time.time() == pytest.approx(seconds, abs=2)
        await place(ib, MarketOrder("BUY", 1, account=FIRST))
        [fill] = await ib.reqExecutionsAsync()
        assert fill.execution.time.timestamp() == pytest.approx(time.time(), abs=5)  # executions have IB's time, not the machine's
    assert here.injected() == ["clock-skew"]


@pytest.mark.parametrize(("told", "heard"), [(f"{FIRST},U7654321", [FIRST, "U7654321"]), (SECOND, [SECOND]), ("none", [])])
async def test_the_accounts_of_the_login_can_be_told_wrong(here: Rehearsal, told: str, heard: list[str]) -> None:
    await here.do(f"managed-accounts {told}")
    client = await RawClient.connect(here.port)
    [line] = [fields for fields in client.greeting if fields[0] == "15"]
    assert [account for account in line[2].split(",") if account] == heard
    client.close()
    assert here.injected() == ["managed-accounts"]


async def test_hostile_texts_stand_in_errors_symbols_and_exchanges(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        texts: list[str] = []
        ib.errorEvent += lambda req_id, code, text, contract: texts.append(text)
        await here.do("hostile errors")
        await here.do("error 17 -1 2137 careful")
        await until(ib, lambda: bool(texts))
        assert texts == [f"careful {escaped(HOSTILE)}"]  # errors go out as ASCII
        await here.do("off hostile")
        await here.do("hostile symbols <b>bold</b>")
        [details] = await ib.reqContractDetailsAsync(AAPL)
        assert (details.contract.symbol, details.longName, details.contract.exchange) == ("<b>bold</b>", "<b>bold</b>", "SMART")
        await here.do("off hostile")
        await here.do("hostile exchanges =1+1")
        await place(ib, MarketOrder("BUY", 1, account=FIRST))
        [fill] = await ib.reqExecutionsAsync()
        assert (fill.execution.exchange, fill.contract.symbol) == ("=1+1", "AAPL")
        samples = await ib.reqMatchingSymbolsAsync("AAPL")
        assert samples[0].contract.primaryExchange == "=1+1"
    assert set(here.injected()) == {"hostile", "error"}


# --- quotes -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "bid", "ask"),
    [("crossed", 101, 99.03), ("zero", 0, 0), ("-1", -1, -1), ("nan", math.nan, math.nan), ("infinite", math.inf, math.inf)],
)
async def test_who_watches_hears_quotes_that_are_none(here: Rehearsal, kind: str, bid: float, ask: float) -> None:
    async with connected(here.port) as ib:
        ticker = ib.reqMktData(AAPL)
        await until(ib, lambda: ticker.bid == 100 and ticker.ask == 100.02)
        told: list[tuple[int, float]] = []
        ib.wrapper.priceSizeTick = lambda req_id, kind, price, size: told.append((kind, price))
        await here.do(f"quotes {kind} AAPL")
        await until(ib, lambda: {1, 2} <= {one for one, _ in told})
        heard = dict(told)
        assert [heard[1], heard[2]] == pytest.approx([bid, ask], nan_ok=True)
        told.clear()
        await here.do("quotes good")
        await until(ib, lambda: {1: 100.0, 2: 100.02}.items() <= dict(told).items())
    assert here.injected()[0] == "quotes"


async def test_no_quotes_at_all_and_none_any_more(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        await here.do("quotes none AAPL")
        ticker = ib.reqMktData(AAPL)
        await ib.reqCurrentTimeAsync()
        assert math.isnan(ticker.bid) and math.isnan(ticker.ask)
        ib.cancelMktData(AAPL)
        await here.do("quotes stale")
        ticker = ib.reqMktData(AAPL)
        await until(ib, lambda: ticker.ask == 100.02)
        await here.do("quote AAPL 110 110.02")
        await ib.reqCurrentTimeAsync()
        assert ticker.ask == 100.02
        await here.do("quotes good AAPL")
        await ib.reqCurrentTimeAsync()
        assert ticker.ask == 100.02  # those of all contracts are still stale
        await here.do("quotes good")
        await until(ib, lambda: ticker.ask == 110.02)


WRONG = ["order-error", "order-error nobody 399", "order-error last", "order-error last x", "status last", "status nobody Filled",
     "status last Filled x", "status last Filled times=0", "stranger 17", "stranger 99 U1 AAPL BOT 1 1", "stranger 17 U1 AAPL BUY 1 1",
     "stranger 17 U1 NOSUCH BOT 1 1", "quotes", "quotes bad", "quotes none NOSUCH", "clock-skew", "clock-skew soon", "managed-accounts",
     "hostile", "hostile everything", "read-only now", "cut", "cut nonsense"]  # fmt: skip


async def test_wrong_commands_are_errors_in_words(here: Rehearsal) -> None:
    async with connected(here.port) as ib:
        await place(ib, LimitOrder("BUY", 100, 90, account=FIRST))
        for line in WRONG:
            assert await here.fails(line), line
        assert here.injected() == [] and await here.do("scenarios") == ""


def test_every_kind_of_quote_is_tried() -> None:
    assert set(QUOTE_KINDS) == {"none", "stale", "crossed", "zero", "-1", "nan", "infinite", "unset"}
