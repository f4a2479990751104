"""Quotes that are none: absent, old, crossed, zero, -1, not a number. What rests on them is refused; a limit stands by its own price."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from broker.figures import Line
from orders import intake
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import Quote
from orders.rules.terms import Side
from orders.tests.factories import a_key, grant, make_account, make_book, make_contract, make_user

pytestmark = pytest.mark.django_db

NAN, INF, UNSET = float("nan"), float("inf"), 1.7976931348623157e308
BID, ASK = 1, 2


@pytest.mark.parametrize(
    ("ticks", "age"),
    [
        ([], 0),
        ([(BID, 99.99, 5), (ASK, 100.01, 5)], 600),
        ([(BID, 100.5, 5), (ASK, 99.5, 5)], 0),
        ([(BID, 0.0, 5), (ASK, 0.0, 5)], 0),
        ([(BID, -1.0, 5), (ASK, -1.0, 5)], 0),
        ([(BID, NAN, 5), (ASK, NAN, 5)], 0),
        ([(BID, INF, 5), (ASK, INF, 5)], 0),
        ([(BID, UNSET, 5), (ASK, UNSET, 5)], 0),
        ([(BID, 99.99, 0), (ASK, 100.01, 0)], 0),
        ([(BID, 99.99, 5), (ASK, 100.01, 5), (BID, -1.0, 0), (ASK, -1.0, 0)], 0),
        ([(BID, -37.63, 5), (ASK, -37.6, 5)], 0),
        ([(BID, 1e300, 5), (ASK, 1e300, 5)], 0),
    ],
    ids=["none", "old", "crossed", "zero", "-1", "nan", "infinite", "unset", "no size", "gone again", "negative", "absurd"],
)
def test_without_a_quote_that_can_be_relied_on_the_collar_fails_closed(ticks: list[tuple[int, float, float]], age: float) -> None:
    """C41: market and stop orders are refused with the reason, a limit order goes by its own price."""
    now = timezone.now()
    account, contract, user = make_account("DU1", at=now), make_contract("AAPL"), make_user("trader")
    make_book(accounts=("DU1",), at=now)
    grant(user, account, at=now)
    line = Line(contract.con_id)
    for tick in ticks:
        line.price(*tick)
    if ticks:
        intake.apply_values([line.quote(now - timedelta(seconds=age))], now=now)
    manager = OrderManager(user, clock=lambda: now)
    with pytest.raises(Refused) as market:
        manager.place_market_order(account, contract, Side.BUY, D(10), key=a_key())
    with pytest.raises(Refused) as stop:
        manager.place_stop_order(account, contract, Side.SELL, D(10), stop_price=D("90"), key=a_key())
    for refused in (market.value, stop.value):
        assert refused.code in ("PRICE_COLLAR", "MAX_NOTIONAL")
        assert "quote" in refused.message
    limit = manager.place_limit_order(account, contract, Side.BUY, D(10), limit_price=D("100"), key=a_key())
    assert limit.status == "PENDING"
    assert Quote.objects.count() == (1 if ticks else 0)
