"""Contracts: details, symbol search, price rules and option chains, all read from the universe of the exchange."""

from __future__ import annotations

from decimal import Decimal

from broker.simulator.answering.turn import NO_SECURITY, Turn
from broker.simulator.hours import hours_of, hours_text
from broker.simulator.messages import answers as say
from broker.simulator.messages import market_answers
from broker.simulator.messages import requests as ask
from broker.simulator.model import Instrument

_DERIVATIVES = ("OPT", "FUT")


def contract_details(turn: Turn, request: ask.RequestContractDetails) -> None:
    """One answer for every instrument that fits, then the end; error 200 and no end where nothing fits."""
    found = turn.matches(request.contract)
    if not request.include_expired:
        found = [one for one in found if not one.expiry or one.expiry >= f"{turn.now:%Y%m%d}"]
    if not found:
        turn.error(request.req_id, NO_SECURITY, "No security definition has been found for the request")
        return
    for one in found:
        hours = hours_of(one)
        texts = (hours_text(session, one.time_zone, turn.now) for session in (hours.trading, hours.liquid))
        turn.session.say(market_answers.ContractDetails(request.req_id, one, finest_increment(turn, one), *texts))
    turn.session.say(market_answers.ContractDetailsEnd(request.req_id))


def finest_increment(turn: Turn, instrument: Instrument) -> Decimal:
    """IB's minTick: the smallest step of the contract's price rule."""
    steps = turn.exchange.market_rule(instrument.market_rule_id) or ()
    return min(increment for _, increment in steps)


def matching_symbols(turn: Turn, request: ask.RequestMatchingSymbols) -> None:
    """Stocks whose symbol or name fits, with the kinds of derivatives listed on them."""
    samples = tuple((one, _derivatives_of(turn, one)) for one in turn.exchange.search(request.pattern))
    turn.session.say(market_answers.SymbolSamples(request.req_id, samples))


def _derivatives_of(turn: Turn, instrument: Instrument) -> tuple[str, ...]:
    listed = {one.sec_type for one in turn.exchange.instruments.values() if one.under_con_id == instrument.con_id}
    return tuple(kind for kind in _DERIVATIVES if kind in listed)


def market_rule(turn: Turn, request: ask.RequestMarketRule) -> None:
    """The rule has no request id of its own: an unknown one is answered with error 321 for request -1."""
    steps = turn.exchange.market_rule(request.market_rule_id)
    if steps is None:
        turn.invalid(-1, f"Invalid market rule id {request.market_rule_id}")
    else:
        turn.session.say(say.market_rule(request.market_rule_id, steps))


def option_parameters(turn: Turn, request: ask.RequestOptionParameters) -> None:
    """The option chains on an underlying: one answer per exchange, trading class and multiplier, then the end."""
    chains: dict[tuple[str, str, Decimal], list[Instrument]] = {}
    today = f"{turn.now:%Y%m%d}"
    for one in turn.exchange.instruments.values():
        if one.sec_type != "OPT" or one.under_con_id != request.underlying_con_id or one.expiry < today:
            continue
        for exchange in dict.fromkeys((one.exchange, one.primary_exchange)):
            if request.exchange in ("", exchange):
                chains.setdefault((exchange, one.trading_class, one.multiplier), []).append(one)
    for (exchange, trading_class, multiplier), options in chains.items():
        expirations = tuple(sorted({one.expiry for one in options}))
        strikes = tuple(sorted({one.strike for one in options}))
        turn.session.say(
            market_answers.OptionParameters(
                request.req_id, exchange, request.underlying_con_id, trading_class, multiplier, expirations, strikes
            )
        )
    turn.session.say(market_answers.OptionParametersEnd(request.req_id))
