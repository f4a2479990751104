"""The whole grid of the lifecycle: every status, basis, next status and evidence, against a table written out here by hand.

The table is not derived from the code it tries: a cell that is not in it must be illegal.
"""

from __future__ import annotations

from itertools import product

import pytest

from orders.rules.lifecycle import IN_FLIGHT, OPEN, TERMINAL, WORKING, Evidence, OrderStatus, Verdict, judge

# "status [basis] -> next: evidence ..." under what it must be judged; a basis of * is any, and none at all.
GRID = """
legal
PENDING -> SENT: local
PENDING -> CANCELLED: local
PENDING -> REJECTED: local
SENT -> HELD: broker
SENT -> WORKING: broker
SENT -> FILLED: execution
SENT -> CANCELLED: broker code
SENT -> REJECTED: broker code
SENT -> UNKNOWN: doubt
HELD -> WORKING: broker
HELD -> FILLED: execution
HELD -> CANCELLED: broker code inferred
HELD -> REJECTED: broker code
HELD -> UNKNOWN: doubt
WORKING -> HELD: broker
WORKING -> FILLED: execution
WORKING -> CANCELLED: broker code inferred
WORKING -> REJECTED: broker
WORKING -> UNKNOWN: doubt
UNKNOWN -> HELD: broker
UNKNOWN -> WORKING: broker
UNKNOWN -> FILLED: execution
UNKNOWN -> CANCELLED: broker code inferred person
UNKNOWN -> REJECTED: broker code
FILLED [local] -> FILLED: broker
FILLED [code] -> FILLED: broker
FILLED [correction] -> FILLED: broker
FILLED [doubt] -> FILLED: broker
FILLED [inferred] -> FILLED: broker
FILLED [person] -> FILLED: broker
FILLED [none] -> FILLED: broker
CANCELLED -> REJECTED: broker code
CANCELLED [local] -> CANCELLED: broker
CANCELLED [code] -> CANCELLED: broker
CANCELLED [correction] -> CANCELLED: broker
CANCELLED [doubt] -> CANCELLED: broker
CANCELLED [inferred] -> CANCELLED: broker
CANCELLED [person] -> CANCELLED: broker
CANCELLED [none] -> CANCELLED: broker
REJECTED [local] -> REJECTED: broker
REJECTED [code] -> REJECTED: broker
REJECTED [correction] -> REJECTED: broker
REJECTED [doubt] -> REJECTED: broker
REJECTED [inferred] -> REJECTED: broker
REJECTED [person] -> REJECTED: broker
REJECTED [none] -> REJECTED: broker

incident
FILLED -> UNKNOWN: correction
CANCELLED -> FILLED: execution
REJECTED -> FILLED: execution
CANCELLED [code] -> WORKING: broker
REJECTED [code] -> WORKING: broker
CANCELLED [person] -> WORKING: broker
CANCELLED [person] -> HELD: broker
REJECTED [person] -> WORKING: broker
REJECTED [person] -> HELD: broker
CANCELLED [inferred] -> WORKING: broker
CANCELLED [inferred] -> HELD: broker
REJECTED [inferred] -> WORKING: broker
REJECTED [inferred] -> HELD: broker

ignored
FILLED -> WORKING: broker
FILLED -> HELD: broker
FILLED -> CANCELLED: broker code
FILLED -> REJECTED: broker code
REJECTED -> CANCELLED: broker code
CANCELLED [broker] -> WORKING: broker
CANCELLED [broker] -> HELD: broker
REJECTED [broker] -> WORKING: broker
REJECTED [broker] -> HELD: broker
CANCELLED [code] -> HELD: broker
REJECTED [code] -> HELD: broker
"""

Cell = tuple[OrderStatus, Evidence | None, OrderStatus, Evidence]


def written_out() -> dict[Cell, Verdict]:
    """The table above, a cell a key."""
    cells: dict[Cell, Verdict] = {}
    verdict = Verdict.ILLEGAL
    for line in GRID.strip().splitlines():
        if "->" not in line:
            verdict = Verdict(line) if line else verdict
            continue
        left, _, right = line.partition(" -> ")
        word, _, basis = left.partition(" ")
        following, _, evidence = right.partition(": ")
        bases = [*Evidence, None] if not basis else [None if basis == "[none]" else Evidence(basis.strip("[]"))]
        for each, proof in product(bases, evidence.split()):
            cell = (OrderStatus(word), each, OrderStatus(following), Evidence(proof))
            assert cell not in cells, f"written twice: {line}"
            cells[cell] = verdict
    return cells


EXPECTED = written_out()


@pytest.mark.parametrize("status", OrderStatus)
@pytest.mark.parametrize("basis", [None, *Evidence])
def test_every_step_is_judged_as_written(status: OrderStatus, basis: Evidence | None) -> None:
    for following, evidence in product(OrderStatus, Evidence):
        if following is status:
            wanted = EXPECTED.get((status, basis, following, evidence), Verdict.IGNORED)
        else:
            wanted = EXPECTED.get((status, basis, following, evidence), Verdict.ILLEGAL)
        assert judge(status, basis, following, evidence) is wanted, f"{status} ({basis}) -> {following} on {evidence}"


def test_the_table_of_this_test_names_every_way_in_and_out() -> None:
    """Every status but PENDING can be reached, and every one can be left, FILLED only by a correction."""
    moves = {(a, b, proof) for (a, _, b, proof), verdict in EXPECTED.items() if a is not b and verdict in (Verdict.LEGAL, Verdict.INCIDENT)}
    assert {b for _, b, _ in moves} == set(OrderStatus) - {OrderStatus.PENDING}
    assert {a for a, _, _ in moves} == set(OrderStatus)
    assert {(b, proof) for a, b, proof in moves if a is OrderStatus.FILLED} == {(OrderStatus.UNKNOWN, Evidence.CORRECTION)}
    assert not [move for move in moves if move[1] is OrderStatus.FILLED and move[2] is not Evidence.EXECUTION]


def test_no_terminal_status_works_again_without_an_incident() -> None:
    for (status, basis, following, evidence), verdict in EXPECTED.items():
        if status in TERMINAL and following in OPEN and verdict is not Verdict.IGNORED:
            assert verdict is Verdict.INCIDENT, (status, basis, following, evidence)


def test_the_groups_share_the_statuses_out() -> None:
    assert set(OrderStatus) == OPEN | TERMINAL
    assert not OPEN & TERMINAL
    assert WORKING < OPEN
    assert {OrderStatus.SENT} == IN_FLIGHT
    assert OrderStatus.UNKNOWN in OPEN
