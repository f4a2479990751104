"""`manage.py desk`, verb by verb, at a desk that runs: what it prints is what the exchange did, and what is refused leaves no trace there.

The verbs run in this process on the book of the desk; a few in processes of their own, where the exit code is looked at. Each test trades
a contract of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal as D
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from broker.tests.simulator.running import GatewayProcess
from oms_site.tests.agreement import agree
from oms_site.tests.desk import Desk, copied_data, manage, wait_until
from oms_site.tests.inside import Said, inside, ledger_of, placed, say
from oms_site.tests.programs import Program
from orders.models import Event, OrderRecord, Submission
from orders.tests.factories import a_key

pytestmark = pytest.mark.xdist_group("desk command")

ACCOUNT, OTHER = "DU1000417", "DU1000902"
JPM = 1520593


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


def exchange_orders(desk: Desk) -> list[dict[str, Any]]:
    """The exchange's own record of all orders of the day."""
    told = json.loads(desk.control("orders").removeprefix("ok "))
    return [{**one.pop("request"), **one} for one in told]


def exchange_order(desk: Desk, name: str) -> dict[str, Any]:
    """The exchange's own record of the order that carries this name."""
    [one] = [one for one in exchange_orders(desk) if one["order_ref"] == name]
    return one


def done(said: Said) -> Said:
    assert said.code == 0, said.text
    return said


def refused(said: Said, *words: str) -> None:
    """It ended with 1, and says why."""
    assert said.code == 1, said.text
    for word in words:
        assert word in said.text, said.text


_SIZES = count(5000)


def quote(desk: Desk, symbol: str) -> None:
    """The market of this contract is 100.00 to 100.02 and stays there."""
    size = next(_SIZES)  # another one each time: what stands still is no news, and the command line waits a while for a fresh quote
    told = desk.control(f"quote {symbol} 100.00 100.02 {size} {size}")
    assert told.startswith("ok"), told


# --- placing --------------------------------------------------------------------------------------------------------------------------


def test_a_market_order_is_bought_and_the_position_listed(desk: Desk) -> None:
    said = done(say("buy", "AAPL", "100"))
    assert said.rows[0][1:6] == [ACCOUNT, "AAPL", "BUY", "100", "MKT"] and said.rows[0][-1] == "FILLED"
    told = exchange_order(desk, said.order)
    assert (told["status"], D(told["filled"]), told["account"]) == ("Filled", 100, ACCOUNT)
    wait_until(lambda: [ACCOUNT, "AAPL", "100"] in [row[:3] for row in done(say("positions")).rows], "the position is listed")
    assert say("list").text.strip() == "none" or said.order not in say("list").text
    assert said.order in say("list", "--all").text


@pytest.mark.parametrize(
    ("words", "kind", "status"),
    [
        (["sell", "5", "--limit", "130"], "LMT", "WORKING"),
        (["buy", "5", "--stop", "110"], "STP", "HELD"),
        (["buy", "5", "--stop", "110", "--limit", "111", "--gtc"], "STP LMT", "HELD"),
    ],
)
def test_each_type_of_order_reaches_the_exchange_as_it_was_said(desk: Desk, words: list[str], kind: str, status: str) -> None:
    quote(desk, "INTC")
    verb, *rest = words
    said = done(say(verb, "INTC", *rest))
    told = exchange_order(desk, said.order)
    order = OrderRecord.objects.get(client_order_id=said.order)
    assert (order.status, told["order_type"], told["action"].lower()) == (status, kind, verb)
    assert told["tif"] == ("GTC" if "--gtc" in words else "DAY")
    for option, price in (("--limit", told["limit_price"]), ("--stop", told["aux_price"])):
        assert (D(price) if option in words else None) == (D(words[words.index(option) + 1]) if option in words else None)
    assert said.order in done(say("list")).text
    done(say("cancel", said.order[-8:]))
    assert exchange_order(desk, said.order)["status"] == "Cancelled"
    assert said.order not in say("list").text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--trail", "5", "--gtc"], {"order_type": "TRAIL", "aux_price": "5", "tif": "GTC"}),
        (["--trail-percent", "4", "--stop", "95"], {"order_type": "TRAIL", "trailingPercent": "4"}),
        (["--trail", "5", "--stop", "95", "--limit-offset", "0.2"], {"order_type": "TRAIL LIMIT", "lmtPriceOffset": "0.2"}),
        (["--type", "MIT", "--stop", "120", "--trigger", "last"], {"order_type": "MIT", "triggerMethod": "2"}),
        (["--type", "LIT", "--stop", "120", "--limit", "119.5"], {"order_type": "LIT", "limit_price": "119.5"}),
        (["--type", "LOC", "--limit", "101"], {"order_type": "LOC", "tif": "DAY"}),
        (["--limit", "120", "--good-till", "2099-01-05T15:30"], {"tif": "GTD", "goodTillDate": "20990105-20:30:00"}),
        (["--limit", "120", "--good-after", "2099-01-05T15:30+00:00"], {"goodAfterTime": "20990105-15:30:00"}),
        (["--limit", "120", "--display-size", "2", "--outside-rth"], {"displaySize": "2", "outside_rth": True}),
        (["--limit", "120", "--all-or-none"], {"allOrNone": "1"}),
        (["--limit", "120", "--adaptive", "patient"], {"algoStrategy": "Adaptive"}),
        (["--limit", "120", "--hidden"], {"hidden": "1"}),
    ],
)
def test_every_word_of_a_ticket_reaches_the_exchange(desk: Desk, words: list[str], told: dict[str, Any]) -> None:
    quote(desk, "NFLX")
    said = done(say("sell", "NFLX", "5", *words))
    there = exchange_order(desk, said.order)
    wire = {**there, **there.pop("wire")}
    assert {name: wire[name] for name in told} == told
    done(say("cancel", said.order))


def test_words_that_contradict_each_other_are_refused(desk: Desk) -> None:
    quote(desk, "NFLX")
    refused(say("sell", "NFLX", "5", "--trail", "5", "--trail-percent", "4"), "TICKET", "exclude")
    refused(say("sell", "NFLX", "5", "--limit", "120", "--tif", "GTD"), "TICKET", "Good till")
    refused(say("sell", "NFLX", "5", "--limit", "120", "--gtc", "--tif", "IOC"), "contradict")
    refused(say("sell", "NFLX", "5", "--type", "MOC", "--gtc"), "TICKET", "closing auction")
    refused(say("sell", "NFLX", "5", "--limit", "120", "--good-after", "yesterday"), "is not a time")
    refused(say("sell", "NFLX", "5", "--limit", "120", "--good-till", "2020-01-05T15:30"), "TICKET", "future")


def test_a_bracket_goes_out_whole(desk: Desk) -> None:
    quote(desk, "MSFT")
    said = done(say("bracket", "buy", "MSFT", "10", "--limit", "99", "--target", "110", "--stop", "95"))
    entry, stop, target = (row[0] for row in said.rows)  # what protects goes first
    told = [exchange_order(desk, name) for name in (entry, stop, target)]
    assert [one["order_type"] for one in told] == ["LMT", "STP", "LMT"]
    assert told[1]["parent_id"] == told[2]["parent_id"] == told[0]["order_id"]
    done(say("cancel", entry))
    statuses = wait_until(
        lambda: not OrderRecord.objects.filter(client_order_id__in=[entry, target, stop]).exclude(status="CANCELLED").exists(),
        "the exits went with their entry",
    )
    assert statuses


def test_a_position_is_protected_and_then_closed_exits_first(desk: Desk) -> None:
    quote(desk, "NVDA")
    done(say("buy", "NVDA", "40"))
    wait_until(lambda: "NVDA" in say("positions").text, "the position is known")
    words = ("protect", "NVDA", "--entry", "100", "--stop-loss", "0.05", "--profit-target", "0.10", "--oca-type", "2")
    exits = [row[0] for row in done(say(*words)).rows]
    stop, target = (exchange_order(desk, name) for name in exits)
    assert stop["oca_group"] == target["oca_group"] != "" and {stop["oca_type"], target["oca_type"]} == {2}
    assert (D(stop["aux_price"]), D(target["limit_price"])) == (95, 110)
    said = done(say("close", "NVDA", "--wait", "15"))
    assert said.rows[0][-1] == "FILLED"
    assert [exchange_order(desk, name)["status"] for name in exits] == ["Cancelled", "Cancelled"]
    wait_until(lambda: "NVDA" not in say("positions").text, "the position is gone")
    lines = ledger_of(desk.data / "ledger.jsonl")
    cancelled = [
        n for n, line in enumerate(lines) if line["kind"] == "order" and line["order_ref"] in exits and line["status"] == "Cancelled"
    ]
    [sent] = [n for n, line in enumerate(lines) if line["kind"] == "in" and said.order in line["fields"]]
    assert len(cancelled) == 2 and max(cancelled) < sent


# --- changing and cancelling ----------------------------------------------------------------------------------------------------------


def test_a_change_is_in_force_at_the_exchange(desk: Desk) -> None:
    quote(desk, "AMZN")
    name = done(say("buy", "AMZN", "20", "--limit", "90")).order
    said = done(say("modify", name, "--quantity", "30", "--limit", "91.5"))
    assert said.rows[0][4:7] == ["30", "LMT", "91.5"]
    told = exchange_order(desk, name)
    assert (D(told["quantity"]), D(told["limit_price"]), told["status"]) == (30, D("91.5"), "Submitted")
    assert len(placed(desk.ledger(), name)) == 2  # the order and its one change
    done(say("cancel", name))


def test_cancel_all_takes_every_order_of_the_user_and_no_other(desk: Desk) -> None:
    for symbol in ("TSLA", "AMD"):
        quote(desk, symbol)
    mine = [done(say("buy", symbol, "5", "--limit", "90")).order for symbol in ("TSLA", "AMD")]
    theirs = done(say("buy", "TSLA", "5", "--limit", "90", user="trader2")).order
    said = done(say("cancel-all"))
    assert set(mine) <= {row[0] for row in said.rows} and theirs not in said.text
    assert {exchange_order(desk, name)["status"] for name in mine} == {"Cancelled"}
    assert exchange_order(desk, theirs)["status"] == "Submitted"
    done(say("cancel-all", "--account", OTHER, user="trader2"))
    assert exchange_order(desk, theirs)["status"] == "Cancelled"


# --- the same request twice -----------------------------------------------------------------------------------------------------------


def test_the_same_key_twice_is_one_order(desk: Desk) -> None:
    quote(desk, "META")
    key = a_key()
    first = done(say("buy", "META", "7", "--limit", "90", "--key", key))
    second = done(say("buy", "META", "7", "--limit", "90", "--key", key))
    assert first.order == second.order
    assert len(placed(desk.ledger(), first.order)) == 1
    refused(say("buy", "META", "8", "--limit", "90", "--key", key), "KEY_REUSED")
    cancel = a_key()
    done(say("cancel", first.order, "--key", cancel))
    done(say("cancel", first.order, "--key", cancel))  # it is gone, and the answer is still the same
    number = str(exchange_order(desk, first.order)["order_id"])
    cancels = [line for line in desk.ledger() if line["kind"] == "in" and line["message"] == "cancelOrder" and number in line["fields"]]
    assert len(cancels) == 1


def test_a_second_order_like_the_first_must_be_meant(desk: Desk) -> None:
    quote(desk, "GOOGL")
    first = done(say("buy", "GOOGL", "3", "--limit", "90")).order
    refused(say("buy", "GOOGL", "3", "--limit", "90"), "DUPLICATE_SECONDS")
    second = done(say("buy", "GOOGL", "3", "--limit", "90", "--again")).order
    assert first != second and exchange_order(desk, second)["status"] == "Submitted"
    done(say("cancel", first))
    done(say("cancel", second))


# --- refusals -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "user", "code"),
    [
        (("buy", "JPM", "10", "--limit", "90", "--account", ACCOUNT), "viewer1", "NO_PERMISSION"),
        (("buy", "JPM", "10", "--limit", "90", "--account", OTHER), "trader1", "NO_PERMISSION"),
        (("buy", "JPM", "10", "--limit", "90.001"), "trader1", "TICK"),
        (("buy", "JPM", "0", "--limit", "90"), "trader1", "TICKET"),
        (("buy", "JPM", "1000000000", "--limit", "90"), "trader1", "MAX_"),
        (("close", "JPM"), "trader1", "NO_POSITION"),
        (("protect", "JPM"), "trader1", "NO_POSITION"),
        (("bracket", "buy", "JPM", "10", "--limit", "99", "--target", "95", "--stop", "90"), "trader1", "TICKET"),
    ],
)
def test_what_is_refused_is_told_by_its_rule_and_leaves_no_order(desk: Desk, words: tuple[str, ...], user: str, code: str) -> None:
    quote(desk, "JPM")
    before = OrderRecord.objects.count()
    refused(say(*words, user=user), "Refused (", code)
    assert OrderRecord.objects.count() == before
    event = Event.objects.filter(kind="order.refused").latest("seq")
    assert event.actor is not None and event.actor.username == user  # the refusal itself is on record
    assert all(one["con_id"] != JPM for one in exchange_orders(desk))


def test_an_order_the_broker_refuses_ends_with_1_and_the_brokers_words(desk: Desk) -> None:
    quote(desk, "KO")
    assert desk.control("reject-next 201 'Order rejected - reason:Margin'").startswith("ok")
    said = say("buy", "KO", "10", "--limit", "90")
    refused(said, "REJECTED", "Refused (201)", "Margin")
    assert [one for one in exchange_orders(desk) if one["order_ref"] == said.order and one["status"] != "Inactive"] == []


def test_a_change_the_broker_refuses_ends_with_1_and_leaves_the_order(desk: Desk) -> None:
    quote(desk, "PEP")
    name = done(say("buy", "PEP", "10", "--limit", "90")).order
    assert desk.control("reject-next 201 'Order rejected - reason:Margin'").startswith("ok")
    refused(say("modify", name, "--limit", "91"), "Refused (201)", "Margin")
    assert D(exchange_order(desk, name)["limit_price"]) == 90
    refused(say("modify", name), "NOTHING_CHANGES")
    done(say("cancel", name))
    refused(say("cancel", name), "NOT_OPEN")
    refused(say("modify", name, "--limit", "92"), "NOT_OPEN")


def test_a_stranger_can_neither_see_nor_touch_an_order(desk: Desk) -> None:
    quote(desk, "WMT")
    name = done(say("buy", "WMT", "10", "--limit", "90")).order
    assert name not in say("list", user="trader2").text
    refused(say("cancel", name, user="trader2"), "no open order")
    assert name in say("list", user="viewer1").text
    refused(say("cancel", name, user="viewer1"), "NO_PERMISSION")
    assert exchange_order(desk, name)["status"] == "Submitted"
    done(say("cancel", name))


def test_what_is_not_known_is_told_in_words(desk: Desk) -> None:
    submissions = Submission.objects.count()
    refused(say("list", user="nobody"), "--user nobody", "no active user")
    refused(say("list", "--account", "DU0000000"), "--account DU0000000")
    refused(say("list", "--account", ACCOUNT, user="trader2"), f"--account {ACCOUNT}")
    refused(say("buy", "NOSUCH", "10"), "NOSUCH")
    refused(say("cancel", "ZZZZZZZZ"), "no open order")
    refused(say("buy", "AAPL", "10", user="viewer1"), "--account is needed", "no account")
    refused(say("buy", "AAPL", "ten"), "ten is not a number")
    refused(say("buy", "AAPL", "NaN"), "NaN is not a number")
    assert Submission.objects.count() == submissions


# --- processes ------------------------------------------------------------------------------------------------------------------------


def test_the_exit_code_says_how_it_ended(desk: Desk) -> None:
    quote(desk, "DIS")
    right = ("buy", "DIS", "10", "--limit", "90", "--user", "trader1")
    forbidden = (*right[:-1], "viewer1", "--account", ACCOUNT)
    with ThreadPoolExecutor() as several:
        done, refused, wrong = several.map(lambda words: manage(desk.data, "desk", *words), (right, forbidden, right[:2]))
    assert done.returncode == 0 and "WORKING" in done.stdout, done.stderr
    assert refused.returncode == 1 and "Refused (NO_PERMISSION)" in refused.stderr
    assert wrong.returncode == 2 and "quantity" in wrong.stderr
    assert "Traceback" not in refused.stderr + wrong.stderr
    assert say("cancel", done.stdout.splitlines()[1].split()[0]).code == 0


def test_an_incident_is_listed_taken_and_closed_with_an_explanation(desk: Desk) -> None:
    """A fill that comes after the cancel was confirmed."""
    quote(desk, "QQQ")
    order = done(say("buy", "QQQ", "10", "--limit", "90")).order
    done(say("cancel", order))
    assert desk.control(f"fill {order} 4 90").startswith("ok")

    def listed() -> list[list[str]]:
        return [row for row in done(say("incidents")).rows if order in " ".join(row)]

    [row] = wait_until(listed, "the late fill is an incident")
    assert ACCOUNT in row and "trader1" not in row
    assert "trader1 looks after it" in done(say("take-incident", row[0])).text
    assert "trader1" in listed()[0]
    refused(say("close-incident", row[0], "--reason", " "), "REASON")
    assert "closed" in done(say("close-incident", row[0], "--reason", "filled while the cancel was under way")).text
    assert listed() == []
    refused(say("close-incident", row[0], "--reason", "again"), "NOT_OPEN")
    refused(say("take-incident", "999999"), "no such incident")


def test_it_works_while_the_web_is_down_and_waits_visibly_while_the_worker_is(
    desk_template: Path, tmp_path: Path, django_db_blocker: Any
) -> None:
    """A gateway and a worker, and no web process: the command line is the way in. Then no worker either."""
    data, ledger = copied_data(desk_template, tmp_path / "data"), tmp_path / "ledger.jsonl"
    with GatewayProcess(ledger=ledger) as gateway:
        worker = Program.manage("runworker", "broker", data=data, settings={"IBKR_HOST": "127.0.0.1", "IBKR_PORT": str(gateway.port)})
        with worker.start(": READY"), django_db_blocker.unblock(), inside(data):
            said = done(say("buy", "AAPL", "10"))
            assert said.rows[0][-1] == "FILLED" and len(placed(ledger_of(ledger), said.order)) == 1
            assert worker.stop() == 0, worker.log
            waiting = done(say("buy", "AAPL", "12", "--limit", "200", "--wait", "0.2"))
            assert "did not come" in waiting.text and "PENDING" in waiting.text
            name = OrderRecord.objects.latest("pk").client_order_id
            taken_back = done(say("cancel", name, "--wait", "0.2"))
            assert "CANCELLED" in taken_back.text and placed(ledger_of(ledger), name) == []
