"""The pace of what goes out: 45 in any second, the urgent before the rest, and no question answered by another one's end."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.pacing import MESSAGES_PER_SECOND, Kept, Pacer
from broker.requests import FIRST_REQUEST_ID, LATE_SECONDS, RequestFailed, Requests, Unanswered


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 0.4), st.sampled_from(list(Kept)), st.integers(1, 10)), max_size=200))
def test_no_second_has_more_than_the_limit(writes: list[tuple[float, Kept, int]]) -> None:
    clock = Clock()
    pacer = Pacer(clock)
    written: list[float] = []
    for pause, kept, wanted in writes:
        clock.now += pause
        allowed = min(wanted, pacer.room(kept))
        pacer.wrote(allowed)
        written += [clock.now] * allowed
    for at in written:
        assert sum(at <= other < at + 1.0 for other in written) <= MESSAGES_PER_SECOND


def test_questions_leave_room_for_orders_and_orders_for_cancels() -> None:
    pacer = Pacer(Clock())
    pacer.wrote(pacer.room(Kept.QUESTION))
    assert pacer.room(Kept.QUESTION) == 0
    assert pacer.room(Kept.ORDER) == Kept.QUESTION - Kept.ORDER
    pacer.wrote(pacer.room(Kept.ORDER))
    assert pacer.room(Kept.ORDER) == 0
    assert pacer.room(Kept.CANCEL) == Kept.ORDER - Kept.CANCEL


def test_reserved_room_is_nobody_elses() -> None:
    pacer = Pacer(Clock())
    room = pacer.room(Kept.ORDER)
    with pacer.reserved(room):
        assert pacer.room(Kept.ORDER) == pacer.room(Kept.QUESTION) == 0
        assert pacer.fits(room)
    assert pacer.room(Kept.ORDER) == room


def test_the_wait_for_room_is_exactly_long_enough() -> None:
    clock = Clock()
    pacer = Pacer(clock)
    for _ in range(MESSAGES_PER_SECOND - Kept.ORDER):
        pacer.wrote()
        clock.now += 0.01
    delay = pacer.seconds_until(3)
    assert delay > 0
    clock.now += delay - 0.002
    assert pacer.room() < 3
    clock.now += 0.002
    assert pacer.room() >= 3
    assert pacer.seconds_until(3) == 0


# --- questions ------------------------------------------------------------------------------------------------------------------------


def test_request_ids_are_far_above_order_ids() -> None:
    requests = Requests(Clock())
    ids = [requests.new_id() for _ in range(5)]
    assert ids[0] == FIRST_REQUEST_ID
    assert all(b == a + 1 for a, b in pairwise(ids))


async def test_an_answer_settles_its_question() -> None:
    requests = Requests(Clock())
    with requests.asked(5) as waiting:
        waiting.row("a")
        requests.end(5)
        assert await waiting.answer(1.0) == ["a"]
    requests.end(5)  # nobody waits: nothing happens
    assert not requests.fail(5, RequestFailed(200, "none"))


async def give_up(requests: Requests, clock: Clock, kind: str) -> None:
    """Asks, and stops waiting without an answer."""
    try:
        with requests.asked(kind) as waiting:
            clock.now += 10
            await waiting.answer(5.0)
    except Unanswered:
        return
    raise AssertionError("somebody answered")


async def test_a_late_end_is_not_taken_for_the_answer_to_the_next_question() -> None:
    clock = Clock()
    requests = Requests(clock)
    await give_up(requests, clock, "open orders")
    with requests.asked("open orders") as second:
        answering = asyncio.create_task(second.answer(30.0))
        requests.end("open orders")  # the first one's, late
        await asyncio.sleep(0)
        assert not answering.done()
        requests.end("open orders")
        assert await answering == []


async def test_an_end_that_never_comes_is_forgotten_after_a_while() -> None:
    clock = Clock()
    requests = Requests(clock)
    await give_up(requests, clock, "positions")
    clock.now += LATE_SECONDS
    with requests.asked("positions") as second:
        requests.end("positions")
        assert await second.answer(1.0) == []


async def test_one_lost_end_does_not_put_off_every_answer_for_ever() -> None:
    clock = Clock()
    requests = Requests(clock)
    await give_up(requests, clock, "open orders")  # its end was lost
    for _ in range(int(LATE_SECONDS // 10) + 2):
        try:
            with requests.asked("open orders") as waiting:
                requests.end("open orders")
                clock.now += 10
                assert await waiting.answer(5.0) == []
        except Unanswered:
            continue
        return
    raise AssertionError("the answer of each question was taken for that of the one before")


async def test_a_list_that_still_moves_is_not_late() -> None:
    clock = Clock()
    requests = Requests(clock)
    with requests.asked(7) as waiting:
        for n in range(10):
            clock.now += 4
            waiting.row(n)
        requests.end(7)
        assert len(await waiting.answer(5.0)) == 10


async def test_a_refusal_and_a_lost_connection_reach_whoever_waits() -> None:
    requests = Requests(Clock())
    with requests.asked(7) as waiting:
        requests.fail(7, RequestFailed(200, "No security definition"))
        with pytest.raises(RequestFailed, match="200"):
            await waiting.answer(1.0)
    with requests.asked("positions") as other:
        requests.abandon(ConnectionError("gone"))
        with pytest.raises(ConnectionError):
            await other.answer(1.0)
