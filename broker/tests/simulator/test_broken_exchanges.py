"""The behaviour checks hold on the exchange, and each deliberately broken exchange is caught by the check meant for it."""

from __future__ import annotations

import pytest

from broker.simulator.exchange import Exchange
from broker.tests.simulator.behaviours import BEHAVIOURS, CAUGHT_BY, Check
from broker.tests.simulator.broken import BROKEN, BROKEN_FOR_TICKETS


@pytest.mark.parametrize("check", BEHAVIOURS, ids=lambda check: check.__name__)
def test_exchange_behaves(check: Check) -> None:
    check(Exchange)


@pytest.mark.parametrize("kind", BROKEN + BROKEN_FOR_TICKETS, ids=lambda kind: kind.__name__)
def test_broken_exchange_is_caught(kind: type[Exchange]) -> None:
    with pytest.raises(AssertionError):
        CAUGHT_BY[kind.__name__](kind)


def test_every_check_catches_a_broken_exchange() -> None:
    assert set(CAUGHT_BY.values()) == set(BEHAVIOURS)
    assert set(CAUGHT_BY) == {kind.__name__ for kind in BROKEN + BROKEN_FOR_TICKETS}
