"""The risk page: who is shown what of limits, states, refusals and changes; setting a limit; sizing without a ticket."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from orders.models import Event, Limit
from orders.tests.factories import make_account, make_limit, make_trader, make_user
from orders.tests.seats import Seats, fresh, signed_in, take_seats

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def seats() -> Seats:
    return take_seats()


@pytest.fixture
def client(seats: Seats) -> Client:
    return signed_in(seats.trader)


def words(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_page(client: Client, seats: Seats) -> None:
    page = client.get(reverse("risk"))
    assert page.status_code == 200
    open("/tmp/risk.html", "w").write(page.content.decode())
    for panel in ("risk_limits", "risk_states", "risk_refusals", "risk_changes"):
        assert client.get(reverse("panel", args=[panel]), {"account": seats.account.code}).status_code == 200
