"""Orders of others and of nobody, names that are mixed up, both legs of a pair filled: whose it is is never guessed, and never hidden."""

from __future__ import annotations

import asyncio
import dataclasses
from decimal import Decimal as D
from typing import Any

import pytest

from broker.simulator.messages import answers as say
from broker.simulator.messages.order_frames import CompletedOrder, OpenOrder
from broker.simulator.scenario import Scenario
from broker.tests.anomalies import a_fill, a_working_limit, execution, fresh, incidents, leap, name_of, say_to
from broker.tests.running import Desk
from broker.tests.simulator.raw import RawClient, cancel_order, place_order
from orders.exposure import may_trade, open_orders
from orders.models import Account, BrokerId, Event, Execution, Incident, Limit, OrderRecord, Position
from orders.rules.limits import REDUCE_ONLY
from orders.rules.terms import Side

pytestmark = pytest.mark.django_db


@dataclasses.dataclass
class Insert(Scenario):
    """Puts an answer of a test's own before the end of the completed orders."""

    name = "insert"
    answer: Any

    def outgoing(self, session: Any, answers: list[Any], *now: Any) -> list[Any]:
        ends = [number for number, answer in enumerate(answers) if isinstance(answer, say.CompletedOrdersEnd)]
        return [*answers[: ends[0]], self.answer, *answers[ends[0] :]] if ends else answers


def opened(desk: Desk, order: OrderRecord, perm_id: int = 0, **changes: Any) -> OpenOrder:
    """The openOrder of an order of ours as the exchange has it, with fields of the request changed."""
    [state] = [one for one in desk.gateway.exchange.open_orders() if one.request.order_ref == order.client_order_id]
    instrument = desk.gateway.exchange.instruments[changes.get("con_id", state.request.con_id)]
    state = dataclasses.replace(state, perm_id=perm_id or state.perm_id, request=dataclasses.replace(state.request, **changes))
    return OpenOrder(state, instrument)


async def seen(desk: Desk) -> OrderRecord:
    """Waits until the exchange has the other client's order, and gives it as the next check shows it."""
    while not desk.gateway.exchange.open_orders():
        await asyncio.sleep(0)
    await leap(desk, 11)
    return await desk.until(lambda: OrderRecord.objects.select_related("account", "contract").filter(is_external=True).first())


async def test_an_order_of_another_client_is_shown_counts_and_is_followed_to_its_end(desk: Desk) -> None:
    """C31: seen by the next check, at most ten seconds later; it counts, can be adopted, is changed and cancelled elsewhere."""
    other = await RawClient.connect(desk.gateway.port, client_id=3, highest=178)
    other.send(*place_order(178, 5, limit="200.0", ref="elsewhere"))
    row = await seen(desk)
    assert (row.client_order_id, row.status, row.quantity, row.created_by, row.note) == (
        f"ext-{(await desk.do(lambda: row.broker_ids.get())).perm_id}", "WORKING", 100, None, "elsewhere",
    )  # fmt: skip
    assert await desk.do(lambda: may_trade(open_orders(row.account, row.contract, Side.BUY))) == 100
    await desk.act("adopt_order", row)
    other.send(*place_order(178, 5, limit="201.0", quantity=80, ref="elsewhere"))
    await other.until(lambda fields: fields[0] == "5" and fields[16].startswith("201"))
    await leap(desk, 11)
    await desk.until(lambda: OrderRecord.objects.filter(pk=row.pk, limit_price=D(201), quantity=80).exists())
    other.send(*cancel_order(178, 5))
    await other.until(lambda fields: fields[0] == "3" and "Cancelled" in fields)
    await leap(desk, 11)
    ended = await desk.order_is(row, "CANCELLED")
    assert ended.created_by_id == desk.manager.actor.pk
    other.close()


async def test_an_order_of_another_client_that_fills_between_two_checks_is_filled(desk: Desk) -> None:
    """C31, I4: it worked, and was gone at the next check; the other lists say that it filled, and its executions are its own."""
    other = await RawClient.connect(desk.gateway.port, client_id=3, highest=178)
    other.send(*place_order(178, 5, limit="200.0"))
    row = await seen(desk)
    await desk.command("quote AAPL 199.00 199.10")
    await leap(desk, 11)
    await desk.order_is(row, "FILLED")
    assert await desk.do(lambda: Execution.objects.get().order_id) == row.pk
    other.close()


async def test_an_order_of_ours_that_is_changed_elsewhere_shows_the_new_terms_and_who_changed_it(desk: Desk) -> None:
    """C32: changed, then cancelled, by hand in TWS; the events say that it was the broker's side, and that nobody here had asked."""
    order = await a_working_limit(desk)
    say_to(desk.gateway, opened(desk, order, quantity=D(50), limit_price=D("199.5")))
    await desk.until(lambda: OrderRecord.objects.filter(pk=order.pk, quantity=50, limit_price=D("199.5")).exists())
    event = await desk.do(lambda: Event.objects.filter(order=order, kind="order.terms").get())
    assert (event.source, event.actor, "not from here" in event.text) == ("broker", None, True)
    name = await name_of(desk, order)
    say_to(desk.gateway, say.OrderStatus(name.ib_order_id, "Cancelled", D(0), D(50), D(0), name.perm_id, 0, D(0), 17, ""))
    await desk.order_is(order, "CANCELLED")
    event = await desk.do(lambda: Event.objects.filter(order=order, kind="order.cancelled").get())
    assert "nobody had asked for it here" in event.text


async def test_what_names_an_account_that_is_not_ours_is_kept_from_everybody(desk: Desk) -> None:
    """C35: an execution, an order and a position of a stranger's account: told to administrators, in no account's books."""
    order = await a_working_limit(desk)
    stranger = await a_fill(desk, order, account="U7654321", order_ref="theirs", perm_id=4711, order_id=0, client_id=9)
    say_to(
        desk.gateway,
        execution(desk.gateway, stranger),
        opened(desk, order, perm_id=4712, account="U7654321", order_ref="theirs", order_id=0),
    )
    await desk.until(lambda: Incident.objects.filter(kind="foreign_account").count() == 2)
    assert (
        await desk.do(lambda: list(Incident.objects.filter(kind="foreign_account").values_list("account", "order"))) == [(None, None)] * 2
    )
    assert not await desk.do(Execution.objects.exists)
    assert not await desk.do(lambda: Account.objects.filter(code="U7654321").exists())
    assert (await fresh(desk, order)).filled_quantity == 0


async def test_both_legs_of_a_pair_filling_is_told_at_once_and_nothing_is_traded_for_it(desk: Desk) -> None:
    """C23: both are counted, a person hears of it, no counter-order goes out."""
    await desk.order_is(await desk.place(quantity="100"), "FILLED")
    await desk.until(lambda: Position.objects.filter(contract=desk.contract, quantity=100).exists())
    stop, target = await desk.act("place_oca_group", desk.account, desk.contract)
    await desk.order_is(stop, "HELD")
    await desk.order_is(target, "WORKING")
    before = len(await desk.broker_orders())
    say_to(desk.gateway, *[execution(desk.gateway, await a_fill(desk, leg, f"both.{leg.pk}.01", "100")) for leg in (stop, target)])
    await desk.until(lambda: Incident.objects.filter(kind="exits_overfilled").exists(), seconds=2)
    for leg in (stop, target):
        assert (await desk.order_is(leg, "FILLED")).filled_quantity == 100
    assert len(await desk.broker_orders()) == before


async def test_two_orders_whose_ids_are_mixed_up_keep_their_own_fills(desk: Desk) -> None:
    """I13: the order ids of two of ours are swapped in what the broker says; the name that we gave decides, and a person hears of it."""
    one, two = await a_working_limit(desk, "200.00"), await a_working_limit(desk, "201.00", quantity="50")
    names = [await name_of(desk, order) for order in (one, two)]
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, one, "swap.1.01", "30", order_id=names[1].ib_order_id)))
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, two, "swap.2.01", "50", order_id=names[0].ib_order_id)))
    await desk.order_is(two, "FILLED")
    await desk.until(lambda: OrderRecord.objects.get(pk=one.pk).filled_quantity == 30)
    assert {"order_id_reused"} == {*await incidents(desk, one), *await incidents(desk, two)}


async def test_a_second_life_under_our_name_is_shown_and_the_account_only_reduces(desk: Desk) -> None:
    """B12: an openOrder of ours with another perm id, and one that another client sent in our name: two work, both may fill."""
    order = await a_working_limit(desk)
    say_to(desk.gateway, opened(desk, order, perm_id=999_001, client_id=3, order_id=12))
    await desk.until(lambda: Incident.objects.filter(order=order, kind="two_working").exists())
    state = await desk.do(lambda: Limit.objects.get(account=desk.account, rule="TRADING_STATE").value)
    assert state == REDUCE_ONLY
    assert await desk.do(lambda: BrokerId.objects.filter(order=order).exclude(perm_id=None).count()) == 2


async def test_perm_ids_that_are_absent_or_used_again_do_not_mix_orders_up(desk: Desk) -> None:
    """I13: perm id 0; then a new order under the perm id of one that has ended: fills go by our name, and a person hears of it."""
    ended = await desk.order_is(await desk.place(quantity="10"), "FILLED")
    old = await desk.do(lambda: BrokerId.objects.get(order=ended))
    order = await a_working_limit(desk)
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "perm.0.01", "1", perm_id=0)))
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "perm.1.01", "2", perm_id=old.perm_id)))
    say_to(desk.gateway, opened(desk, order, perm_id=old.perm_id))
    await desk.until(lambda: OrderRecord.objects.get(pk=order.pk).filled_quantity == 3)
    assert (await fresh(desk, ended)).filled_quantity == 10
    await desk.until(lambda: Incident.objects.filter(order=order, kind="perm_id_taken").exists())
    assert await desk.do(lambda: BrokerId.objects.get(perm_id=old.perm_id).order_id) == ended.pk


async def test_a_fill_that_cannot_be_the_orders_is_not_its_own(desk: Desk) -> None:
    """I13: our name on another contract, another side, another account of ours; a price below zero or a part of a share is no doubt."""
    order = await a_working_limit(desk)
    wrong = [{"con_id": 272093}, {"side": "SLD"}, {"account": "DU1000902"}]
    for number, changes in enumerate(wrong):
        say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, f"wrong.{number}.01", "5", **changes)))
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "odd.1.01", "0.125", "-37.63")))
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, "odd.2.01", "0.87500000000000001", "0")))
    await desk.until(lambda: OrderRecord.objects.get(pk=order.pk).filled_quantity == 1)
    assert (await incidents(desk, order)) == ["execution_contradicts"] * 3
    assert await desk.do(lambda: Execution.objects.filter(order=None).count()) == 3
    assert (await fresh(desk, order)).average_price == D("-4.70375")


async def test_where_our_client_is_the_master_an_order_of_others_is_live(desk: Desk) -> None:
    """C31: openOrder, its status and its execution come unasked, of a client that is not ours; nothing of it is mistaken for ours."""
    order = await a_working_limit(desk)
    name = await name_of(desk, order)
    theirs = opened(desk, order, perm_id=4712, client_id=3, order_id=name.ib_order_id, order_ref="", quantity=D(7))
    say_to(desk.gateway, theirs)
    say_to(desk.gateway, say.OrderStatus(name.ib_order_id, "Submitted", D(0), D(7), D(0), 4712, 0, D(0), 3, ""))
    fill = await a_fill(desk, order, shares="7", perm_id=4712, client_id=3, order_ref="")
    say_to(desk.gateway, execution(desk.gateway, fill))
    row = await desk.until(lambda: OrderRecord.objects.filter(client_order_id="ext-4712", status="FILLED").first())
    assert (row.quantity, row.filled_quantity) == (7, 7)
    mine = await fresh(desk, order)
    assert (mine.status, mine.filled_quantity, mine.quantity) == ("WORKING", 0, 100)
    assert await incidents(desk) == []


async def test_an_ended_order_of_others_without_an_account_is_told_and_not_shown(desk: Desk) -> None:
    """C31: a completedOrder that names no account belongs to no one here; one of ours is ours by its name all the same."""
    order = await a_working_limit(desk)
    for reference, perm_id in (("", 4713), (order.client_order_id, 0)):
        [state] = [one for one in desk.gateway.exchange.open_orders() if one.request.order_ref == order.client_order_id]
        request = dataclasses.replace(state.request, order_ref=reference, account="")
        ended = dataclasses.replace(state, status="Cancelled", perm_id=perm_id or state.perm_id, request=request)
        desk.gateway.core.scenarios.active.append(Insert(CompletedOrder(ended, desk.gateway.exchange.instruments[state.request.con_id])))
    desk.engine.situation.reconcile("to hear it", "To hear it")
    await desk.order_is(order, "CANCELLED")
    [text] = await desk.do(lambda: list(Incident.objects.values_list("text", flat=True)))
    assert "4713 names no account" in text
