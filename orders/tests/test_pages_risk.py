"""The risk page: who is shown what of limits, states, refusals and changes; setting a limit; sizing without a ticket."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.tests.seats import Seats, signed_in, take_seats

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
    for panel in ("risk_limits", "risk_states", "risk_refusals", "risk_changes"):
        assert client.get(reverse("panel", args=[panel]), {"account": seats.account.code}).status_code == 200
