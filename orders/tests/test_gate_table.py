"""Every control at every door: just below its limit, at it, just above it, without what it needs to know, and broken itself; when an order
is asked for, and again when it is about to be sent."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from orders.errors import Refused
from orders.rules.limit_table import RULES, Rule
from orders.rules.limits import controls
from orders.rules.limits.controls import CONTROLS
from orders.tests.factories import make_limit
from orders.tests.gate import ELSEWHERE, ROWS, Scene, at_the_desks_time, no_quote, scene_of

pytestmark = pytest.mark.django_db
CASES = [(rule, door) for rule, row in ROWS.items() for door in row.doors]
# The command line waits for a quote that is missing: seconds, for what the other doors show.
LOSING = [(rule, door) for rule, door in CASES if ROWS[rule].lose and (ROWS[rule].lose is not no_quote or door != "command line")]


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    settings.DESKBOOK_ALLOW_LIVE = _Everybody()
    with at_the_desks_time(monkeypatch):
        yield


class _Everybody(tuple):
    def __contains__(self, _: object) -> bool:
        return True


def refusal(scene: Scene) -> str:
    """The code with which the door refuses; "" where it does not."""
    try:
        scene.ask()
    except Refused as refused:
        return refused.code
    return ""


@contextmanager
def broken(monkeypatch: pytest.MonkeyPatch, code: str) -> Iterator[None]:
    """A control that raises."""

    def fail(_: Any) -> None:
        raise ZeroDivisionError("a fault in the control")

    changed = tuple(replace(one, read=fail) if one.rule == code else one for one in CONTROLS)
    assert changed != CONTROLS
    with monkeypatch.context() as patch:
        patch.setattr(controls, "CONTROLS", changed)
        yield


def test_every_control_and_every_limit_has_its_rows() -> None:
    assert set(RULES) == set(ROWS) | set(ELSEWHERE)
    with_a_value = {control.rule for control in CONTROLS if control.rule in RULES}
    assert with_a_value <= set(ROWS) | {Rule.DUPLICATE_SECONDS}


def cases(found: list[tuple[Rule, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("rule", "door"), found, ids=[f"{rule.value}-{door}" for rule, door in found])


@cases(CASES)
def test_at_its_limit(rule: Rule, door: str) -> None:
    row = ROWS[rule].at(door)
    code = row.code or rule.value
    for limit in row.refusing:
        assert refusal(scene_of(rule, door, limit)) == code, limit
    for limit in row.passing:
        scene = scene_of(rule, door, limit)
        assert scene.fate(scene.ask()) == "sent", limit
    for limit in row.refusing:
        scene = scene_of(rule, door, row.passing[0])
        order = scene.ask()
        make_limit(rule.value, limit, account=scene.account)
        assert scene.fate(order) == code, limit


@cases(LOSING)
def test_what_it_cannot_know_blocks(rule: Rule, door: str) -> None:
    row = ROWS[rule].at(door)
    assert row.lose is not None
    for_asking = row.passing[0] if row.lost else row.refusing[0]
    scene = scene_of(rule, door, for_asking)
    row.lose(scene)
    assert refusal(scene) == (row.lost or rule.value)
    scene = scene_of(rule, door, row.passing[0])
    order = scene.ask()
    row.lose(scene)
    make_limit(rule.value, for_asking, account=scene.account)
    assert scene.fate(order) == (row.lost or rule.value)


@cases(CASES)
def test_a_fault_of_its_own_blocks(rule: Rule, door: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    row = ROWS[rule].at(door)
    code = row.code or rule.value
    scene = scene_of(rule, door, row.passing[0])
    with broken(monkeypatch, code), caplog.at_level(logging.ERROR):
        assert refusal(scene) == "RULE_FAILED"
    assert code in caplog.text and "ZeroDivisionError" in caplog.text
    order = scene.ask()
    with broken(monkeypatch, code):
        assert scene.fate(order) == "RULE_FAILED"
