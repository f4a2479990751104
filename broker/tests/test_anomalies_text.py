"""Hostile text in every place where the broker's words go: kept short, shown as text, no formula in a file, no line of its own in a log."""

from __future__ import annotations

import csv
import dataclasses
import io
import logging

import pytest
from django.test import Client
from django.urls import reverse

from broker.simulator.messages import answers as say
from broker.simulator.messages.order_frames import OpenOrder
from broker.tests.anomalies import a_fill, a_working_limit, code, execution, fresh, name_of, pour, say_to
from broker.tests.running import Desk
from broker.tests.simulator.raw import frame
from orders.models import Account, Contract, Event, Execution, Incident, OrderRecord
from orders.tests.factories import make_user

pytestmark = pytest.mark.django_db

EVIL = "=cmd|'/c calc'!A1 <script>alert(1)</script> \u202eevil\u202c \x1b[31mred\x07 \r\n2026-01-01 ERROR forged {{ 7|add:7 }} %s %(x)s "
BAD = ("<script>alert", "\u202e", "\x1b", "\x07")


def read(user: object, path: str) -> str:
    client = Client()
    client.force_login(user)
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return body.decode()


async def test_what_is_hostile_is_shown_as_text_everywhere(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """C40: in an error, a symbol, an exchange, a reason to hold, a status word, an order reference; on pages, in the file, in the log."""
    caplog.set_level(logging.DEBUG)
    order = await a_working_limit(desk)
    name = await name_of(desk, order)
    await code(desk, order, 399, EVIL + "x" * 100_000)
    say_to(desk.gateway, say.OrderStatus(name.ib_order_id, "Inactive", 0, 100, 0, name.perm_id, 0, 0, 17, EVIL))
    say_to(desk.gateway, say.OrderStatus(name.ib_order_id, EVIL, 0, 100, 0, name.perm_id, 0, 0, 17, ""))
    say_to(desk.gateway, execution(desk.gateway, await a_fill(desk, order, shares="1", exchange=EVIL)))
    [state] = desk.gateway.exchange.open_orders()
    stock = desk.gateway.exchange.instruments[state.request.con_id]
    strange = dataclasses.replace(
        stock, con_id=4711, symbol=EVIL, local_symbol=EVIL, exchange=EVIL, primary_exchange=EVIL, trading_class=EVIL, currency=EVIL
    )
    theirs = dataclasses.replace(state.request, client_id=3, order_id=0, con_id=4711, order_ref=EVIL, tif=EVIL, oca_group=EVIL)
    say_to(desk.gateway, OpenOrder(dataclasses.replace(state, perm_id=4711, request=theirs), strange))
    foreign = dataclasses.replace(theirs, account=EVIL)
    say_to(desk.gateway, OpenOrder(dataclasses.replace(state, perm_id=4712, request=foreign), strange))
    say_to(
        desk.gateway, say.ErrorMessage(-1, 2137, EVIL, desk.gateway.core.now()), say.ErrorMessage(4242, 201, EVIL, desk.gateway.core.now())
    )
    row = await desk.until(lambda: OrderRecord.objects.select_related("contract").filter(client_order_id="ext-4711").first())
    await desk.until(lambda: Incident.objects.filter(kind="foreign_account").exists())
    await desk.until(lambda: Incident.objects.filter(kind="unknown_order_message").exists())

    mine = await fresh(desk, order)
    assert (mine.status, len(mine.status_text) <= 500) == ("HELD", True)
    for model in (OrderRecord, Contract, Event, Incident, Execution):
        for values in await desk.do(lambda model=model: list(model.objects.values())):
            text = str(values)
            assert len(text) < 20_000
            assert not [bad for bad in BAD[1:] if bad in "".join(str(value) for value in values.values())], values
    assert len(row.contract.symbol) <= 32

    paths = [reverse("desk"), reverse("history"), reverse("executions"), *(reverse("order", args=[o.client_order_id]) for o in (mine, row))]
    admin = await desk.do(lambda: make_user("root", is_superuser=True, is_staff=True))
    paths_of_admin = [reverse("admin:orders_orderrecord_changelist"), reverse("admin:orders_orderrecord_change", args=[mine.pk])]
    for user, path in [*((desk.manager.actor, path) for path in paths), *((admin, path) for path in paths_of_admin)]:
        page = await desk.do(read, user, path)
        assert not [bad for bad in BAD if bad in page], path
    rows = list(csv.reader(io.StringIO(await desk.do(read, desk.manager.actor, reverse("history_csv")))))
    assert len(rows) == 3
    assert not [cell for row in rows for cell in row if cell.strip()[:1] in ("=", "+", "@", "|")]
    ours = [record for record in caplog.records if record.name.startswith(("broker", "orders"))]
    assert not [record for record in ours if any(bad in record.getMessage() for bad in ("\n", "\r", "\x1b", "\u202e"))]


async def test_accounts_with_names_that_ib_does_not_give_are_left_out(desk: Desk) -> None:
    """C40: a list of accounts is as foreign as any text; what is no name of an account becomes none of the book's."""
    pour(desk.gateway, frame([15, 1, f"DU1000417,{EVIL},{'X' * 100_000},DU1000902,,'; DROP TABLE"]))
    await desk.connector.questions.current_time(5)
    assert desk.connector._connected.listener.accounts == ("DU1000417", "DU1000902")
    assert await desk.do(lambda: set(Account.objects.values_list("code", flat=True))) == {"DU1000417", "DU1000902"}
