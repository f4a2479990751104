"""What filled and what is held: each execution once, quantities as executions and as the ledger say, no exit that turned a position.

The rule it keeps: sums are made anew here, from the executions as they came; neither the flag that says which counts nor the figure that
stands in the order's row is trusted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal

from orders.holdings import NOT_HELD
from orders.invariants.evidence import Evidence, name
from orders.invariants.finding import Finding
from orders.invariants.ledger import Ledger, Trade
from orders.invariants.sending import NO_LEDGER
from orders.models import Execution, OrderRecord, Position
from orders.rules.terms import Side, plain


def filled_adds_up(seen: Evidence) -> Finding:
    """I3: filled = sum of effective executions = ledger."""
    found = []
    for order in seen.orders.values():
        total = seen.filled(order)
        if order.filled_quantity != total:
            found.append(f"{name(order)} has filled {plain(order.filled_quantity)}; its executions add up to {plain(total)}")
    if seen.ledger is not None:
        found += _against_ledger(seen, seen.ledger)
    title = "filled = sum of executions = ledger" if seen.ledger else "filled = sum of executions"
    return Finding("I3", title, len(seen.orders), "orders", found, "" if seen.ledger else NO_LEDGER)


def _against_ledger(seen: Evidence, ledger: Ledger) -> Iterator[str]:
    """Each execution of an order that the book knows, in both directions, and the sums."""
    traded: dict[int, Decimal] = defaultdict(Decimal)
    excused: set[int] = set()
    known = {row.exec_id for row in seen.executions.values()}
    for trade in ledger.trades.values():
        order = order_of(seen, trade)
        if order is None or trade.con_id != seen.contracts[order.contract_id].con_id:
            continue
        traded[order.pk] += trade.shares
        if trade.exec_id in known:
            continue
        if _cannot_be_asked(ledger, trade) and _is_told(seen, order):
            excused.add(order.pk)
        else:
            yield f"execution {trade.exec_id} of {name(order)} ({plain(trade.shares)} at {plain(trade.price)}) is not in the book"
    for order in seen.orders.values():
        if seen.at_the_broker(order) or order.pk in traded:
            total = traded[order.pk]
            if order.filled_quantity != total and order.pk not in excused:
                yield f"{name(order)} has filled {plain(order.filled_quantity)} in the book and {plain(total)} at the broker"


def order_of(seen: Evidence, trade: Trade) -> OrderRecord | None:
    """The order of the book that an execution of the ledger belongs to: ours by its name, placed elsewhere by its perm id."""
    if trade.client in seen.clients and trade.reference in seen.by_reference:
        return seen.by_reference[trade.reference]
    order = seen.by_perm_id.get(trade.perm_id)
    return order if order is not None and order.is_external else None


def _cannot_be_asked(ledger: Ledger, trade: Trade) -> bool:
    """Whether the gateway has no answer about it any more: it was wiped since, or its list of executions began anew at midnight."""
    return trade.forgotten or trade.time[:10] < ledger.last_time[:10]


def _is_told(seen: Evidence, order: OrderRecord) -> bool:
    return seen.is_shown(order) or _is_break(seen, order.account_id, order.contract_id)


def position_adds_up(seen: Evidence) -> Finding:
    """I4: position = opening + executions = ledger, or an incident says so."""
    sums: dict[tuple[int, int], Decimal] = defaultdict(Decimal)
    for row in seen.counting.values():
        sums[row.account_id, row.contract_id] += Side(row.side).sign * row.quantity
    rows = {(row.account_id, row.contract_id): row for row in seen.positions.values()}
    known = {pk for pk, account in seen.accounts.items() if account.positions_known_at is not None}
    found = []
    for account, contract in sorted(rows.keys() | sums.keys()):
        if account not in known or contract not in seen.contracts or seen.contracts[contract].sec_type in NOT_HELD:
            continue
        row = rows.get((account, contract))
        held, explained = (row.quantity, row.opening) if row else (Decimal(0), Decimal(0))
        explained += sums[account, contract]
        if held != explained and not _is_break(seen, account, contract, row):
            words = f"holds {plain(held)}; opening and executions give {plain(explained)}"
            found.append(f"{_what(seen, account, contract)} {words}")
    if seen.ledger is not None:
        found += _held_at_the_broker(seen, seen.ledger, rows)
    judged = sum(account in known for account, _ in rows.keys() | sums.keys())
    why = "" if len(known) == len(seen.accounts) else "accounts whose positions were never told whole have no opening to count from"
    title = "position = opening + executions = ledger, or an incident" if seen.ledger else "position = opening + executions, or an incident"
    return Finding("I4", title, judged + (len(seen.ledger.positions) if seen.ledger else 0), "positions", found, why)


def _held_at_the_broker(seen: Evidence, ledger: Ledger, rows: dict[tuple[int, int], Position]) -> Iterator[str]:
    con_ids = {contract.con_id: pk for pk, contract in seen.contracts.items()}
    held = {(seen.codes[code], con_ids.get(con_id, 0)): total for (code, con_id), total in ledger.positions.items() if code in seen.codes}
    for account, contract in sorted(held.keys() | {key for key, row in rows.items() if row.quantity}):
        row = rows.get((account, contract))
        in_book, at_broker = row.quantity if row else Decimal(0), held.get((account, contract), Decimal(0))
        if in_book != at_broker and not _is_break(seen, account, contract, row):
            yield f"{_what(seen, account, contract)} is {plain(in_book)} in the book and {plain(at_broker)} at the broker"


def _is_break(seen: Evidence, account: int, contract: int, row: Position | None = None) -> bool:
    """Whether the book itself says that the position differs: the check has noticed it, or an incident about it is open."""
    if row is not None and row.differs_since is not None:
        return True
    rows = seen.incidents.values()
    return any(one.closed_at is None and (one.account_id, one.contract_id) == (account, contract) for one in rows)


def _what(seen: Evidence, account: int, contract: int) -> str:
    label = seen.contracts[contract].label if contract in seen.contracts else "a contract that the book does not know"
    return f"account {seen.accounts[account].code}, {label}:"


def counted_once(seen: Evidence) -> Finding:
    """I5: one execution counts for each root, the newest revision; none is there twice."""
    found = [f"{times} executions bear the id {one}" for one, times in Counter(row.exec_id for row in _all(seen)).items() if times > 1]
    counting: dict[str, list[Execution]] = defaultdict(list)
    for row in _all(seen):
        if row.counts:
            counting[row.root].append(row)
    for root, best in seen.counting.items():
        if counting[root] != [best]:
            which = ", ".join(row.exec_id for row in counting[root]) or "none"
            found.append(f"of executions {root} counts {which}; the newest is {best.exec_id}")
    return Finding("I5", "each execution is counted once, as last corrected", len(seen.executions), "executions", found)


def _all(seen: Evidence) -> list[Execution]:
    return list(seen.executions.values())


def filled_only_grows(seen: Evidence) -> Finding:
    """I8: filled never goes down but by a correction, and not above the quantity without an incident."""
    found = [
        f"event {count.seq}: filled of {name(seen.orders[count.order])} went from {plain(count.before)} to {plain(count.after)}"
        for count in seen.past.counts
        if count.after < count.before and not count.corrected and count.order in seen.orders
    ]
    for order in seen.orders.values():
        over = 0 < order.quantity < order.filled_quantity  # of orders placed elsewhere the quantity may never have been told
        if over and not seen.has_incident(order, "overfill"):
            found.append(f"{name(order)} has filled {plain(order.filled_quantity)} of {plain(order.quantity)}, and no incident says so")
    return Finding("I8", "filled only grows, and not above the quantity without an incident", len(seen.orders), "orders", found)


def exits_within(seen: Evidence) -> Finding:
    """I17: exits fill no more than their entry did, or than there was to exit, or an incident says so."""
    families: dict[tuple[str, int], list[OrderRecord]] = defaultdict(list)
    for order in seen.orders.values():
        if order.oca_group_id is not None:
            families["group", order.oca_group_id].append(order)
        if order.parent_id is not None:
            families["entry", order.parent_id].append(order)
    found = []
    for (kind, pk), members in families.items():
        most = seen.orders[pk].filled_quantity if kind == "entry" else max(_largest(seen, order) for order in members)
        exited = sum((order.filled_quantity for order in members), Decimal(0))
        if exited > most and not any(seen.has_incident(order, "exits_overfilled", "overfill") for order in members):
            whose = name(seen.orders[pk]) if kind == "entry" else f"group {seen.groups[pk].name if pk in seen.groups else pk}"
            found.append(f"exits of {whose} filled {plain(exited)} where there were {plain(most)} to exit, and no incident says so")
    return Finding("I17", "exits fill no more than there is to exit, or an incident says so", len(families), "families of exits", found)


def _largest(seen: Evidence, order: OrderRecord) -> Decimal:
    """The largest quantity that the order ever had: groups of the reducing types lower it with every fill of a sibling."""
    return max(seen.past.largest.get(order.pk, order.quantity), order.quantity)
