"""What the hub tells its sockets: everything they may see, in order, and nothing else."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from orders.bell import FEED_GROUP
from orders.models import PositionValue, TrailingStop, Watch
from orders.pages import hub as hub_module
from orders.pages import newsreader, sockets
from orders.pages.panels import render_units
from orders.rules.lifecycle import OrderStatus
from orders.rules.terms import AccessLevel
from orders.tests.factories import NOW, grant, make_account, make_book, make_contract, make_position, make_quote, make_trader, make_user
from orders.tests.live import Tab, change, cookie, nobody_looks, place

pytestmark = pytest.mark.django_db(transaction=True)


class World:
    """Two accounts with a trader each, and a contract."""

    def __init__(self) -> None:
        make_book()
        self.first, self.second = make_account(), make_account()
        self.trader, self.other = make_trader(self.first), make_trader(self.second)
        self.session, self.others_session = cookie(self.trader), cookie(self.other)
        self.contract = make_contract()


@pytest.fixture
async def world(db):
    yield await sync_to_async(World)()
    await nobody_looks()


async def test_an_order_comes_changes_and_leaves(world):
    async with Tab(world.session, "orders~working") as tab:
        order = await sync_to_async(place)(world.first, world.contract)
        unit = await tab.unit(f"family-{order.pk}")
        assert unit["panel"] == "orders"
        assert f'data-v="{unit["v"]}"' in unit["html"]
        await sync_to_async(change)(order, status_text="partly there")
        later = await tab.unit(f"family-{order.pk}")
        assert later["v"] > unit["v"]
        await sync_to_async(change)(order, status=OrderStatus.CANCELLED.value, status_basis="broker", closed_at=NOW)
        gone = await tab.unit(f"family-{order.pk}", None)
        assert gone["v"] > later["v"]


async def test_frames_follow_each_other_whatever_they_leave_out(world, monkeypatch):
    monkeypatch.setattr(hub_module, "BEAT_SECONDS", 0.3)
    async with Tab(world.session, "orders") as tab:
        for _ in range(3):
            await sync_to_async(place)(world.second, world.contract)  # nothing of ours
        order = await sync_to_async(place)(world.first, world.contract)
        await tab.unit(f"family-{order.pk}")
        # A heartbeat. What a frame shows may be newer than its number says, never older: the number follows with the next.
        await tab.frame(lambda frame: "units" not in frame and frame["seq"] >= order.seq)
        for before, after in zip(tab.frames, tab.frames[1:], strict=False):
            assert after["prev"] == before["seq"]
            assert after["seq"] >= after["prev"]
            assert after["n"] == before["n"] + 1
        assert tab.frames[-1]["seq"] == order.seq


async def test_nobody_hears_of_an_account_that_is_not_his(world):
    async with Tab(world.session, "orders", "positions", "attention", "executions") as mine, Tab(world.others_session, "orders") as others:
        hidden = await sync_to_async(place)(world.second, world.contract)
        await sync_to_async(make_position)(world.second, world.contract)
        await others.unit(f"family-{hidden.pk}")
        shown = await sync_to_async(place)(world.first, world.contract)
        await mine.unit(f"family-{shown.pk}")
        assert all(str(hidden.pk) not in unit["id"] for unit in mine.units if unit["panel"] == "orders")
        assert not [unit for unit in mine.units if unit["panel"] == "positions"]
        assert world.second.code not in str(mine.frames)


async def test_a_page_about_one_account_is_not_told_of_the_others_of_its_user(world):
    await sync_to_async(grant)(world.trader, world.second, AccessLevel.VIEW)
    async with Tab(world.session, "orders", account=world.first) as one, Tab(world.session, "orders") as all_of_them:
        other = await sync_to_async(place)(world.second, world.contract)
        await all_of_them.unit(f"family-{other.pk}")
        order = await sync_to_async(place)(world.first, world.contract)
        await one.unit(f"family-{order.pk}")
        assert {unit["id"] for unit in one.units} == {f"family-{order.pk}"}


async def test_equal_views_are_rendered_once(world, monkeypatch):
    rendered = []

    def counted(panel, user, account, scope, changes, now, seq):
        rendered.append((panel.name, seq))
        return render_units(panel, user, account, scope, changes, now, seq)

    monkeypatch.setattr(newsreader, "render_units", counted)
    colleague = await sync_to_async(lambda: cookie(make_trader(world.first)))()
    async with Tab(world.session, "orders") as one, Tab(world.session, "orders") as two, Tab(colleague, "orders") as three:
        order = await sync_to_async(place)(world.first, world.contract)
        html = {(await tab.unit(f"family-{order.pk}"))["html"] for tab in (one, two, three)}
        assert len(html) == 1
        assert rendered == [("orders", order.seq)]


async def test_values_that_moved_before_the_socket_was_there_are_told_when_it_comes(world):
    def prepare():
        make_quote(world.contract, at=NOW)
        Watch.objects.create(user=world.trader, contract=world.contract, created_at=NOW)

    await sync_to_async(prepare)()
    async with Tab(world.session, "orders"):  # the hub is awake, and looks
        await sync_to_async(make_quote)(world.contract, last="123.45", at=NOW + timedelta(seconds=1))
        async with Tab(world.session, "watchlist", "orders") as tab:
            await tab.unit(f"watch-{world.contract.pk}", "123.45")
            assert {unit["panel"] for unit in tab.units} == {"watchlist"}


async def test_who_may_only_look_gets_a_row_of_his_own(world):
    viewer = await sync_to_async(make_user)()
    await sync_to_async(grant)(viewer, world.first, AccessLevel.VIEW)
    session = await sync_to_async(cookie)(viewer)
    async with Tab(world.session, "orders") as trader, Tab(session, "orders") as onlooker:
        order = await sync_to_async(place)(world.first, world.contract)
        may, may_not = await trader.unit(f"family-{order.pk}"), await onlooker.unit(f"family-{order.pk}")
        assert "/cancel/" in may["html"]
        assert "/cancel/" not in may_not["html"]


async def test_values_that_move_without_an_event_are_told(world):
    def prepare():
        position = make_position(world.first, world.contract)
        PositionValue.objects.create(position=position, unrealized_pnl="1.25", at=NOW)
        make_quote(world.contract, at=NOW)
        Watch.objects.create(user=world.trader, contract=world.contract, created_at=NOW)
        return position

    position = await sync_to_async(prepare)()
    async with Tab(world.session, "positions", "watchlist") as tab:
        later = NOW + timedelta(seconds=1)
        await sync_to_async(make_quote)(world.contract, last="123.45", at=later)
        await tab.unit(f"watch-{world.contract.pk}", "123.45")
        await sync_to_async(lambda: PositionValue.objects.filter(pk=position.values.pk).update(unrealized_pnl="777.25", at=later))()
        await tab.unit(f"position-{position.pk}", "777.25")


async def test_a_trailing_stop_that_moves_is_told_on_its_orders_row_and_on_no_other(world):
    def prepare():
        order, other = (place(world.first, world.contract) for _ in range(2))
        TrailingStop.objects.create(order=order, price="98", at=NOW)
        return order, other

    order, _ = await sync_to_async(prepare)()
    async with Tab(world.session, "orders~working") as tab:
        # As it stands when the socket comes, in case that it moved since the page was made; then as it moves.
        await tab.unit(f"family-{order.pk}", "98.00")
        moved = {"price": "98.75", "at": NOW + timedelta(seconds=1)}
        await sync_to_async(lambda: TrailingStop.objects.filter(order=order).update(**moved))()
        await tab.unit(f"family-{order.pk}", "98.75")
        assert {unit["id"] for unit in tab.units} == {f"family-{order.pk}"}
    async with Tab(world.others_session, "orders~working") as theirs:
        await sync_to_async(lambda: TrailingStop.objects.filter(order=order).update(price="99", at=NOW + timedelta(seconds=2)))()
        seen = await sync_to_async(place)(world.second, world.contract)
        await theirs.unit(f"family-{seen.pk}")
        assert {unit["id"] for unit in theirs.units} == {f"family-{seen.pk}"}


async def test_a_quote_of_somebody_elses_watchlist_takes_no_row_away(world):
    def prepare():
        other = make_contract("MSFT")
        for contract in (world.contract, other):
            make_quote(contract, at=NOW)
        Watch.objects.create(user=world.trader, contract=world.contract, created_at=NOW)
        return other

    other = await sync_to_async(prepare)()
    async with Tab(world.session, "watchlist") as tab:
        await sync_to_async(make_quote)(other, last="5.00", at=NOW + timedelta(seconds=1))
        await sync_to_async(make_quote)(world.contract, last="6.00", at=NOW + timedelta(seconds=2))
        await tab.unit(f"watch-{world.contract.pk}", "6.00")
        assert {unit["id"] for unit in tab.units} == {f"watch-{world.contract.pk}"}


async def test_a_value_committed_after_a_younger_one_is_not_missed(world):
    def prepare():
        other = make_contract("MSFT")
        for contract in (world.contract, other):
            make_quote(contract, at=NOW)
            Watch.objects.create(user=world.trader, contract=contract, created_at=NOW)
        return other

    other = await sync_to_async(prepare)()
    async with Tab(world.session, "watchlist") as tab:
        await sync_to_async(make_quote)(other, last="5.00", at=NOW + timedelta(seconds=2))
        await tab.unit(f"watch-{other.pk}", "5.00")
        await sync_to_async(make_quote)(world.contract, last="6.00", at=NOW + timedelta(seconds=1))
        await tab.unit(f"watch-{world.contract.pk}", "6.00")


async def test_a_page_older_than_the_hub_is_asked_to_ask_again(world):
    async with Tab(world.session, "orders") as first:
        order = await sync_to_async(place)(world.first, world.contract)
        await first.unit(f"family-{order.pk}")
        async with Tab(world.session, "orders", seq=order.seq - 1) as old, Tab(world.session, "orders", seq=order.seq) as new:
            assert old.frames[0]["resync"] is True
            assert "resync" not in new.frames[0]


async def test_too_much_at_once_is_answered_by_a_resync(world, monkeypatch):
    monkeypatch.setattr(sockets, "UNITS_AT_ONCE", 3)
    async with Tab(world.session, "orders") as tab:

        def burst():
            from orders.book import book
            from orders.models.book import Source

            orders = [place(world.first, world.contract) for _ in range(5)]
            with book(at=NOW) as b, b.event("burst", source=Source.SYSTEM, account=world.first) as fact:
                for order in orders:
                    fact.set(order, status_text="together")

        await sync_to_async(burst)()
        await tab.frame(lambda frame: frame.get("resync"))


async def test_a_slow_reader_is_closed_and_the_others_go_on(world, monkeypatch):
    monkeypatch.setattr(sockets, "UNREAD_LIMIT", 4_000)
    slow = await Tab(world.session, "orders", reads=False).open()
    async with Tab(world.session, "orders") as tab:
        order = await sync_to_async(place)(world.first, world.contract)
        for n in range(200):
            await sync_to_async(change)(order, status_text=f"step {n}")
            await tab.unit(f"family-{order.pk}")
            if tab.characters > 12_000:
                break
        assert await slow.closed() == sockets.TOO_SLOW
        await sync_to_async(change)(order, status_text="still here")
        await tab.unit(f"family-{order.pk}")


async def test_without_a_bell_the_feed_is_read_every_second(world, settings):
    settings.CHANNEL_LAYERS = {}
    async with Tab(world.session, "orders") as tab:
        order = await sync_to_async(place)(world.first, world.contract)
        await tab.unit(f"family-{order.pk}")


async def test_a_dead_redis_closes_no_socket(world, settings):
    host = {"address": "redis://127.0.0.1:1/0", "socket_timeout": 15, "socket_connect_timeout": 1}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [host]}}}
    async with Tab(world.session, "orders") as tab:
        for _ in range(2):
            order = await sync_to_async(place)(world.first, world.contract)
            await tab.unit(f"family-{order.pk}")


async def test_a_bell_over_redis_reaches_every_process_and_is_not_missed_while_redis_restarts(world, settings, redis_server, monkeypatch):
    host = {"address": redis_server.url, "socket_timeout": 15, "socket_connect_timeout": 1}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [host]}}}
    async with Tab(world.session, "orders") as tab:
        await tab.frame(lambda frame: "units" not in frame)  # a heartbeat: the hub has joined its groups
        redis_server.stop()
        order = await sync_to_async(place)(world.first, world.contract)
        await tab.unit(f"family-{order.pk}")
        redis_server.start()
        order = await sync_to_async(place)(world.first, world.contract)
        await tab.unit(f"family-{order.pk}")
    monkeypatch.setattr(hub_module, "POLL_SECONDS", 3600)

    async def ring() -> None:
        while True:  # the hub may still be on its way back into the group
            await get_channel_layer().group_send(FEED_GROUP, {"type": "feed.moved"})
            await asyncio.sleep(0.1)

    async with Tab(world.session, "orders") as tab:
        order = await sync_to_async(place)(world.first, world.contract)
        ringing = asyncio.create_task(ring())
        await tab.unit(f"family-{order.pk}")
        ringing.cancel()


async def test_the_bell_is_quicker_than_the_poll(world, monkeypatch):
    monkeypatch.setattr(hub_module, "POLL_SECONDS", 3600)
    async with Tab(world.session, "orders") as tab:
        order = await sync_to_async(place)(world.first, world.contract)
        await get_channel_layer().group_send(FEED_GROUP, {"type": "feed.moved"})
        await tab.unit(f"family-{order.pk}")


async def test_a_failed_read_keeps_the_sockets_and_is_made_good_by_a_resync(world, monkeypatch):
    async with Tab(world.session, "orders") as tab:
        original = hub_module.NewsReader.rendered
        failed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def broken(self, news, views):
            loop.call_soon_threadsafe(failed.set)
            raise OSError("the disk is gone")

        monkeypatch.setattr(hub_module.NewsReader, "rendered", broken)
        await sync_to_async(place)(world.first, world.contract)
        async with asyncio.timeout(10):
            await failed.wait()
        monkeypatch.setattr(hub_module.NewsReader, "rendered", original)
        await tab.frame(lambda frame: frame.get("resync"))
        order = await sync_to_async(place)(world.first, world.contract)
        await tab.unit(f"family-{order.pk}")
