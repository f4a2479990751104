"""`manage.py desk close --percent, reverse, flatten, kill, hold, release`, at a desk that runs: what it prints is what the exchange did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oms_site.tests.agreement import agree
from oms_site.tests.desk import Desk, copied_data, wait_until
from oms_site.tests.inside import Said, inside, say
from orders.models import Limit, OrderRecord, Position, Sweep

pytestmark = pytest.mark.xdist_group("desk command stopping")

ACCOUNT = "DU1000417"


@pytest.fixture(scope="module")
def desk(desk_template: Path, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Desk]:
    """One desk with a market that stands still, and its book as ours; at last it agrees with the exchange."""
    data = copied_data(desk_template, tmp_path_factory.mktemp("command") / "data")
    desk = Desk(data, arguments=("--no-migrate", "--tick-seconds", "0"))
    try:
        desk.start()
        with django_db_blocker.unblock(), inside(data):
            yield desk
            agree(desk.control, desk.ledger)
    finally:
        desk.close()


def done(said: Said) -> Said:
    assert said.code == 0, said.text
    return said


def bought(desk: Desk, symbol: str, quantity: str) -> None:
    assert desk.control(f"quote {symbol} 100.00 100.02 9000 9000").startswith("ok")
    done(say("buy", symbol, quantity))
    holds(symbol, quantity)


def holds(symbol: str, quantity: str) -> None:
    wait_until(lambda: Position.objects.filter(contract__symbol=symbol, quantity=quantity).exists(), f"{quantity} {symbol} are held")


def test_a_part_is_closed_and_the_rest_turned_round(desk: Desk) -> None:
    bought(desk, "AAPL", "100")
    done(say("protect", "AAPL"))
    said = done(say("close", "AAPL", "--percent", "40"))
    assert said.rows[0][3:6] == ["SELL", "40", "MKT"] and "FILLED" in said.rows[0]
    holds("AAPL", "60")
    said = done(say("reverse", "AAPL"))
    assert said.rows[0][3:5] == ["SELL", "120"]
    holds("AAPL", "-60")
    said = done(say("flatten", "--account", ACCOUNT, "--side", "short"))
    assert "DONE. The broker has confirmed all of it." in said.text
    holds("AAPL", "0")


def test_kill_hold_and_release(desk: Desk) -> None:
    bought(desk, "MSFT", "10")
    done(say("buy", "MSFT", "5", "--limit", "90"))
    said = done(say("kill", "--scope", "account", "--account", ACCOUNT, "--reason", "A drill", "--flatten"))
    assert f"Kill switch for account {ACCOUNT}" in said.text and "DONE" in said.text
    assert "CANCELLED" in said.text and "FILLED" in said.text
    holds("MSFT", "0")
    refused = say("buy", "MSFT", "1")
    assert refused.code == 1 and "TRADING_STATE" in refused.text
    whose = ("--scope", "account", "--account", ACCOUNT)
    not_allowed = say("release", *whose, "--reason", "x")
    assert not_allowed.code == 1 and "NO_PERMISSION" in not_allowed.text
    done(say("release", *whose, "--reason", "Looked at it", user="admin"))
    assert Sweep.objects.get(kind="kill").release_reason == "Looked at it"
    done(say("hold", *whose, "--state", "reduce-only", "--reason", "Earnings"))
    refused = say("buy", "MSFT", "1")
    assert refused.code == 1 and "may only be reduced" in refused.text
    done(say("release", *whose, "--reason", "Out", user="admin"))
    assert Limit.objects.get(rule="TRADING_STATE").value == 0


def test_without_the_gateway_it_says_what_waits(desk: Desk) -> None:
    assert desk.control("quote KO 100.00 100.02 9000 9000").startswith("ok")
    done(say("buy", "KO", "5", "--limit", "90"))
    for line in ("client-id-taken 17", "drop 17"):
        assert desk.control(line).startswith("ok")
    wait_until(lambda: desk.query("select state from orders_gateway")[0][0] != "READY", "the link is down")
    try:
        said = done(say("kill", "--scope", "user", "--reason", "The line is gone", "--wait", "0"))
        assert "UNDER WAY" in said.text and "Cancels wait here" in said.text
    finally:
        assert desk.control("off client-id-taken").startswith("ok")
    wait_until(lambda: not OrderRecord.objects.filter(contract__symbol="KO", status="WORKING").exists(), "the cancel went out")
    done(say("release", "--scope", "user", "--whom", "trader1", "--reason", "It is back", user="admin"))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["kill", "--scope", "desk", "--reason", "x"], "NO_PERMISSION"),
        (["kill", "--scope", "account", "--account", ACCOUNT, "--reason", " "], "REASON"),
        (["flatten", "--side", "long", "--percent", "0"], "PERCENT"),
        (["release", "--scope", "user", "--whom", "nobody", "--reason", "x"], "no user of this name"),
        (["close", "GE", "--percent", "50"], "NO_POSITION"),
    ],
)
def test_what_is_refused_says_why(desk: Desk, words: list[str], text: str) -> None:
    said = say(*words)
    assert said.code == 1 and text in said.text
