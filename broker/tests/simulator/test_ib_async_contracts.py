"""Contracts through unmodified ib_async: option chains, partly described contracts, and what details list of types, hours and prices."""

from __future__ import annotations

import logging

import pytest
from ib_async import Contract, Forex, Future, Option, Stock

from broker.simulator.server import SimulatedGateway
from broker.tests.simulator.clients import connected
from broker.tests.simulator.running import running_gateway


@pytest.fixture
async def gateway():
    async with running_gateway() as running:
        yield running


@pytest.fixture(autouse=True)
def decoder_complaints(caplog: pytest.LogCaptureFixture):
    """ib_async logs what it cannot decode and goes on; here that fails the test, and so does an error of the gateway itself."""
    yield
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert [one.getMessage() for one in errors if one.name == "ib_async.Decoder" or one.name.startswith("broker.simulator")] == []


async def test_option_chain_is_consistent_with_the_contracts_it_names(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        for symbol, con_id in (("AAPL", 265598), ("SPY", 756733)):
            chains = await ib.reqSecDefOptParamsAsync(symbol, "", "STK", con_id)
            assert {one.exchange for one in chains} == {"SMART", "CBOE"}
            for chain in chains:
                assert (chain.underlyingConId, chain.multiplier, chain.tradingClass) == (str(con_id), "100", symbol)
                assert len(chain.expirations) == 3 and len(chain.strikes) == 5
            named = {(expiry, strike, right) for expiry in chains[0].expirations for strike in chains[0].strikes for right in "CP"}
            details = await ib.reqContractDetailsAsync(Option(symbol, exchange="SMART"))
            found = {(one.contract.lastTradeDateOrContractMonth, one.contract.strike, one.contract.right) for one in details}
            assert found == named
        assert await ib.reqSecDefOptParamsAsync("IBM", "", "STK", 8314) == []


async def test_partly_described_contracts_give_all_that_fit(gateway: SimulatedGateway) -> None:
    async with connected(gateway.port) as ib:
        futures = await ib.reqContractDetailsAsync(Future("ES"))
        assert len({one.contract.lastTradeDateOrContractMonth for one in futures}) == 3
        expiry = (await ib.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598))[0].expirations[0]
        options = await ib.reqContractDetailsAsync(Option("AAPL", expiry))
        assert len(options) == 10 and {one.contract.right for one in options} == {"C", "P"}
        calls = await ib.reqContractDetailsAsync(Option("AAPL", expiry, right="C"))
        assert len(calls) == 5
        found = await ib.reqMatchingSymbolsAsync("AAPL")
        assert found[0].derivativeSecTypes == ["OPT"]


@pytest.mark.parametrize(
    ("contract", "has", "lacks"),
    [
        (Stock("AAPL", "SMART", "USD"), "MOC LOC OPG TRAIL TRAILLMT MIT LIT AON HID ICE GAT GTD IOC FOK ALGO", "SCALE"),
        (Forex("EURUSD"), "TRAIL TRAILLMT MIT LIT GAT GTD IOC", "MOC LOC OPG FOK AON HID ICE ALGO"),
        (Future("ES", "202612"), "TRAIL MIT ICE GAT IOC ALGO", "MOC LOC OPG FOK AON HID"),
        (Option("SPY", "20261218", 660, "C", "SMART"), "FOK AON ICE ALGO TRAIL", "MOC LOC OPG HID"),
    ],
)
async def test_details_list_types_hours_and_price_bands(gateway: SimulatedGateway, contract: Contract, has: str, lacks: str) -> None:
    async with connected(gateway.port) as ib:
        details = (await ib.reqContractDetailsAsync(contract))[0]
        listed = set(details.orderTypes.split(","))
        assert set(has.split()) <= listed and not set(lacks.split()) & listed
        assert details.tradingSessions() and details.liquidSessions()
        assert all(one.start < one.end for one in [*details.tradingSessions(), *details.liquidSessions()])
        rule = await ib.reqMarketRuleAsync(int(details.marketRuleIds.split(",")[0]))
        assert rule and rule[0].lowEdge == 0
        if contract.secType == "STK":
            assert [(one.lowEdge, one.increment) for one in rule] == [(0.0, 0.0001), (1.0, 0.01)]
