"""Tests of one group run in one process: what they share, a desk or a browser, is started once."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.xdist_group("kept together")
_ran_here: list[int] = []


@pytest.mark.parametrize("number", range(1, 7))
def test_a_group_stays_in_one_process(number: int, request: pytest.FixtureRequest) -> None:
    group = [item.callspec.params["number"] for item in request.session.items if item.module is request.module]  # type: ignore[attr-defined]
    _ran_here.append(number)
    assert _ran_here == group[: group.index(number) + 1]
