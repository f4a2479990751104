"""A panel shows the same row on the page, in the answer to a resync and in what is pushed."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from orders.book import book
from orders.manager import OrderManager
from orders.models import Execution, Watch
from orders.models.book import Source
from orders.pages.panels import PANELS, book_seq, render, render_units
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import AccessLevel
from orders.tests.factories import NOW, grant, make_account, make_book, make_contract, make_position, make_quote, make_trader
from orders.tests.live import change, place

pytestmark = pytest.mark.django_db(transaction=True)


class World:
    """An account with an order, a position, an execution and a quote; and one that its trader may not see."""

    def __init__(self) -> None:
        make_book()
        self.account, self.hidden = make_account(), make_account()
        self.trader = make_trader(self.account)
        self.contract = make_contract()
        make_quote(self.contract)
        Watch.objects.create(user=self.trader, contract=self.contract, created_at=NOW)
        self.order, self.hidden_order = place(self.account, self.contract), place(self.hidden, self.contract)
        self.position, self.hidden_position = (make_position(account, self.contract) for account in (self.account, self.hidden))
        self.execution = self.fill(self.order)
        self.sweep = OrderManager(self.trader, clock=lambda: NOW).kill(key="kill", scope="account", account=self.account, reason="A drill")

    def fill(self, order) -> Execution:
        with book(at=NOW) as b, b.event("execution", source=Source.BROKER, order=order) as fact:
            return fact.add(
                Execution(
                    exec_id=f"0001.{order.pk}.01", root=f"0001.{order.pk}", order=order, account=order.account, contract=order.contract,
                    side="BUY", quantity=Decimal(40), price=Decimal("99.00"), executed_at=NOW, received_at=NOW,
                )
            )  # fmt: skip

    def scope(self, name: str) -> str:
        return {"order": self.order.client_order_id, "quote": str(self.contract.pk), "sweep": str(self.sweep.pk)}.get(name, "")

    @property
    def changes(self) -> dict[str, dict[str, set[int]]]:
        """What each panel with units is told when everything of the account has changed."""
        quote = {"quote": {self.contract.pk}}
        return {
            "orders": {"order": {self.order.pk}},
            "positions": {"position": {self.position.pk}, **quote},
            "executions": {"execution": {self.execution.pk}},
            "watchlist": quote,
            "quote": quote,
        }


@pytest.fixture
def world(db) -> World:
    return World()


def squeezed(html: str) -> str:
    return re.sub(r"\s+", " ", html).strip()


@pytest.mark.parametrize("name", sorted(PANELS))
def test_a_unit_is_pushed_as_the_page_shows_it(world, name):
    panel, scope = PANELS[name], world.scope(name)
    account = None if panel.every_account else world.account
    page = squeezed(render(panel, world.trader, account, scope, NOW))
    changes = world.changes.get(name, {topic: {1} for topic in panel.topics})
    units = render_units(panel, world.trader, account, scope, changes, NOW, book_seq())
    assert len(units) == 1
    assert units[0].html is not None
    assert squeezed(units[0].html) in page
    assert f'id="{units[0].id}"' in units[0].html
    assert f'data-v="{units[0].v}"' in units[0].html
    assert f'data-panel="{name}"' in page
    assert f'data-seq="{book_seq()}"' in page


@pytest.mark.parametrize("name", sorted(PANELS))
def test_the_view_gives_the_panel_to_its_user(world, name):
    client = Client()
    client.force_login(world.trader)
    address = f"/panels/{name}/?account={world.account.code}&scope={world.scope(name)}"
    answer = client.get(address)
    assert answer.status_code == 200
    assert f'id="panel-{name}"' in answer.text
    assert world.hidden.code not in answer.text
    assert client.get(f"/panels/{name}/?account={world.hidden.code}").status_code == 404
    assert client.post(address).status_code == 405
    assert Client().get(address).status_code == 302


def test_there_is_no_other_panel(world):
    client = Client()
    client.force_login(world.trader)
    assert client.get("/panels/passwords/").status_code == 404


def test_a_unit_that_left_the_panel_is_taken_away_and_none_that_was_never_to_be_seen(world):
    change(world.order, status=OrderStatus.CANCELLED.value, status_basis="broker", closed_at=NOW)
    units = render_units(PANELS["orders"], world.trader, world.account, "working", {"order": {world.order.pk}}, NOW, book_seq())
    assert [(unit.id, unit.html) for unit in units] == [(f"family-{world.order.pk}", None)]
    moved = {"order": {world.order.pk, world.hidden_order.pk}, "quote": {world.contract.pk}}
    shown = render_units(PANELS["positions"], world.trader, None, "", moved, NOW, book_seq())
    assert [unit.id for unit in shown] == [f"position-{world.position.pk}"]


def test_a_refused_order_does_not_leave_in_silence(world):
    change(world.order, status=OrderStatus.REJECTED.value, status_basis="code", status_code="201", status_text="no margin", closed_at=NOW)
    units = render_units(PANELS["orders"], world.trader, world.account, "working", {"order": {world.order.pk}}, NOW, book_seq())
    assert units[0].html is None
    assert "no margin" in units[0].alert


def test_a_working_order_is_pushed_again_when_its_family_changes(world):
    with book(at=NOW) as b, b.event("order.child", source=Source.USER, account=world.account) as fact:
        fact.set(world.order, note="parent")
    child = place(world.account, world.contract, "SELL")
    change(child, parent=world.order)
    units = render_units(PANELS["orders"], world.trader, world.account, "working", {"order": {child.pk}}, NOW, book_seq())
    assert [unit.id for unit in units] == [f"family-{world.order.pk}"]
    assert child.client_order_id in (units[0].html or "")


def test_the_pill_of_a_worker_that_fell_silent_is_not_ready(world):
    ready = render(PANELS["gateway"], world.trader, None, "", NOW)
    silent = render(PANELS["gateway"], world.trader, None, "", NOW + timedelta(minutes=5))
    assert "READY" in ready
    assert "READY" not in silent


def test_who_may_only_look_is_offered_nothing_to_press(world):
    grant(world.trader, world.account, AccessLevel.VIEW)
    for name in ("orders", "positions"):
        html = render(PANELS[name], world.trader, world.account, "", NOW)
        assert str(world.order.pk) in html or str(world.position.pk) in html
        for act in ("/cancel/", "/change/", "/close/", "/protect/", "cancel-all"):
            assert act not in html
