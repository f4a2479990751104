"""`manage.py desk bracket`, `protect` and `modify`: one syntax for pairs of exits, and what the exchange holds of them.

The verbs run in this process on the book of a desk that runs. Each test trades a contract of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from oms_site.tests.agreement import agree
from oms_site.tests.desk import Desk, copied_data, wait_until
from oms_site.tests.inside import Said, inside, say
from orders.manager import OrderManager
from orders.models import Contract, OrderRecord, Position
from orders.tests.factories import a_key

pytestmark = pytest.mark.xdist_group("desk command exits")

ACCOUNT = "DU1000417"


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Desk]:
    """One desk with a market that stands still, and its book as ours; at last it agrees with the exchange."""
    data = copied_data(desk_template, tmp_path_factory.mktemp("exits") / "data")
    desk = Desk(data, arguments=("--no-migrate", "--tick-seconds", "0"))
    try:
        desk.start()
        with django_db_blocker.unblock(), inside(data):
            yield desk
            agree(desk.control, desk.ledger)
    finally:
        desk.close()


def exchange_order(desk: Desk, name: str) -> dict[str, Any]:
    """The exchange's own record of the order that carries this name, with what stands on the wire beside it."""
    told = json.loads(desk.control("orders").removeprefix("ok "))
    [one] = [{**one.pop("request"), **one} for one in told if one["request"]["order_ref"] == name]
    return {**one, **one.pop("wire")}


def done(said: Said) -> Said:
    assert said.code == 0, said.text
    return said


def refused(said: Said, *words: str) -> None:
    assert said.code in (1, 2), said.text
    for word in words:
        assert word in said.text, said.text


_SIZES = count(5000)


def quote(desk: Desk, symbol: str, bid: str = "100.00", ask: str = "100.02") -> None:
    size = next(_SIZES)  # another one each time: what stands still is no news, and the command line waits a while for a fresh quote
    told = desk.control(f"quote {symbol} {bid} {ask} {size} {size}")
    assert told.startswith("ok"), told


def held(desk: Desk, symbol: str, side: str = "buy", quantity: str = "100") -> Position:
    """A position at a market of 100.00 to 100.02, as the broker reports it."""
    quote(desk, symbol)
    done(say(side, symbol, quantity))
    signed = D(quantity) if side == "buy" else -D(quantity)
    rows = Position.objects.filter(contract__symbol=symbol, quantity=signed)
    wait_until(lambda: rows.exists(), f"the position in {symbol} is known")
    return rows.select_related("contract").get()


def legs(said: Said) -> list[OrderRecord]:
    return [OrderRecord.objects.select_related("oca_group").get(client_order_id=row[0]) for row in said.rows]


# --- protect ----------------------------------------------------------------------------------------------------------------------------


def test_a_position_is_protected_with_pairs_a_trailing_stop_and_a_time_stop(desk: Desk) -> None:
    held(desk, "AAPL")
    words = ("--pair", "target=108,stop=2%,quantity=60", "--pair", "target=3R,trail=1.50,time=90m", "--entry", "100", "--oca-type", "2")
    said = done(say("protect", "AAPL", *words))
    found = legs(said)
    assert [(one.order_type, one.quantity, one.time_in_force) for one in found] == [
        ("STP", 60, "GTC"),
        ("LMT", 60, "GTC"),
        ("TRAIL", 40, "GTC"),
        ("LMT", 40, "GTC"),
        ("MKT", 40, "GTC"),
    ]
    stop, target, trail, far, late = (exchange_order(desk, one.client_order_id) for one in found)
    assert (D(stop["aux_price"]), D(target["limit_price"]), D(far["limit_price"])) == (98, 108, D("104.5"))
    assert (trail["order_type"], D(trail["aux_price"])) == ("TRAIL", D("1.5"))
    assert stop["oca_group"] == target["oca_group"] != trail["oca_group"] == far["oca_group"] == late["oca_group"]
    assert {one["oca_type"] for one in (stop, target, trail, far, late)} == {2}
    goes = datetime.strptime(late["goodAfterTime"], "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
    assert timedelta(minutes=85) < goes - datetime.now(UTC) <= timedelta(minutes=90)
    refused(say("protect", "AAPL", "--pair", "stop=2%"), "EXCEEDS_POSITION", "may close all of the position")
    done(say("cancel-all"))


def test_a_short_position_is_protected_for_what_is_left_of_it(desk: Desk) -> None:
    held(desk, "MSFT", side="sell", quantity="50")
    first = done(say("protect", "MSFT", "--quantity", "20", "--pair", "stop=103,offset=0.10", "--exits-tif", "DAY"))
    [stop] = [exchange_order(desk, one.client_order_id) for one in legs(first)]
    assert (stop["action"], stop["order_type"], D(stop["aux_price"]), D(stop["limit_price"]), stop["tif"]) == (
        "BUY",
        "STP LMT",
        103,
        D("103.1"),
        "DAY",
    )
    refused(say("protect", "MSFT", "--quantity", "31", "--pair", "stop=102"), "EXCEEDS_POSITION", "only 30 is not covered")
    rest = done(say("protect", "MSFT", "--pair", "trail=2%,begins=101", "--pair", "target=5%"))
    trail, target = (exchange_order(desk, one.client_order_id) for one in legs(rest))
    assert (D(trail["quantity"]), trail["trailingPercent"], D(trail["trailStopPrice"])) == (15, "2", 101)
    assert (D(target["quantity"]), target["order_type"]) == (15, "LMT")
    done(say("cancel-all"))


def test_without_a_word_a_position_gets_the_user_s_own_exits(desk: Desk) -> None:
    position = held(desk, "AMD", quantity="10")
    trader = get_user_model().objects.get(username="trader1")
    own = {"profit_target": D("0.04"), "trail_percent": D("1.5"), "time_stop": timedelta(minutes=30)}
    OrderManager(trader).set_exit_template("AMD", key=a_key(), **own)
    trail, target, late = legs(done(say("protect", "AMD", "--entry", "100")))
    assert (trail.order_type, trail.trail_percent, trail.quantity) == ("TRAIL", D("1.5"), position.quantity)
    assert (target.limit_price, late.order_type) == (104, "MKT")
    OrderManager(trader).remove_exit_template("AMD", key=a_key())
    done(say("cancel-all"))
    stop, target = legs(done(say("protect", "AMD", "--entry", "100")))
    assert (stop.stop_price, target.limit_price) == (98, 108)
    done(say("cancel-all"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--pair", "targt=8%"], "targt=8% in targt=8%: its words are target=, stop="),
        (["--pair", "target=8%%"], "neither a price nor a distance"),
        (["--pair", "stop=2%,trail=2%"], "a pair has one stop"),
        (["--pair", "stop=2%,stop=3%"], "stop= is twice"),
        (["--pair", "begins=95"], "only a trailing stop begins somewhere"),
        (["--pair", "stop=2%,time=soon"], "is not a time"),
        (["--pair", "quantity=100"], "Refused (TICKET): --pair 1, stop: give a stop or a target"),
        (["--pair", "stop=2%,quantity=70", "--pair", "stop=2%,quantity=20"], "the parts sum to 90, not to the quantity of 100"),
        (["--pair", "stop=101"], "Refused (STOP_THROUGH_MARKET)"),
        (["--pair", "stop=97.005"], "Refused (OFF_TICK)"),
        (["--pair", "target=95,stop=97"], "Refused (TICKET)"),
        (["--pair", "stop=2%", "--stop-loss", "0.02"], "say the exits in one way"),
    ],
)
def test_pairs_that_cannot_be_are_told_and_leave_no_order(desk: Desk, words: list[str], told: str) -> None:
    if not Position.objects.filter(contract__symbol="NFLX").exists():
        held(desk, "NFLX")
    quote(desk, "NFLX")
    before = OrderRecord.objects.count()
    refused(say("protect", "NFLX", "--entry", "100", *words), told)
    assert OrderRecord.objects.count() == before


def test_ticks_that_are_not_known_are_told_in_words(desk: Desk) -> None:
    held(desk, "INTC", quantity="10")
    contract = Contract.objects.get(symbol="INTC", sec_type="STK")
    known = (contract.min_tick, contract.market_rule_ids)
    Contract.objects.filter(pk=contract.pk).update(min_tick=None, market_rule_ids=[])
    try:
        refused(say("protect", "INTC", "--pair", "stop=2%"), "--pair 1, stop: the price ticks of this contract are not known yet")
        refused(say("protect", "INTC", "--pair", "stop=98"), "TICK_UNKNOWN")
    finally:
        Contract.objects.filter(pk=contract.pk).update(min_tick=known[0], market_rule_ids=known[1])


# --- bracket ----------------------------------------------------------------------------------------------------------------------------


def test_a_bracket_takes_the_same_pairs(desk: Desk) -> None:
    quote(desk, "NVDA")
    words = ("--limit", "99", "--pair", "target=10%,stop=5%,quantity=6", "--pair", "target=120,trail=2%")
    said = done(say("bracket", "buy", "NVDA", "10", *words))
    entry, stop, target, trail, far = (exchange_order(desk, one.client_order_id) for one in legs(said))
    assert (entry["order_type"], D(entry["limit_price"]), D(entry["quantity"])) == ("LMT", 99, 10)
    assert (D(stop["aux_price"]), D(target["limit_price"]), D(stop["quantity"])) == (D("94.05"), D("108.9"), 6)
    assert (trail["trailingPercent"], D(far["limit_price"]), D(trail["quantity"])) == ("2", 120, 4)
    assert {one["parent_id"] for one in (stop, target, trail, far)} == {entry["order_id"]}
    done(say("cancel", said.order))
    refused(say("bracket", "buy", "NVDA", "10", "--limit", "99"), "--target and --stop are needed, or --pair")
    refused(say("bracket", "buy", "NVDA", "10", "--target", "110", "--stop", "95", "--pair", "stop=2%"), "say the exits in one way")
    refused(say("bracket", "buy", "NVDA", "10", "--pair", "trail=2%"), "Refused (TICKET)", "goes only with a LMT")


def test_a_bracket_s_entry_may_be_a_stop_and_its_market_entry_counts_from_the_quote(desk: Desk) -> None:
    quote(desk, "META")
    said = done(say("bracket", "sell", "META", "10", "--entry-stop", "95", "--pair", "stop=2%,target=2R", "--oca-type", "3"))
    entry, stop, target = legs(said)
    assert (entry.order_type, entry.stop_price, stop.stop_price, target.limit_price) == ("STP", 95, D("96.9"), D("91.2"))
    done(say("cancel", said.order))
    now = datetime.now(UTC)  # a time stop goes with an entry only while the market is open
    open_now = f"{now - timedelta(days=2):%Y%m%d}:0000-{now + timedelta(days=2):%Y%m%d}:2359"
    Contract.objects.filter(symbol="META").update(liquid_hours=open_now, trading_hours=open_now)
    entry, stop, late = legs(done(say("bracket", "buy", "META", "10", "--pair", "stop=2%,time=2h")))
    assert (entry.status, stop.stop_price, late.role) == ("FILLED", D("98.02"), "time stop")  # 2 % below the ask
    done(say("cancel-all"))


# --- modify -----------------------------------------------------------------------------------------------------------------------------


def test_a_trail_keeps_its_kind_and_changes_its_distance(desk: Desk) -> None:
    held(desk, "TSLA", quantity="20")
    name = done(say("protect", "TSLA", "--quantity", "5", "--pair", "trail=2,offset=0.20")).order
    told = exchange_order(desk, name)
    assert (told["order_type"], D(told["trailStopPrice"]), D(told["lmtPriceOffset"])) == ("TRAIL LIMIT", 98, D("0.2"))
    done(say("modify", name, "--limit-offset", "0.10", "--trail", "1.5"))
    told = exchange_order(desk, name)
    assert (D(told["lmtPriceOffset"]), D(told["aux_price"])) == (D("0.1"), D("1.5"))
    done(say("cancel", name))
    by_amount, by_percent = legs(done(say("protect", "TSLA", "--pair", "trail=3", "--pair", "trail=4%")))
    said = done(say("modify", by_amount.client_order_id, "--trail", "2.5"))
    assert "2.5" in said.rows[0]
    assert D(exchange_order(desk, by_amount.client_order_id)["aux_price"]) == D("2.5")
    done(say("modify", by_amount.client_order_id, "--stop", "98.5"))  # where it stands, closer than its distance
    assert D(exchange_order(desk, by_amount.client_order_id)["trailStopPrice"]) == D("98.5")
    done(say("modify", by_percent.client_order_id, "--trail-percent", "3"))
    assert exchange_order(desk, by_percent.client_order_id)["trailingPercent"] == "3"
    refused(say("modify", by_amount.client_order_id, "--trail-percent", "3"), "NOT_CHANGEABLE", "A trail keeps its kind")
    refused(say("modify", by_percent.client_order_id, "--trail", "3"), "NOT_CHANGEABLE")
    refused(say("modify", by_percent.client_order_id, "--limit-offset", "1"), "Refused (TICKET)", "is not used by an order of type TRAIL")
    refused(say("modify", by_percent.client_order_id, "--trail-percent", "100"), "Refused (TICKET)", "below 100")
    done(say("cancel-all"))


def test_a_trailing_limit_changes_its_offset_and_where_it_stands(desk: Desk) -> None:
    held(desk, "AMZN", quantity="10")
    name = done(say("sell", "AMZN", "10", "--trail", "5", "--stop", "95", "--limit-offset", "0.20", "--gtc")).order
    done(say("modify", name, "--limit-offset", "0.30"))
    assert D(exchange_order(desk, name)["lmtPriceOffset"]) == D("0.3")
    done(say("modify", name, "--stop", "96"))
    assert D(exchange_order(desk, name)["trailStopPrice"]) == 96
    done(say("modify", name, "--tif", "DAY"))
    assert exchange_order(desk, name)["tif"] == "DAY"
    done(say("modify", name, "--good-till", "2099-01-05T15:30+00:00"))
    assert exchange_order(desk, name)["goodTillDate"] == "20990105-15:30:00"
    refused(say("modify", name, "--gtc", "--tif", "DAY"), "contradict")
    refused(say("modify", name, "--stop", "101"), "STOP_THROUGH_MARKET")
    done(say("cancel", name))
