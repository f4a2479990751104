"""The gate on a book: what it reads for a unit, how much of each limit is used and whose it is, and that it is the only way to the wire."""

from __future__ import annotations

import ast
from datetime import timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import checks, grounds
from orders.checks import Draft
from orders.errors import Refused
from orders.manager import OrderManager
from orders.models import AccountValue, BrokerCommand, InstrumentRule, OcaGroup, OrderRecord
from orders.rules.limits import Rule
from orders.rules.terms import OrderTerms, OrderType, Role, Side, TimeInForce
from orders.tests.desk_of_one import Desk, Wire
from orders.tests.factories import (
    NOW,
    a_key,
    make_account,
    make_contract,
    make_limit,
    make_position,
    make_quote,
    make_trader,
    make_user,
    make_values,
)

pytestmark = pytest.mark.django_db


def draft(desk: Desk, side: Side = Side.BUY, quantity: str = "100", **more: Any) -> Draft:
    """A new order that was not asked for yet."""
    terms = OrderTerms(side, OrderType.LIMIT, D(quantity), limit_price=D("99.50"), **more)
    order = OrderRecord(
        account=desk.account, contract=desk.contract, role=Role.SINGLE, created_by=desk.user, unit_id="u", created_at=desk.now
    )
    return Draft(order, terms)


def used(desk: Desk, *drafts: Draft, **more: Any) -> dict[str, checks.Usage]:
    return {line.rule: line for line in checks.usage(drafts, desk.user, desk.now, **more)}


# --- usage ------------------------------------------------------------------------------------------------------------------------------


def test_usage_says_limit_actual_share_and_whose_it_is() -> None:
    desk = Desk()
    make_limit("MAX_QUANTITY", "400", account=desk.account)
    make_limit("MAX_NOTIONAL", "19900", user=desk.user)
    make_limit("MAX_POSITION", "1000")
    lines = used(desk, draft(desk))
    line = lines["MAX_QUANTITY"]
    assert (line.label, line.limit, line.actual, line.unit, line.share) == ("Order quantity", D(400), D(100), "units", D("0.25"))
    scopes = {rule: lines[rule].scope for rule in ("MAX_QUANTITY", "MAX_NOTIONAL", "MAX_POSITION", "GROSS_EXPOSURE")}
    assert scopes == {"MAX_QUANTITY": "account", "MAX_NOTIONAL": "user", "MAX_POSITION": "desk", "GROSS_EXPOSURE": "default"}
    assert lines["MAX_NOTIONAL"].share == D("0.5")
    assert lines["GROSS_EXPOSURE"].actual == D("0.001")
    assert not any(one.broken for one in lines.values())


def test_usage_tells_what_would_be_refused_and_what_is_not_known() -> None:
    desk = Desk()
    make_values(desk.account, net=None)
    lines = used(desk, draft(desk, quantity="20000"))
    assert lines["MAX_QUANTITY"].share == 2 and lines["MAX_QUANTITY"].broken
    assert (lines["GROSS_EXPOSURE"].actual, lines["GROSS_EXPOSURE"].share) == (None, None)
    assert lines["GROSS_EXPOSURE"].broken


def test_of_several_orders_the_one_that_uses_most_is_told() -> None:
    desk = Desk()
    assert used(desk, draft(desk), draft(desk, quantity="250"))["MAX_QUANTITY"].actual == 250


def test_usage_without_an_order_is_how_things_stand() -> None:
    wire = Wire()
    wire.sent(*wire.bracket())
    wire.sent(wire.sell("10"))
    make_position(wire.account, wire.contract, "50000")
    make_values(wire.account, pnl="-150000", net="9850000")
    lines = used(wire, account=wire.account)
    assert (lines["DAILY_LOSS_REDUCE"].actual, lines["DAILY_LOSS_REDUCE"].share) == (D("0.015"), D("0.5"))
    assert lines["MAX_USER_ORDERS"].actual == 4
    assert lines["ORDER_RATE"].actual == 4
    assert lines["ORDER_RATIO"].actual == 4
    assert lines["GROSS_EXPOSURE"].actual == D(50100) * 100 / 9_850_000
    assert lines["TRADING_STATE"].share == 0
    assert "MAX_QUANTITY" not in lines
    make_limit("TRADING_STATE", "1", account=wire.account)
    assert used(wire, account=wire.account)["TRADING_STATE"].share == 1


def test_warnings_are_told_and_refuse_nothing() -> None:
    desk = Desk()
    desk.contract.liquid_hours = "20260302:1200-20260302:1600"
    desk.contract.save()
    market = draft(desk, time_in_force=TimeInForce.IOC)
    assert checks.warnings([market], desk.user, desk.now) == ["The market is closed: an IOC order would be cancelled at once."]
    assert checks.warnings([draft(desk)], desk.user, desk.now) == []


# --- what it reads ----------------------------------------------------------------------------------------------------------------------


def test_a_unit_is_read_in_a_few_queries_whatever_its_size() -> None:
    wire = Wire()
    wire.sent(*wire.bracket())
    counts = []
    for drafts in ([draft(wire)], [draft(wire), draft(wire), draft(wire)]):
        with CaptureQueriesContext(connection) as captured:
            checks.usage(drafts, wire.user, wire.now)
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 15


def test_what_other_contracts_hold_counts_at_their_price_and_rate() -> None:
    desk = Desk()
    other = make_contract("SAP", currency="EUR")
    make_position(desk.account, other, "1000", "90")
    assert used(desk, account=desk.account)["GROSS_EXPOSURE"].actual == D("1000") * 90 * D("1.1") / 10_000_000  # never quoted: its cost
    make_quote(other, "109", "111", "110")
    assert used(desk, account=desk.account)["GROSS_EXPOSURE"].actual == D("1000") * 110 * D("1.1") / 10_000_000
    AccountValue.objects.filter(currency="EUR").delete()
    make_limit("MAX_NOTIONAL", "1000000")
    with pytest.raises(Refused) as refused:
        desk.buy()
    assert refused.value.code == "GROSS_EXPOSURE" and "SAP" in refused.value.message


def test_the_other_accounts_of_the_desk_count_for_the_user_and_on_the_other_side() -> None:
    desk = Desk()
    second = make_account()
    stranger = OrderManager(make_trader(second), clock=lambda: NOW)
    stranger.place_limit_order(second, desk.contract, Side.SELL, D(5), D("99.40"), key=a_key())
    with pytest.raises(Refused) as refused:
        desk.buy()
    assert refused.value.code == "SELF_CROSS" and refused.value.field == "limit_price"
    make_limit("MAX_USER_ORDERS", "1", user=desk.user)
    desk.buy(price="99.30")  # the stranger's are not the user's


def test_values_that_are_old_are_not_known() -> None:
    desk = Desk()
    desk.now = NOW + timedelta(seconds=601)
    make_quote(desk.contract, at=desk.now)
    with pytest.raises(Refused) as refused:
        desk.buy()
    assert "net liquidation" in refused.value.message
    make_values(desk.account, at=desk.now)
    desk.buy()


def test_a_day_without_a_word_of_the_broker_is_worth_what_the_account_shows() -> None:
    desk = Desk()
    make_values(desk.account, pnl=None)
    money = lambda: grounds.Money(desk.account, desk.now, grounds.limits_for(desk.account, desk.user))  # noqa: E731
    assert money().daily_pnl is None
    desk.account.positions_known_at = NOW
    assert money().daily_pnl == 0  # nothing is held, nothing was traded
    make_position(desk.account, desk.contract)
    assert money().daily_pnl is None
    desk.account.days.create(date=NOW.date(), net_liquidation=D(10_100_000), at=NOW)
    assert money().daily_pnl == -100_000
    make_values(desk.account, pnl="-5", at=NOW - timedelta(days=1))
    make_values(desk.account, pnl=None)
    AccountValue.objects.create(account=desk.account, name="DailyPnL", value="-5", at=NOW - timedelta(days=1))
    assert money().daily_pnl == -100_000  # yesterday's figure is not today's
    desk.account.time_zone = "Nowhere/Land"
    assert money().daily_pnl is None


def test_what_cannot_be_read_blocks_and_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    order = wire.buy()

    def fail(*_: Any) -> None:
        raise KeyError("a fault in reading")

    monkeypatch.setattr(grounds.Grounds, "rest", property(fail))
    with pytest.raises(Refused) as refused:
        wire.buy()
    assert refused.value.code == "RULE_FAILED"
    assert wire.claim() == []
    order.refresh_from_db()
    assert order.status_code == "RULE_FAILED"
    assert "a fault in reading" in caplog.text


# --- instruments, families, states ------------------------------------------------------------------------------------------------------


def test_a_restricted_instrument_can_be_closed_and_not_bought() -> None:
    wire = Wire()
    waiting = wire.buy()
    InstrumentRule.objects.create(kind="restricted", scope="user", user=wire.user, symbol="AAPL", note="On the watch list.")
    InstrumentRule.objects.create(kind="restricted", scope="user", user=make_user(), symbol="MSFT")
    with pytest.raises(Refused) as refused:
        wire.buy()
    assert refused.value.code == "INSTRUMENT_RESTRICTED" and "On the watch list" in refused.value.message
    assert wire.claim() == []
    waiting.refresh_from_db()
    assert waiting.status_code == "INSTRUMENT_RESTRICTED"
    make_position(wire.account, wire.contract, "100")
    wire.protect()
    wire.manager.close_position(wire.account, wire.contract, key=a_key())


def pairs(wire: Wire, *quantities: str, parent: OrderRecord | None = None) -> list[Draft]:
    """Exits in pairs, a stop and a target each."""
    found = []
    for number, quantity in enumerate(quantities, 1):
        for role, kind, price in ((Role.STOP_LOSS, OrderType.STOP, "97"), (Role.TAKE_PROFIT, OrderType.LIMIT, "107")):
            name = "stop_price" if kind is OrderType.STOP else "limit_price"
            terms = OrderTerms(Side.SELL, kind, D(quantity), **{name: D(price)})
            order = OrderRecord(
                account=wire.account,
                contract=wire.contract,
                role=role.value,
                parent=parent,
                created_by=wire.user,
                unit_id="u",
                created_at=wire.now,
            )
            found.append(Draft(order, terms, pair=number))
    return found


def broken(wire: Wire, drafts: list[Draft]) -> list[str]:
    return [line.rule for line in checks.usage(drafts, wire.user, wire.now) if line.broken] + [
        str(reading.code) for _, reading in _readings(wire, drafts) if reading.broken
    ]


def _readings(wire: Wire, drafts: list[Draft]) -> Any:
    asked = checks.Asked(tuple(drafts))
    return checks._readings(checks._grounds(asked, wire.user, wire.now, "simulated"), asked)


def test_pairs_of_exits_add_up_to_the_position_and_no_more() -> None:
    wire = Wire()
    make_position(wire.account, wire.contract, "100")
    assert broken(wire, pairs(wire, "60", "40")) == []
    assert set(broken(wire, pairs(wire, "60", "41"))) >= {"EXCEEDS_POSITION"}


def test_pairs_of_an_entry_add_up_to_the_entry_and_no_more() -> None:
    wire = Wire()
    entry = draft(wire)
    assert broken(wire, [entry, *pairs(wire, "60", "40", parent=entry.order)]) == []
    assert "EXCEEDS_POSITION" in broken(wire, [entry, *pairs(wire, "60", "41", parent=entry.order)])


def test_of_pairs_in_the_book_each_counts_once() -> None:
    """An entry that has filled, with two pairs of exits: one of them cannot grow into what the other one closes."""
    wire = Wire()
    [entry] = wire.sent(wire.buy("100"))
    wire.fill(entry, "100")
    make_position(wire.account, wire.contract, "100")
    orders = []
    for number, quantity in enumerate(("60", "60", "40", "40")):
        group, _ = OcaGroup.objects.get_or_create(name=f"pair {quantity}", oca_type=1)
        price = {"stop_price": D(97)} if number % 2 == 0 else {"limit_price": D(107)}
        orders.append(
            OrderRecord.objects.create(
                client_order_id=f"pair-{number}", account=wire.account, contract=wire.contract, side="SELL", quantity=D(quantity),
                order_type="STP" if number % 2 == 0 else "LMT", time_in_force="GTC", unit_id="u", parent=entry, oca_group=group,
                role=(Role.STOP_LOSS if number % 2 == 0 else Role.TAKE_PROFIT).value, status="HELD", created_by=wire.user,
                created_at=wire.now, **price,
            )
        )  # fmt: skip
    stop = orders[0]
    same, more = (
        Draft(stop, OrderTerms(Side.SELL, OrderType.STOP, D(quantity), stop_price=D(96)), is_change=True) for quantity in ("60", "61")
    )
    assert broken(wire, [same]) == []
    assert "EXCEEDS_POSITION" in broken(wire, [more])
    with pytest.raises(Refused) as refused:
        wire.sell("1", "110", time_in_force="GTC") and wire.protect(quantity=D(1))
    assert refused.value.code == "EXCEEDS_POSITION"


def test_a_bracket_may_be_moved_to_where_it_risks_no_more() -> None:
    """Its stop is 2.50 below the entry: 250 for a hundred, which is all that is allowed."""
    wire = Wire()
    entry, target, stop = wire.sent(*wire.bracket())
    make_limit("RISK_PER_TRADE", "0.000025", account=wire.account)
    for order, change in ((stop, {"stop_price": D("96.99")}), (entry, {"limit_price": D("99.51")})):
        with pytest.raises(Refused) as refused:
            wire.manager.modify_order(order, key=a_key(), **change)
        assert refused.value.code == "RISK_PER_TRADE"
    wire.manager.modify_order(target, key=a_key(), limit_price=D("108"))
    wire.manager.modify_order(stop, key=a_key(), stop_price=D("97.10"))
    wire.manager.modify_order(entry, key=a_key(), limit_price=D("99.60"))  # the stop that is asked for counts
    assert len(wire.claim()) == 3


# --- no other door ----------------------------------------------------------------------------------------------------------------------

ROOT = Path(settings.BASE_DIR)
FRAMES = {"Unit", "PlaceOrder", "ModifyOrder"}


def modules() -> dict[str, ast.Module]:
    """Every module of the desk itself, tests, tools and migrations left out."""
    found = {}
    for top in ("orders", "broker", "oms_site"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if not {"tests", "migrations", "simulator"} & set(parts) and parts[:2] not in {
                ("oms_site", "simulation"),
                ("oms_site", "faults"),
            }:
                found[".".join(parts)] = ast.parse(path.read_text())
    return found


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def taken_from_commands(tree: ast.Module) -> set[str]:
    """What the module imports of the frames' module, under the name that it has there: nobody renames them, or reaches for the whole."""
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "orders.rules.commands"]
    assert not any(alias.asname for node in froms for alias in node.names)
    whole = [
        alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names if alias.name == "orders.rules.commands"
    ]
    assert not whole
    return {alias.name for node in froms for alias in node.names}


def calls(node: ast.AST) -> set[str]:
    """The last names of what is called inside."""
    return {ast.unparse(one.func).rpartition(".")[2] for one in ast.walk(node) if isinstance(one, ast.Call)}


def test_only_the_claim_makes_units_and_only_its_frames_make_orders() -> None:
    made = {(module, name) for module, tree in modules().items() for name in calls(tree) & FRAMES & taken_from_commands(tree)}
    assert made == {("orders.outbox.claim", "Unit"), ("orders.outbox.frames", "PlaceOrder"), ("orders.outbox.frames", "ModifyOrder")}
    users = {module for module, tree in modules().items() if calls(tree) & {"place_frame", "modify_frame"}}
    assert users == {"orders.outbox.claim"}


def test_every_way_to_a_frame_of_the_claim_passes_the_gate() -> None:
    found = functions(modules()["orders.outbox.claim"])
    makers = {name for name, node in found.items() if calls(node) & {"place_frame", "modify_frame"}}
    assert makers == {"_place", "_change"}

    def passes(name: str) -> bool:
        own = calls(found[name])
        return "breaches" in own or any(passes(other) for other in own & found.keys() - {name})

    for name in makers:
        node = found[name]
        checked = [one.lineno for one in ast.walk(node) if isinstance(one, ast.Call) and _checks(one, found, passes)]
        framed = [one.lineno for one in ast.walk(node) if isinstance(one, ast.Call) and calls(one) & {"place_frame", "modify_frame"}]
        assert checked and framed and max(checked) < min(framed), name
        refusals = [one for one in ast.walk(node) if isinstance(one, ast.If) and ast.unparse(one.test) == "breach is not None"]
        assert refusals and all(isinstance(one.body[-1], ast.Return) for one in refusals), name


def _checks(call: ast.Call, found: dict[str, Any], passes: Any) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    return name in found and passes(name)


def writers_of_places(module: str, tree: ast.Module) -> set[str]:
    """What puts a PLACE into the book, as the module calls it."""
    writing = {"write", "write_unit"}
    if module == "orders.manager.placing":
        return writing
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    taken = {
        alias.asname or alias.name
        for node in froms
        if node.module == "orders.manager.placing"
        for alias in node.names
        if alias.name in writing
    }
    whole = {
        alias.asname or alias.name for node in froms if node.module == "orders.manager" for alias in node.names if alias.name == "placing"
    }
    return taken | {f"{name}.{verb}" for name in whole for verb in writing}


WRITERS = {
    # who writes a PLACE or a MODIFY, and the check that comes before in the same module
    "orders.manager.placing": {"PLACE"},
    "orders.manager.changing": {"MODIFY", "CANCEL"},
}


def test_only_the_manager_writes_commands_and_asks_the_gate_before() -> None:
    written: dict[str, set[str]] = {}
    for module, tree in modules().items():
        for call in (one for one in ast.walk(tree) if isinstance(one, ast.Call) and ast.unparse(one.func) == "BrokerCommand"):
            kind = next(ast.unparse(one.value) for one in call.keywords if one.arg == "kind")
            written.setdefault(module, set()).add(kind.split(".")[1])
    assert written.pop("orders.recovery", {"CANCEL"}) == {"CANCEL"}
    assert written == WRITERS, written
    creating = [
        f"{module}: {ast.unparse(one)[:60]}"
        for module, tree in modules().items()
        for one in ast.walk(tree)
        if isinstance(one, ast.Call) and ast.unparse(one.func) in {"BrokerCommand.objects.create", "BrokerCommand.objects.bulk_create"}
    ]
    assert creating == []


def test_every_verb_that_writes_a_place_has_judged_it() -> None:
    """`write` and `write_unit` put PLACE commands into the book: each function that calls one has asked the gate before."""
    gates = {"check_unit", "breaches", "_check", "place_unit"}
    seen = []
    for module, tree in modules().items():
        writes = writers_of_places(module, tree)
        for name, node in functions(tree).items():
            lines = {one.lineno: ast.unparse(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
            written = [line for line, called in lines.items() if called in writes]
            if not written or name == "write_unit":
                continue
            asked = [line for line, called in lines.items() if called.rpartition(".")[2] in gates]
            assert asked and min(asked) < min(written), f"{module}.{name}"
            seen.append(module)
    assert {"orders.manager.placing", "orders.manager.closing"} <= set(seen)
    assert "breaches" in calls(functions(modules()["orders.manager.placing"])["check_unit"])


def test_the_codes_of_the_rules_are_their_names() -> None:
    assert all(rule.value == rule.name for rule in Rule)
    assert BrokerCommand.objects.count() == 0
