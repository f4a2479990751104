"""Commands that wait: for orders that must be gone first, for their quantity, or in vain.

The rule it keeps: "cancel, wait, then place" survives a crash, because the waiting is in the rows. What waits too long is given up, never
sent late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from orders.book import OpenBook
from orders.exposure import OPEN_COMMAND_STATES, closing_side, position_of, unprotected
from orders.holdings import SETTLES
from orders.models import BrokerCommand, Execution, OrderRecord
from orders.models.book import Source
from orders.rules.lifecycle import TERMINAL
from orders.rules.terms import CommandKind, CommandState, Role, Side, plain
from orders.steps import end, reject, withdraw

TOO_OLD = timedelta(seconds=60)
"""A PLACE or MODIFY that waited longer is refused: the market it was meant for is gone. Late is never."""

STALE_PLACE = "It waited more than 60 seconds to be sent; place it again if it is still meant."
STALE_CHANGE = "The change waited more than 60 seconds to be sent; ask again if it is still meant."

STEP_LIFE = timedelta(seconds=30)
"""A step whose cancels were not confirmed within this time is withdrawn, and a person is told."""

QuantityRule = BrokerCommand.QuantityRule

_PENDING = CommandState.PENDING.value
_GONE = [status.value for status in TERMINAL]


@dataclass(frozen=True)
class Pending:
    """What kinds of command wait to be sent, in one small query: reading the rows of each kind, with all they refer to, costs far more."""

    cancels: bool
    others: bool  # orders and changes
    for_others: bool  # orders that wait for others to be gone first

    @classmethod
    def now(cls) -> Pending:
        """Ask under the book's lock: what waits is then all that waits."""
        rows = BrokerCommand.objects.filter(state=_PENDING).order_by().values_list("kind", "claimable_at")
        kinds = {(kind, claimable_at is None) for kind, claimable_at in rows}
        return cls(
            cancels=any(kind == CommandKind.CANCEL for kind, _ in kinds),
            others=any(kind != CommandKind.CANCEL for kind, _ in kinds),
            for_others=(CommandKind.PLACE.value, True) in kinds,
        )


def release(b: OpenBook) -> None:
    """Makes the commands claimable whose `after` orders are all terminal; their age runs from now."""
    waiting = BrokerCommand.objects.filter(state=_PENDING, kind=CommandKind.PLACE.value, claimable_at=None).select_related("order__account")
    for command in waiting.order_by("pk"):
        gone = OrderRecord.objects.filter(client_order_id__in=command.after, status__in=_GONE).count()
        if gone == len(set(command.after)) and not _exits_move(command):
            with b.event("order.released", source=Source.SYSTEM, order=command.order) as fact:
                fact.set(command, claimable_at=b.now)


def _exits_move(command: BrokerCommand) -> bool:
    """A close of a part waits until no order on its side is being changed: the exits of the rest are made smaller first."""
    if command.quantity_rule != QuantityRule.AT_MOST:
        return False
    order = command.order
    changing = BrokerCommand.objects.filter(kind=CommandKind.MODIFY.value, state__in=OPEN_COMMAND_STATES)
    return changing.filter(order__account=order.account_id, order__contract=order.contract_id, order__side=order.side).exists()


def take_quantity(b: OpenBook, commands: list[BrokerCommand]) -> bool:
    """Gives a unit that waited the quantity that is left to close. False where it may not go now: nothing is left, or the position moves.

    An order that closes the whole takes what is held by now; one that closes a part, and exits, never take more than was asked.
    """
    rule = commands[0].quantity_rule
    if rule == QuantityRule.FIXED:
        return True
    left, reported = _left_to_close(b, [command.order for command in commands])
    if left is None:
        return False
    if rule == QuantityRule.REVERSE:
        return _take_reverse(b, commands[0], left)
    if left == 0:
        _nothing_left(b, commands)
        return False
    given: dict[tuple[str, int], Decimal] = {}
    for command in list(commands):
        pair = _pair(command.order)
        if pair not in given:  # the members of a pair exit the same; pairs share what there is, the first of them first
            given[pair] = min(left - sum(given.values()), command.order.quantity)
        if given[pair] > 0:
            _size(b, command, left if _takes_all(command) else given[pair], left, reported)
        else:
            commands.remove(command)
            withdraw(b, command, "NOTHING_TO_CLOSE", "Nothing is left for this pair of exits: those before it close the rest.")
    return True


def _pair(order: OrderRecord) -> tuple[str, int]:
    return ("group", order.oca_group_id) if order.oca_group_id is not None else ("order", order.pk)


def _takes_all(command: BrokerCommand) -> bool:
    return command.quantity_rule == QuantityRule.POSITION and command.order.role in (Role.CLOSE, Role.LIQUIDATION)


def _nothing_left(b: OpenBook, commands: list[BrokerCommand]) -> None:
    words, attention = "Nothing is left to close: the position is flat, or other orders close it.", False
    order = commands[0].order
    if commands[0].quantity_rule == QuantityRule.AT_MOST and position_of(order.account, order.contract) is not None:
        words, attention = "Not sent: the exits of the position were not made smaller, and close all of it.", True
    for command in commands:
        withdraw(b, command, "NOTHING_TO_CLOSE", words, attention=attention)


def _size(b: OpenBook, command: BrokerCommand, quantity: Decimal, left: Decimal, reported: Decimal) -> None:
    order = command.order
    if quantity == order.quantity:
        return
    words = f"The quantity is {plain(quantity)} now."
    flags = {} if left == reported else {"needs_attention": True, "attention_text": _smaller(left, reported)}
    with b.event("order.sized", source=Source.SYSTEM, order=order, text=words) as fact:
        fact.set(order, quantity=quantity, **flags)


def _take_reverse(b: OpenBook, command: BrokerCommand, left: Decimal) -> bool:
    """Twice the position. It opens one, so nothing is guessed: where the position is in doubt, or others close it, it does not go."""
    order = command.order
    position = position_of(order.account, order.contract)
    held = abs(position.quantity) if position is not None and closing_side(position.quantity) == order.side else Decimal(0)
    if held == 0:
        withdraw(b, command, "NOTHING_TO_CLOSE", "There is no position left to reverse.")
        return False
    if left != held:
        words = f"Not sent: of the position of {plain(held)} other orders or executions not yet reported close {plain(held - left)}."
        withdraw(b, command, "POSITION_MOVED", words, attention=True)
        return False
    if order.quantity != 2 * held:
        with b.event("order.sized", source=Source.SYSTEM, order=order, text=f"The quantity is {plain(2 * held)} now.") as fact:
            fact.set(order, quantity=2 * held)
    return True


def _left_to_close(b: OpenBook, unit: list[OrderRecord]) -> tuple[Decimal | None, Decimal]:
    """(what may be closed, what the reported position alone would say). None while an execution is younger than the position settles.

    Where the report still does not tell, the smaller of both readings counts: closing too little leaves a rest that everybody sees,
    closing too much opens the reverse position.
    """
    order = unit[0]
    side = Side(order.side)
    left = unprotected(order.account, order.contract, side, without=[member.pk for member in unit])
    position = position_of(order.account, order.contract)
    if position is None or closing_side(position.quantity) is not side:
        return Decimal(0), Decimal(0)
    # By seq, not by time: one batch of messages may bring both, and only their order tells which knew of the other.
    newer = Execution.objects.filter(account=order.account, contract=order.contract, counts=True, seq__gt=position.seq)
    moves = [(Side(row.side).sign * row.quantity, row.received_at) for row in newer]
    if not moves:
        return left, left
    if b.now - max(at for _, at in moves) < SETTLES:
        return None, left
    closed = max(sum((quantity for quantity, _ in moves), Decimal(0)) * side.sign, Decimal(0))
    return max(left - closed, Decimal(0)), left


def _smaller(quantity: Decimal, reported: Decimal) -> str:
    return f"Closes {plain(quantity)} of {plain(reported)}: the position does not show the newest executions yet. Look at what is left."


def give_up(b: OpenBook) -> None:
    """Refuses what is too old to be sent, and withdraws the steps whose cancels were not confirmed in time."""
    pending = BrokerCommand.objects.filter(state=_PENDING).exclude(kind=CommandKind.CANCEL.value).select_related("order__account")
    for command in pending.order_by("pk"):
        if command.claimable_at is None:
            if b.now - command.created_at > STEP_LIFE:
                words = "Not sent: the orders that had to be cancelled first were not confirmed gone within 30 seconds."
                withdraw(b, command, "STEP_TIMEOUT", words, attention=True)
        elif b.now - command.claimable_at > TOO_OLD:
            if command.kind == CommandKind.PLACE:
                reject(b, command, "STALE", STALE_PLACE)
            else:
                end(b, command, CommandState.REFUSED, "STALE", STALE_CHANGE)
