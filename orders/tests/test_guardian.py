"""The guardian's verdicts: each of them, long and short, for plain stops, pairs and brackets, whole and partly filled."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.rules.guardian import ALARMING, Kind, Verdict, judge
from orders.rules.holding import STOP_TYPES, Entry, Holding, Standing
from orders.rules.hours import session_end
from orders.rules.lifecycle import OPEN, WORKING, OrderStatus
from orders.rules.mending import Cancel, Change, Protect
from orders.rules.terms import OrderTerms, OrderType, Role, Side, TimeInForce

S = OrderStatus
END = datetime(2026, 11, 25, 21, 0, tzinfo=UTC)
LATE = datetime(2026, 11, 26, 1, 0, tzinfo=UTC)


class Book:
    """Exits and holdings of a long position, or the same mirrored for a short one. Entered at 100: stop 97, target 107."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.way_out = Side.SELL if sign > 0 else Side.BUY

    def price(self, away: str) -> D:
        return 100 + self.sign * D(away)

    def stop(self, quantity: str = "100", **fields: Any) -> Standing:
        own = {"name": "stop", "side": self.way_out, "order_type": "STP", "status": S.HELD, "role": Role.STOP_LOSS}
        return Standing(**{**own, "quantity": D(quantity), "stop_price": self.price("-3"), **fields})

    def target(self, quantity: str = "100", **fields: Any) -> Standing:
        own = {"name": "target", "side": self.way_out, "order_type": "LMT", "status": S.WORKING, "role": Role.TAKE_PROFIT}
        return Standing(**{**own, "quantity": D(quantity), "limit_price": self.price("7"), **fields})

    def pair(self, quantity: str = "100", oca_type: int = 1, **fields: Any) -> tuple[Standing, Standing]:
        common = {"group": "oca", "oca_type": oca_type, **fields}
        return self.stop(quantity, **common), self.target(quantity, **common)

    def exits(self, entry: S, filled: str, quantity: str = "100", **fields: Any) -> tuple[Standing, Standing]:
        common = {"group": "family", "entry": Entry("entry", entry, D(filled)), **fields}
        return self.stop(quantity, **common), self.target(quantity, **common)

    def judge(self, held: str, *orders: Standing, **facts: Any) -> Verdict:
        return judge(Holding(D(held) * self.sign, orders, session_end=END, late_end=LATE, **facts))


@pytest.fixture(params=[1, -1], ids=["long", "short"])
def book(request: pytest.FixtureRequest) -> Book:
    return Book(request.param)


def told(verdict: Verdict) -> list[tuple[Kind, str]]:
    return [(finding.kind, f"{finding.quantity:f}") for finding in verdict.findings]


# --- protected, or not --------------------------------------------------------------------------------------------------------------------


def test_a_stop_at_the_broker_protects_alone_in_a_pair_and_in_a_bracket(book: Book) -> None:
    for orders in (
        (book.stop(),),
        book.pair(),
        book.exits(S.FILLED, "100"),
        (book.stop(role=Role.SINGLE),),
        (book.stop(is_external=True),),
    ):
        assert told(book.judge("100", *orders)) == [(Kind.PROTECTED, "100")], orders


def test_without_a_stop_it_is_unprotected_and_a_pair_is_offered(book: Book) -> None:
    [finding] = book.judge("100").findings
    assert (finding.kind, finding.quantity, finding.steps) == (Kind.UNPROTECTED, D(100), (Protect(D(100)),))


def test_a_part_without_a_stop_is_under_protected(book: Book) -> None:
    verdict = book.judge("100", *book.pair("60"))
    assert told(verdict) == [(Kind.UNDER_PROTECTED, "40"), (Kind.PROTECTED, "60")]
    assert verdict.findings[0].steps == (Protect(D(40)),)
    assert verdict.bare == 40


@pytest.mark.parametrize("status", [S.PENDING, S.SENT])
def test_a_stop_on_its_way_does_not_protect_yet(book: Book, status: S) -> None:
    assert told(book.judge("100", book.stop(status=status))) == [(Kind.PROTECTING, "100")]
    verdict = book.judge("100", book.stop("50", status=status))
    assert told(verdict) == [(Kind.UNPROTECTED, "100")]
    assert verdict.findings[0].steps == (Protect(D(50)),), "what is on its way is not placed twice"


def test_an_unknown_stop_protects_nothing_and_is_settled_first(book: Book) -> None:
    [finding] = book.judge("100", book.stop(status=S.UNKNOWN)).findings
    assert (finding.kind, finding.steps) == (Kind.UNPROTECTED, ())
    assert "UNKNOWN" in finding.text
    assert "settle it first" in finding.wait


def test_a_stop_that_is_leaving_protects_nothing(book: Book) -> None:
    [finding] = book.judge("100", book.stop(cancel_asked=True)).findings
    assert finding.kind is Kind.UNPROTECTED
    assert "is being cancelled" in finding.text


def test_a_change_to_fewer_protects_no_more_than_it_asks(book: Book) -> None:
    fewer = OrderTerms(book.way_out, OrderType.STOP, D(30), stop_price=book.price("-3"))
    assert told(book.judge("100", book.stop(asked=fewer)))[0] == (Kind.UNDER_PROTECTED, "70")


def test_stops_of_one_group_stand_for_one_another(book: Book) -> None:
    stop, _ = book.pair()
    assert told(book.judge("200", stop, replace(stop, name="second")))[0] == (Kind.UNDER_PROTECTED, "100")


@pytest.mark.parametrize(("filled", "held", "found"), [("0", "0", []), ("40", "40", [(Kind.PROTECTED, "40")])])
def test_exits_of_an_entry_that_fills_are_as_large_as_what_has_filled(book: Book, filled: str, held: str, found: list[Any]) -> None:
    assert told(book.judge(held, *book.exits(S.WORKING, filled))) == found


def test_what_the_target_has_taken_the_stop_need_not_close(book: Book) -> None:
    stop, target = book.exits(S.WORKING, "40")
    assert told(book.judge("30", stop, replace(target, filled=D(10)))) == [(Kind.PROTECTED, "30")]


def test_a_stop_of_another_entry_that_waits_is_no_protection_of_what_is_held(book: Book) -> None:
    [finding] = book.judge("100", *book.exits(S.WORKING, "0")).findings
    assert (finding.kind, finding.steps) == (Kind.UNPROTECTED, (Protect(D(100)),))
    assert "held behind its entry" in finding.text


# --- how a stop is lost -------------------------------------------------------------------------------------------------------------------


def test_a_partial_fill_in_a_group_of_type_1_leaves_the_rest_bare_and_says_why(book: Book) -> None:
    """C24: the target filled 40 of 100, and IB has cancelled the stop."""
    stop, target = book.pair()
    verdict = book.judge("60", replace(target, filled=D(40)), ended=(replace(stop, status=S.CANCELLED),))
    [finding] = verdict.findings
    assert (finding.kind, finding.quantity) == (Kind.UNPROTECTED, D(60))
    assert "the target has filled 40 of 100" in finding.text
    assert "even a partial one" in finding.text
    prices = Protect(D(60), stop_price=book.price("-3"), target_price=book.price("7"))
    assert finding.steps == (Cancel("target"), prices), "as it was, once the target that is left over is gone"


def test_targets_that_shut_one_another_out_make_room_only_together(book: Book) -> None:
    """Of a group only the largest counts, so that each one given up alone frees nothing."""
    targets = [book.target(group="oca", name=name) for name in ("first", "second")]
    [finding] = book.judge("100", *targets).findings
    assert finding.steps == (Cancel("first"), Cancel("second"), Protect(D(100)))


def test_a_rejected_stop_is_named(book: Book) -> None:
    """C27: the entry filled, the target works, the stop was rejected."""
    stop, target = book.exits(S.FILLED, "100")
    [finding] = book.judge("100", target, ended=(replace(stop, status=S.REJECTED, words="201: no margin"),)).findings
    assert (finding.kind, finding.quantity) == (Kind.UNPROTECTED, D(100))
    assert "rejected: 201: no margin." in finding.text


# --- orphans ------------------------------------------------------------------------------------------------------------------------------


def test_exits_without_a_position_are_orphans(book: Book) -> None:
    for orders in (book.pair(), book.exits(S.REJECTED, "0"), book.exits(S.CANCELLED, "0")):  # C25
        [finding] = book.judge("0", *orders).findings
        assert (finding.kind, finding.quantity, finding.steps) == (Kind.ORPHAN, D(100), (Cancel("stop"), Cancel("target")))


def test_exits_of_the_side_that_was_are_orphans(book: Book) -> None:
    """C23: both legs have filled and the position is turned; an old exit would add to it."""
    verdict = Book(-book.sign).judge("100", book.stop())
    assert told(verdict) == [(Kind.UNPROTECTED, "100"), (Kind.ORPHAN, "100")]
    assert "add to it" in verdict.findings[1].text


def test_exits_larger_than_the_position_are_made_as_large_as_it(book: Book) -> None:
    """C26: the entry filled 40 of 100 and was cancelled; its exits are for 100."""
    finding, *others = book.judge("40", *book.exits(S.CANCELLED, "40")).findings
    assert (finding.kind, finding.quantity) == (Kind.ORPHAN, D(60))
    assert finding.steps == (Change("stop", quantity=D(40)), Change("target", quantity=D(40)))
    assert [other.kind for other in others] == [Kind.PROTECTED]


def test_of_two_pairs_the_older_stays_and_the_other_makes_room(book: Book) -> None:
    older, younger = book.pair("60"), book.pair("60", group="second")
    renamed = [replace(order, name=f"z-{order.name}") for order in younger]
    assert book.judge("100", *older, *renamed).findings[0].steps == tuple(Change(order.name, quantity=D(40)) for order in renamed)
    assert book.judge("60", *older, *renamed).findings[0].steps == tuple(Cancel(order.name) for order in renamed)


def test_an_orphan_that_is_being_cancelled_is_under_way(book: Book) -> None:
    [finding] = book.judge("0", *book.pair(cancel_asked=True)).findings
    assert (finding.under_way, finding.alarms) == (True, False)


def test_a_plain_stop_without_a_position_is_an_entry_and_one_larger_than_it_is_not(book: Book) -> None:
    assert told(book.judge("0", book.stop(role=Role.SINGLE))) == []
    assert told(book.judge("60", book.stop(role=Role.SINGLE)))[0] == (Kind.ORPHAN, "40")


def test_an_orphan_placed_elsewhere_is_told_and_left_there(book: Book) -> None:
    [finding] = book.judge("0", book.stop(is_external=True, may_cancel=False)).findings
    assert (finding.kind, finding.steps) == (Kind.ORPHAN, ())
    assert "where it was placed" in finding.wait


# --- held, drifted, expiring, under way ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "is_held"),
    [
        ({"broker_word": "PreSubmitted"}, False),  # a stop that waits for its price
        ({"why_held": "trigger"}, False),
        ({"broker_word": "Inactive"}, True),
        ({"why_held": "locate"}, True),
        ({"why_held": "child,trigger"}, True),  # the child of something that the book does not know
    ],
)
def test_a_stop_is_held_where_it_may_not_trigger(book: Book, fields: dict[str, str], is_held: bool) -> None:
    verdict = book.judge("100", book.stop(**fields))
    assert told(verdict) == [(Kind.HELD if is_held else Kind.PROTECTED, "100")]
    assert all(not finding.steps for finding in verdict.findings)


def test_a_stop_that_somebody_moved_elsewhere_is_set_back(book: Book) -> None:
    asked = OrderTerms(book.way_out, OrderType.STOP, D(100), stop_price=book.price("-3"), time_in_force=TimeInForce.GTC)
    moved = book.stop(requested=asked, stop_price=book.price("-30"), time_in_force="DAY")
    finding, *others = book.judge("100", moved).findings
    assert finding.kind is Kind.DRIFTED
    assert finding.steps == (Change("stop", stop_price=book.price("-3"), time_in_force=TimeInForce.GTC),)
    assert [other.kind for other in others] == [Kind.EXPIRING, Kind.PROTECTED]
    assert told(book.judge("100", replace(moved, asked=asked)))[0][0] is not Kind.DRIFTED, "it is being set back"


def test_a_wide_stop_that_was_asked_for_is_no_drift(book: Book) -> None:
    asked = OrderTerms(book.way_out, OrderType.STOP, D(100), stop_price=book.price("-30"), time_in_force=TimeInForce.GTC)
    assert told(book.judge("100", book.stop(stop_price=book.price("-30"), requested=asked))) == [(Kind.PROTECTED, "100")]


def test_a_group_that_reduces_may_be_smaller_than_asked(book: Book) -> None:
    asked = OrderTerms(book.way_out, OrderType.STOP, D(100), stop_price=book.price("-3"), time_in_force=TimeInForce.GTC)
    stop, target = book.pair(oca_type=2)
    reduced = replace(stop, quantity=D(60), requested=asked)
    assert told(book.judge("60", reduced, replace(target, filled=D(40)))) == [(Kind.PROTECTED, "60")]


def test_setting_back_never_leaves_more_exits_than_is_held(book: Book) -> None:
    asked = OrderTerms(book.way_out, OrderType.STOP, D(100), stop_price=book.price("-3"), time_in_force=TimeInForce.GTC)
    assert told(book.judge("50", book.stop("50", requested=asked))) == [(Kind.PROTECTED, "50")], "made smaller with the position"
    beside = book.stop("50", name="beside")
    assert told(book.judge("100", book.stop("50", requested=asked), beside)) == [(Kind.PROTECTED, "100")]
    moved = book.stop("50", requested=asked, stop_price=book.price("-30"))
    assert book.judge("50", moved).findings[0].steps == (Change("stop", stop_price=book.price("-3")),)
    [finding, *_] = book.judge("100", book.stop("50", requested=asked)).findings[1:]
    assert (finding.kind, finding.steps) == (Kind.DRIFTED, (Change("stop", quantity=D(100)),)), "there is room for all of it"


def test_a_pair_of_unequal_exits_is_evened_out(book: Book) -> None:
    stop, target = book.pair()
    finding = book.judge("100", stop, replace(target, quantity=D(60))).findings[0]
    assert (finding.kind, finding.steps) == (Kind.DRIFTED, (Change("target", quantity=D(100)),))


def test_a_stop_that_the_market_has_passed_and_that_did_not_go_off(book: Book) -> None:
    finding, *_others = book.judge("100", book.stop(), market=book.price("-5")).findings
    assert (finding.kind, finding.steps) == (Kind.DRIFTED, ())
    assert "has not gone off" in finding.text
    assert finding.wait
    assert told(book.judge("100", book.stop(), market=book.price("-1"))) == [(Kind.PROTECTED, "100")]


@pytest.mark.parametrize(("outside", "end"), [(False, END), (True, LATE)])
def test_a_day_stop_expires_and_its_pair_is_made_to_last(book: Book, outside: bool, end: datetime) -> None:
    finding, *others = book.judge("100", *book.pair(time_in_force="DAY", outside_rth=outside)).findings
    assert (finding.kind, finding.quantity, finding.at) == (Kind.EXPIRING, D(100), end)
    assert finding.steps == (Change("stop", time_in_force=TimeInForce.GTC), Change("target", time_in_force=TimeInForce.GTC))
    assert [other.kind for other in others] == [Kind.PROTECTED]


def test_a_trailing_stop_protects_from_where_it_stands_and_its_moving_is_no_drift(book: Book) -> None:
    asked = OrderTerms(book.way_out, OrderType.TRAIL, D(100), trail_percent=D(3), time_in_force=TimeInForce.GTC)
    stop = book.stop(order_type="TRAIL", stop_price=book.price("2"), trail_percent=D(3), requested=asked)
    verdict = book.judge("100", stop, market=book.price("4"))
    assert told(verdict) == [(Kind.PROTECTED, "100")]
    assert verdict.findings[0].text.startswith(f"The trailing stop at {book.price('2')}")
    passed = book.judge("100", stop, market=book.price("1"))
    assert told(passed)[0] == (Kind.DRIFTED, "100")
    fewer = book.judge("100", replace(stop, requested=replace(asked, quantity=D(100), time_in_force=TimeInForce.DAY)))
    assert fewer.findings[0].steps == (Change("stop", time_in_force=TimeInForce.DAY),), "what else differs is set back as ever"


def test_a_stop_till_a_date_lasts_if_that_is_beyond_the_session(book: Book) -> None:
    stop = book.stop(time_in_force="GTD", good_till=LATE + timedelta(days=1))
    assert told(book.judge("100", stop)) == [(Kind.PROTECTED, "100")]
    assert told(book.judge("100", replace(stop, good_till=END)))[0] == (Kind.EXPIRING, "100")


def test_a_lasting_stop_beside_it_makes_a_day_stop_matter_less(book: Book) -> None:
    day, lasting = book.stop("40", name="day", time_in_force="DAY"), book.stop("60", name="lasting")
    assert told(book.judge("100", day, lasting))[0] == (Kind.EXPIRING, "40")


def test_a_position_that_is_being_closed_is_closing(book: Book) -> None:
    close = Standing("close", book.way_out, "MKT", D(100), S.PENDING, role=Role.CLOSE)
    leaving = [replace(order, cancel_asked=True) for order in book.pair()]
    assert told(book.judge("100", close, *leaving)) == [(Kind.CLOSING, "100")]
    assert told(book.judge("100", replace(close, status=S.UNKNOWN)))[0] == (Kind.UNPROTECTED, "100")


def test_nothing_is_said_of_nothing(book: Book) -> None:
    assert book.judge("0").findings == ()
    assert book.judge("0", *book.exits(S.WORKING, "0")).findings == ()


# --- whatever the orders ------------------------------------------------------------------------------------------------------------------

QUANTITIES = st.sampled_from([D(0), D(20), D(40), D(60), D(100), D(160)])
ENTRIES = st.one_of(st.none(), st.builds(Entry, st.just("e"), st.sampled_from(list(S)), QUANTITIES))


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    quantity = draw(st.sampled_from([D(40), D(60), D(100), D(160)]))
    entry, role = draw(ENTRIES), draw(st.sampled_from([Role.SINGLE, Role.STOP_LOSS, Role.TAKE_PROFIT, Role.CLOSE, Role.EXTERNAL]))
    order_type = draw(st.sampled_from(["STP", "LMT", "TRAIL", "MKT"]))
    price = D(97) if order_type in STOP_TYPES else None
    return Standing(
        name=draw(st.uuids()).hex,
        side=draw(st.sampled_from(list(Side))),
        order_type=order_type,
        quantity=quantity,
        status=draw(st.sampled_from(sorted(OPEN))),
        filled=draw(st.sampled_from([D(0), quantity / 2])),
        role=role,
        time_in_force=draw(st.sampled_from(["DAY", "GTC"])),
        stop_price=price,
        entry=entry,
        group="family" if entry is not None else draw(st.sampled_from(["", "oca"])),
        oca_type=draw(st.sampled_from([0, 1, 2])),
        cancel_asked=draw(st.booleans()),
        broker_word=draw(st.sampled_from(["PreSubmitted", "Inactive"])),
        is_external=role is Role.EXTERNAL,
    )


HOLDINGS = st.builds(
    lambda quantity, sign, orders: Holding(quantity * sign, tuple(orders)),
    QUANTITIES,
    st.sampled_from([1, -1]),
    st.lists(standings(), max_size=5),
)


@given(HOLDINGS)
def test_never_called_protected_beyond_what_stops_at_the_broker_cover(holding: Holding) -> None:
    verdict = judge(holding)
    able = [
        order
        for order in holding.orders
        if order.order_type in STOP_TYPES
        and order.side is holding.way_out
        and order.status in WORKING
        and not order.cancel_asked
        and order.broker_word != "Inactive"
        and order.role is not Role.CLOSE
    ]
    covers = sum((order.quantity - order.filled for order in able), D(0))
    protected = verdict.of(Kind.PROTECTED)
    assert protected is None or protected.quantity <= min(covers, holding.size)
    if holding.quantity and covers < holding.size:
        assert any(finding.kind in ALARMING or finding.kind in (Kind.PROTECTING, Kind.CLOSING) for finding in verdict.findings)
        assert verdict.bare > 0


@given(HOLDINGS)
def test_no_exit_that_would_open_or_turn_a_position_goes_without_a_word(holding: Holding) -> None:
    orphans = [finding for finding in judge(holding).findings if finding.kind is Kind.ORPHAN]
    for order in holding.orders:
        free = order.entry is None or order.entry.status not in OPEN
        sure = order.role in (Role.STOP_LOSS, Role.TAKE_PROFIT) and free
        left = order.quantity - order.filled
        against = order.side is holding.way_out and holding.quantity
        if sure and (left > holding.size if against else left > 0):
            assert orphans, order


@given(HOLDINGS)
def test_no_step_leaves_more_exits_than_there_is_to_exit(holding: Holding) -> None:
    """The steps of a finding, done: what they place and what they leave may together close no more than is held."""
    for finding in judge(holding).findings:
        placed = sum((step.quantity for step in finding.steps if isinstance(step, Protect)), D(0))
        gone = {step.order for step in finding.steps if isinstance(step, Cancel)}
        stays = [order for order in holding.leaving if order.name not in gone]
        if placed:
            assert placed + holding.total(stays, at_most=True) <= holding.size


# --- the end of a session -----------------------------------------------------------------------------------------------------------------

HOURS = "20261125:0930-20261125:1600;20261126:CLOSED;20261127:0930-20261127:1300"


@pytest.mark.parametrize(
    ("hours", "zone", "now", "end"),
    [
        (HOURS, "America/New_York", "2026-11-25T15:00", "2026-11-25T21:00"),
        (HOURS, "America/New_York", "2026-11-25T21:00", "2026-11-27T18:00"),  # over: the next one, a half day after a holiday
        (HOURS, "America/New_York", "2026-11-28T00:00", None),
        ("20261125:0930-20261125:1200,20261125:1300-20261125:1600", "Asia/Hong_Kong", "2026-11-25T04:30", "2026-11-25T08:00"),
        ("20090507:0700-1830,1830-2330", "UTC", "2009-05-07T19:00", "2009-05-07T23:30"),
        ("20261124:1800-20261125:1700", "America/Chicago", "2026-11-25T01:00", "2026-11-25T23:00"),
        ("nonsense", "America/New_York", "2026-11-25T15:00", None),
        (HOURS, "Nowhere/Atlantis", "2026-11-25T15:00", None),
        ("", "", "2026-11-25T15:00", None),
    ],
)
def test_a_session_ends_when_the_contracts_hours_say(hours: str, zone: str, now: str, end: str | None) -> None:
    found = session_end(hours, zone, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == (datetime.fromisoformat(end).replace(tzinfo=UTC) if end else None)
