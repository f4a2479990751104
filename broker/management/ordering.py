"""The words of one order on the command line, and the terms that they mean.

The rule it keeps: what is given decides the type, and a type that is named must fit it; nothing that was said is left out silently.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import CommandError

from orders.rules.offering import type_word
from orders.rules.terms import AdaptivePriority, OrderTerms, OrderType, Side, TimeInForce, TriggerMethod

TYPES = {type_word(one): one for one in OrderType}
TRIGGERS = {method.name.lower().replace("_", "-"): method for method in TriggerMethod}
PRIORITIES = {priority.value.lower(): priority for priority in AdaptivePriority if priority is not AdaptivePriority.NONE}


def add_terms(parser: ArgumentParser, number: Callable[[str], Decimal]) -> None:
    """What an order may carry beside its contract and quantity."""
    parser.add_argument("--type", choices=TYPES, metavar="TYPE", help=f"{', '.join(TYPES)}; without it by the prices that are given")
    parser.add_argument("--limit", type=number, metavar="PRICE")
    parser.add_argument("--stop", type=number, metavar="PRICE", help="the trigger; of a trailing stop where it begins")
    parser.add_argument("--trail", type=number, metavar="AMOUNT", help="a stop that follows the market at this distance")
    parser.add_argument("--trail-percent", type=number, metavar="PERCENT", help="the same in percent: 2 is 2 %%")
    parser.add_argument("--limit-offset", type=number, metavar="AMOUNT", help="of a TRAILLMT: how far its limit lies behind its stop")
    parser.add_argument("--tif", choices=[one.value for one in TimeInForce], help="time in force (DAY; GTD with --good-till)")
    parser.add_argument("--gtc", action="store_true", help="the same as --tif GTC")
    parser.add_argument(
        "--good-till", type=moment, metavar="WHEN", help="its end, as 2026-11-25T15:30, in the account's time zone or with one"
    )
    parser.add_argument("--good-after", type=moment, metavar="WHEN", help="when it goes live")
    parser.add_argument("--all-or-none", action="store_true")
    parser.add_argument("--hidden", action="store_true", help="not shown in the market")
    parser.add_argument("--display-size", type=number, metavar="QUANTITY", help="iceberg: how much of it the market sees")
    parser.add_argument("--trigger", choices=TRIGGERS, default="default", help="which prices elect a stop")
    parser.add_argument("--adaptive", choices=PRIORITIES, help="IB's Adaptive algorithm with this priority")


def terms_of(side: Side, options: dict[str, Any], time_zone: str) -> OrderTerms:
    """The terms that were said. Raises CommandError where two of the words contradict each other."""
    return OrderTerms(
        side=side,
        order_type=TYPES[options["type"]] if options["type"] else _type_of(options),
        quantity=options["quantity"],
        limit_price=options["limit"],
        stop_price=options["stop"],
        trail_amount=options["trail"],
        trail_percent=options["trail_percent"],
        limit_offset=options["limit_offset"],
        time_in_force=_time_in_force(options),
        outside_rth=options["outside_rth"],
        good_till=in_zone(options["good_till"], time_zone),
        good_after=in_zone(options["good_after"], time_zone),
        all_or_none=options["all_or_none"],
        hidden=options["hidden"],
        display_size=options["display_size"],
        trigger_method=TRIGGERS[options["trigger"]],
        adaptive=PRIORITIES[options["adaptive"]] if options["adaptive"] else AdaptivePriority.NONE,
    )


def _type_of(options: dict[str, Any]) -> OrderType:
    """The type that has these prices."""
    if options["trail"] is not None or options["trail_percent"] is not None:
        return OrderType.TRAIL if options["limit_offset"] is None else OrderType.TRAIL_LIMIT
    if options["stop"] is not None:
        return OrderType.STOP if options["limit"] is None else OrderType.STOP_LIMIT
    return OrderType.MARKET if options["limit"] is None else OrderType.LIMIT


def _time_in_force(options: dict[str, Any]) -> TimeInForce:
    named = TimeInForce(options["tif"]) if options["tif"] else None
    if options["gtc"]:
        if named not in (None, TimeInForce.GTC):
            raise CommandError(f"--gtc and --tif {named} contradict each other.")
        return TimeInForce.GTC
    return named or (TimeInForce.DAY if options["good_till"] is None else TimeInForce.GTD)


def moment(text: str) -> datetime:
    """A moment as it was typed, with its zone or without."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is not a time; write it as 2026-11-25T15:30") from None


def in_zone(when: datetime | None, time_zone: str) -> datetime | None:
    """The moment in the zone that it names, else in that of the account."""
    if when is None or when.tzinfo is not None:
        return when
    return when.replace(tzinfo=ZoneInfo(time_zone))
