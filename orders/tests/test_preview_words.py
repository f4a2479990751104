"""Nothing that is set on an order is missing from what its preview says, of the order itself and of each exit that goes along."""

from __future__ import annotations

import html
import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.template.loader import render_to_string

from orders.preview.making import make
from orders.preview.shown import preview_view
from orders.rules.terms import TERM_NAMES, AdaptivePriority, OcaType, OrderTerms, OrderType, Side, TimeInForce, TriggerMethod
from orders.rules.tickets import BracketTicket, ExitPair
from orders.tests.desk_of_one import Desk

pytestmark = pytest.mark.django_db

LATER = datetime(2026, 3, 6, 21, 0, tzinfo=UTC)
LIMIT = OrderTerms(Side.BUY, OrderType.LIMIT, D(100), D("99.50"))
STOP = OrderTerms(Side.BUY, OrderType.STOP, D(100), stop_price=D("103"))
TRAIL = OrderTerms(Side.SELL, OrderType.TRAIL, D(100), trail_percent=D("2.5"))
TRAIL_LIMIT = replace(TRAIL, order_type=OrderType.TRAIL_LIMIT, stop_price=D("97"), limit_offset=D("0.10"))

# name -> (an order, what is set on it besides, the words that only then stand in the preview)
TERMS: dict[str, tuple[OrderTerms, dict[str, Any], tuple[str, ...]]] = {
    "side": (LIMIT, {"side": Side.SELL}, ("SELL 100 AAPL",)),
    "order_type": (LIMIT, {"order_type": OrderType.LIMIT_ON_CLOSE}, ("LOC 99.50",)),
    "quantity": (LIMIT, {"quantity": D(120)}, ("BUY 120 AAPL",)),
    "limit_price": (LIMIT, {"limit_price": D("99.40")}, ("LMT 99.40",)),
    "stop_price": (STOP, {"stop_price": D("104")}, ("STP 104.00",)),
    "time_in_force": (LIMIT, {"time_in_force": TimeInForce.FOK}, ("LMT 99.50 FOK", "all of it at once or none")),
    "outside_rth": (LIMIT, {"outside_rth": True}, ("also outside regular hours",)),
    "trail_amount": (TRAIL, {"trail_percent": None, "trail_amount": D("0.5")}, ("TRAIL 0.50 DAY", "Trails by 0.50")),
    "trail_percent": (TRAIL, {"trail_percent": D("3")}, ("TRAIL 3 % DAY", "Trails by 3 %")),
    "limit_offset": (TRAIL_LIMIT, {"limit_offset": D("0.15")}, ("97.00 (2.5 %) / 0.15 off", "Limit off its stop 0.15", "Trail begins at")),
    "good_till": (
        LIMIT,
        {"time_in_force": TimeInForce.GTD, "good_till": LATER},
        ("LMT 99.50 GTD 2026-03-06 16:00:00 EST", "Ends 2026-03-06 16:00:00 EST"),
    ),
    "good_after": (LIMIT, {"good_after": LATER}, ("Goes live 2026-03-06 16:00:00 EST",)),
    "all_or_none": (LIMIT, {"all_or_none": True}, ("All or none yes",)),
    "hidden": (LIMIT, {"hidden": True}, ("Hidden yes",)),
    "display_size": (LIMIT, {"display_size": D(30)}, ("The market sees 30",)),
    "trigger_method": (STOP, {"trigger_method": TriggerMethod.MIDPOINT}, ("Triggered by midpoint",)),
    "adaptive": (LIMIT, {"adaptive": AdaptivePriority.PATIENT}, ("Algorithm Adaptive, Patient",)),
}

PAIR = ExitPair(D(100), target_price=D("107.50"), stop_price=D("97.50"))
BRACKET = BracketTicket(LIMIT, (PAIR,))
MARKET = BracketTicket(OrderTerms(Side.BUY, OrderType.MARKET, D(100)), (PAIR,))
TRAILING = BracketTicket(LIMIT, (replace(PAIR, stop_price=None, trail_percent=D("3")),))
TRAILED = replace(PAIR, stop_price=D("97"), trail_amount=D("2.5"))
EXITS: dict[str, tuple[BracketTicket, BracketTicket, tuple[str, ...]]] = {
    "target_price": (
        BRACKET,
        replace(BRACKET, pairs=(replace(PAIR, target_price=D("108")),)),
        ("target 108.00", "SELL 100 AAPL LMT 108.00 GTC"),
    ),
    "stop_price": (BRACKET, replace(BRACKET, pairs=(replace(PAIR, stop_price=D("97")),)), ("stop 97.00", "SELL 100 AAPL STP 97.00 GTC")),
    "stop_limit_price": (
        BRACKET,
        replace(BRACKET, pairs=(replace(PAIR, stop_limit_price=D("97.25")),)),
        ("stop 97.50 / 97.25", "SELL 100 AAPL STP LMT 97.50 / 97.25 GTC"),
    ),
    "trail_percent": (BRACKET, TRAILING, ("stop trailing by 3 %", "SELL 100 AAPL TRAIL 3 % GTC", "regular hours only; Trails by: 3 %")),
    "trail_amount": (
        BRACKET,
        replace(BRACKET, pairs=(TRAILED,)),
        ("stop trailing by 2.50 from 97.00", "TRAIL 97.00 (2.50) GTC", "Trail begins at: 97.00"),
    ),
    "limit_offset": (
        replace(BRACKET, pairs=(TRAILED,)),
        replace(BRACKET, pairs=(replace(TRAILED, limit_offset=D("0.15")),)),
        ("its limit 0.15 behind it", "TRAIL LIMIT 97.00 (2.50) / 0.15 off GTC", "Limit off its stop: 0.15"),
    ),
    "time_stop": (
        MARKET,
        replace(MARKET, pairs=(replace(PAIR, time_stop=timedelta(seconds=90)),)),
        ("out after 1 min 30 s", "SELL 100 AAPL MKT GTC", "Goes live: 1 min 30 s after the sending"),
    ),
    "quantity": (
        BRACKET,
        replace(BRACKET, pairs=(replace(PAIR, quantity=D(60)), replace(PAIR, quantity=D(40), stop_price=D("96")))),
        ("stop 60 × 97.50", "2. stop SELL 40 AAPL STP 96.00 GTC", "1. target SELL 60 AAPL LMT 107.50"),
    ),
    "entry": (BRACKET, replace(BRACKET, entry=replace(LIMIT, all_or_none=True)), ("All or none yes",)),
    "oca_type": (BRACKET, replace(BRACKET, oca_type=OcaType.REDUCE_WITHOUT_BLOCK), ("A fill reduces the others; all are worked at once",)),
    "exits_time_in_force": (BRACKET, replace(BRACKET, exits_time_in_force=TimeInForce.DAY), ("SELL 100 AAPL STP 97.50 DAY",)),
    "exits_outside_rth": (BRACKET, replace(BRACKET, exits_outside_rth=True), ("also outside regular hours",)),
}


def said(desk: Desk, request: Any) -> str:
    """The preview as a person reads it, in one line."""
    made = make(desk.user, desk.account, desk.contract, request, desk.now)
    page = render_to_string("ticket/_preview.html", {"preview": preview_view(made)})
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.parametrize("name", TERM_NAMES)
def test_whatever_is_set_on_an_order_is_said_before_it_is_sent(name: str) -> None:
    order, besides, words = TERMS[name]
    desk = Desk()
    without, shown = said(desk, order), said(desk, replace(order, **besides))
    assert [part for part in words if part not in shown] == []
    assert [part for part in words if part in without and part != "Trail begins at"] == []


@pytest.mark.parametrize("name", sorted({field.name for kind in (ExitPair, BracketTicket) for field in fields(kind)} - {"pairs"}))
def test_whatever_is_set_on_an_exit_is_said_before_it_is_sent(name: str) -> None:
    before, after, words = EXITS[name]
    desk = Desk()
    without, shown = said(desk, before), said(desk, after)
    assert [part for part in words if part not in shown] == []
    assert [part for part in words if part in without] == []
    assert "When an exit fills" in shown


def test_a_single_order_speaks_of_no_exits_and_of_its_hours() -> None:
    shown = said(Desk(), LIMIT)
    assert "In force DAY, ends with the session Hours regular hours only" in shown
    assert "Sent with it" not in shown
    assert "When an exit fills" not in shown


def test_a_bracket_without_a_group_says_that_ib_links_its_exits() -> None:
    assert "no group is named" in said(Desk(), replace(BRACKET, oca_type=None))
