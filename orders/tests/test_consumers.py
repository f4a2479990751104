"""Who may open the socket of a page, and what it understands."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from autobahn.websocket.protocol import WebSocketProtocol
from django.contrib.auth import get_user_model

from orders.pages import hub
from orders.pages.sockets import CHANGED_RIGHTS, TOO_SLOW, UNKNOWN_PERSON
from orders.rules.terms import AccessLevel
from orders.tests.factories import grant, make_account, make_book, make_contract, make_trader
from orders.tests.live import Tab, cookie, end_session, nobody_looks, place

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick_heartbeat(monkeypatch):
    monkeypatch.setattr(hub, "BEAT_SECONDS", 0.3)


class Trader:
    """Somebody signed in who trades one account."""

    def __init__(self) -> None:
        make_book()
        self.account = make_account()
        self.user = make_trader(self.account)
        self.session = cookie(self.user)


@pytest.fixture
async def trader(db):
    yield await sync_to_async(Trader)()
    await nobody_looks()


async def test_a_socket_without_a_login_is_accepted_and_closed_with_the_reason(db):
    tab = await Tab("", "orders").open()
    assert await tab.closed() == 4401


async def test_an_account_that_the_user_may_not_see_is_refused_like_one_that_does_not_exist(trader):
    other = await sync_to_async(make_account)()
    other_tab = await Tab(trader.session, "orders", account=other).open()
    assert await other_tab.closed() == 4403
    other.code = "DU0000000"
    nowhere = await Tab(trader.session, "orders", account=other).open()
    assert await nowhere.closed() == 4403


async def test_a_panel_that_does_not_exist_is_refused(trader):
    tab = await Tab(trader.session, "secrets").open()
    assert await tab.closed() == 4403


async def test_a_socket_only_tells_what_it_is_sent_changes_nothing(trader):
    async with Tab(trader.session, "orders", account=trader.account) as tab:
        for text in ("{}", "cancel all", "-1", "9" * 400, "٣"):
            await tab.say(text)
        order = await sync_to_async(lambda: place(trader.account, make_contract()))()
        await tab.unit(f"family-{order.pk}")


async def test_signing_out_closes_the_sockets_of_that_session_only(trader):
    elsewhere = await sync_to_async(cookie)(trader.user)
    async with Tab(elsewhere, "orders") as other:
        tab = await Tab(trader.session, "orders").open()
        await sync_to_async(end_session)(trader.session)
        assert await tab.closed() == 4401
        count = len(other.frames)
        await other.frame()
        assert len(other.frames) == count + 1


async def test_a_user_who_is_shut_out_or_gets_a_new_password_is_closed_within_a_heartbeat(trader):
    tab = await Tab(trader.session, "orders").open()
    await sync_to_async(lambda: get_user_model().objects.filter(pk=trader.user.pk).update(is_active=False))()
    assert await tab.closed() == 4401
    await sync_to_async(lambda: get_user_model().objects.filter(pk=trader.user.pk).update(is_active=True))()
    tab = await Tab(trader.session, "orders").open()
    await tab.frame()

    def new_password() -> None:
        trader.user.set_password("a new one")
        trader.user.save()

    await sync_to_async(new_password)()
    assert await tab.closed() == 4401


async def test_changed_access_closes_the_sockets_before_anything_else_is_told(trader):
    tab = await Tab(trader.session, "orders", account=trader.account).open()
    await tab.frame()

    def narrowed() -> None:
        grant(trader.user, trader.account, AccessLevel.VIEW)
        place(trader.account, make_contract())

    await sync_to_async(narrowed)()
    assert await tab.closed() == 4403
    assert tab.units == []


@pytest.mark.parametrize("code", [UNKNOWN_PERSON, CHANGED_RIGHTS, TOO_SLOW])
def test_the_web_server_can_send_every_code_that_closes_a_socket(code):
    """Autobahn, under Daphne, raises for any other, and the socket would stay open and be told nothing more."""
    protocol, sent = WebSocketProtocol(), []
    protocol.sendCloseFrame = lambda **frame: sent.append(frame["code"])
    protocol.sendClose(code)
    assert sent == [code]
