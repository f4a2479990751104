"""Our words into IB's and IB's into ours: pure maps, nothing else.

The rule kept here: floats and IB's unset numbers end in this file. Inside the desk a number is a Decimal of at most 15 significant digits
or None; on the wire it is the plain text of that Decimal. What cannot be read raises ValueError, and the message counts as not decoded.
"""

from __future__ import annotations

import logging
import math
import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Context, Decimal, InvalidOperation

from ib_async import CommissionReport, Contract, Execution, Order, OrderState, TagValue
from ib_async.util import UNSET_INTEGER, parseIBDatetime

from orders.rules.commands import ContractSpec, ModifyOrder, PlaceOrder
from orders.rules.reports import (
    CommissionReported,
    ContractFacts,
    ExecutionReported,
    OpenOrderReported,
    OrderCompleted,
    OrderKey,
    OrderStatusReported,
    PositionReported,
)
from orders.rules.terms import (
    MAX_SIGNIFICANT_DIGITS,
    AdaptivePriority,
    OrderTerms,
    OrderType,
    Side,
    TimeInForce,
    TriggerMethod,
    plain,
)

log = logging.getLogger(__name__)

LARGEST_ID = 2**63 - 1  # perm ids are longs
LONGEST_EXEC_ID = 64
ADAPTIVE = "Adaptive"
PLACES = Decimal("0.00000001")  # the columns of the book keep eight
_EXACT = Context(prec=MAX_SIGNIFICANT_DIGITS)
_WIDE = Context(prec=40)
_ABSURD = Decimal("1e300")  # IB's "unset" is the largest double, and spelled in more than one way
_SIDES = {"BOT": Side.BUY, "SLD": Side.SELL, "BUY": Side.BUY, "SELL": Side.SELL}

# --- numbers, texts and times ---------------------------------------------------------------------------------------------------------


def number(value: float | str | Decimal | None) -> Decimal | None:
    """A number of a message as a Decimal of at most 15 significant digits and 8 places; None where IB left it unset.

    IB writes "unset" as the largest double or the largest 32-bit integer, and computes averages in doubles (233.33333333333334).
    """
    if value is None or value == "":
        return None
    try:
        decimal = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"not a number: {value!r}") from error
    if not decimal.is_finite() or abs(decimal) >= _ABSURD or decimal == UNSET_INTEGER:
        return None
    decimal = _EXACT.plus(decimal)
    if decimal.as_tuple().exponent < -8:  # type: ignore[operator]
        decimal = decimal.quantize(PLACES, context=_WIDE)
    return decimal + 0  # no negative zero


def required(value: float | str | Decimal | None, name: str) -> Decimal:
    """As `number`, where the message makes no sense without it."""
    decimal = number(value)
    if decimal is None:
        raise ValueError(f"{name} is not set")
    return decimal


LONGEST_TEXT = 2000  # of a message; what is longer is no message for a person
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp"}  # controls, and marks that turn the direction of what follows: nobody sees them, and they deceive


def inert(text: str) -> str:
    """A word of a message without what cannot be seen: no line break for a log, no escape for a terminal, no mark that turns a page."""
    if text.isascii() and text.isprintable():
        return text[:LONGEST_TEXT]
    return "".join(" " if unicodedata.category(letter) in _INVISIBLE else letter for letter in text[:LONGEST_TEXT])


def readable(text: str) -> str:
    """A text of IB's for a person: it writes other letters as \\uXXXX and line breaks as markup. It is shown as text, never as markup."""
    text = text[: 8 * LONGEST_TEXT]
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    # Letters beyond 16 bits come as two halves; half a letter alone can be put into no database and no hash.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(inert(re.sub(r"<br ?/?>", " ", text)).split())


_ZONES = {"HKT": "Asia/Hong_Kong", "JST": "Asia/Tokyo", "SGT": "Asia/Singapore", "EDT": "America/New_York", "CDT": "America/Chicago",
          "PDT": "America/Los_Angeles", "BST": "Europe/London", "China Standard Time": "Asia/Shanghai"}  # fmt: skip


def moment(text: str) -> datetime | None:
    """A time of IB's ("20260413 15:27:04 US/Eastern", epoch seconds, or naive, which today's gateways mean as UTC) in UTC, or None."""
    if not text:
        return None
    try:
        parsed = parseIBDatetime(_in_a_known_zone(text))
    except Exception:  # noqa: BLE001 - an unknown zone or spelling: the time is left out, the fact stays
        return None
    if not isinstance(parsed, datetime):
        return datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC) if isinstance(parsed, date) else None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def _in_a_known_zone(text: str) -> str:
    day, _, rest = text.partition(" ")
    hour, _, zone = rest.partition(" ")
    return f"{day} {hour} {_ZONES[zone]}" if zone in _ZONES else text


def execution_time(text: str, heard_at: datetime) -> str:
    """The time of an execution in a spelling that the library reads. Some gateways name their zone by letters that no table of zones has.

    A fill is not lost for the sake of its time: where that cannot be read, it is the moment at which it was heard.
    """
    text = _in_a_known_zone(text)
    if len(text) != 8 and moment(text) is not None:
        return text
    log.warning("The time of an execution cannot be read: %s", inert(text[:100]))
    return heard_at.astimezone(UTC).strftime("%Y%m%d-%H:%M:%S")


# --- out ------------------------------------------------------------------------------------------------------------------------------


def ib_contract(spec: ContractSpec) -> Contract:
    """The contract of an order or request: conId and exchange decide; stale copies of other fields make code 478."""
    return Contract(conId=spec.con_id, exchange=spec.exchange or "SMART")


def ib_order(frame: PlaceOrder | ModifyOrder) -> Order:
    """The order of a frame, with every field that IB would else fill from a preset (10349: time in force) or ask for (435: account)."""
    order = ib_terms(frame.terms, frame.account)
    order.orderId = frame.ib_order_id
    order.orderRef = frame.client_order_id
    order.parentId = frame.parent_ib_order_id
    order.ocaGroup = frame.oca_group
    order.ocaType = frame.oca_type
    order.transmit = frame.transmit
    return order


def ib_terms(terms: OrderTerms, account: str) -> Order:
    """An order with these terms and nothing else. Numbers go out as their plain text: no float, no exponent."""
    order = Order(action=terms.side.value, orderType=terms.order_type.value, tif=terms.time_in_force.value, outsideRth=terms.outside_rth)
    order.account = account
    order.totalQuantity = plain(terms.quantity)  # type: ignore[assignment]  # the library writes a text as it is
    if terms.order_type.has_limit:
        order.lmtPrice = plain(_priced(terms.limit_price, "limit price"))  # type: ignore[assignment]
    if terms.order_type.has_trigger:
        order.auxPrice = plain(_priced(terms.stop_price, "stop price"))  # type: ignore[assignment]
    if terms.order_type.trails:
        _trail(order, terms)
    if terms.good_till is not None:
        order.goodTillDate = ib_moment(terms.good_till)
    if terms.good_after is not None:
        order.goodAfterTime = ib_moment(terms.good_after)
    order.allOrNone, order.hidden, order.triggerMethod = terms.all_or_none, terms.hidden, int(terms.trigger_method)
    if terms.display_size is not None:
        order.displaySize = int(terms.display_size)
    if terms.adaptive is not AdaptivePriority.NONE:
        order.algoStrategy, order.algoParams = ADAPTIVE, [TagValue("adaptivePriority", terms.adaptive.value)]
    return order


def _trail(order: Order, terms: OrderTerms) -> None:
    """A trailing stop: its distance as an amount (auxPrice) or in percent, never both, and where it begins, where that is given."""
    if terms.trail_percent is not None:
        order.trailingPercent = plain(terms.trail_percent)  # type: ignore[assignment]
    else:
        order.auxPrice = plain(_priced(terms.trail_amount, "trailing amount"))  # type: ignore[assignment]
    if terms.stop_price is not None:
        order.trailStopPrice = plain(terms.stop_price)  # type: ignore[assignment]
    if terms.order_type is OrderType.TRAIL_LIMIT:
        order.lmtPriceOffset = plain(_priced(terms.limit_offset, "limit offset"))  # type: ignore[assignment]


def ib_moment(moment: datetime) -> str:
    """A moment as IB takes it without asking which zone is meant: UTC with a dash ("20261125-18:30:00")."""
    return moment.astimezone(UTC).strftime("%Y%m%d-%H:%M:%S")


def _priced(price: Decimal | None, name: str) -> Decimal:
    if price is None:
        raise ValueError(f"an order without its {name} cannot be written")
    return price


# --- in: orders -----------------------------------------------------------------------------------------------------------------------


def contract_facts(contract: Contract) -> ContractFacts:
    """The contract as a message names it. "?" and "0" are IB's ways to say that there is no right."""
    return ContractFacts(
        con_id=lasting_id(contract.conId, "conId"),
        symbol=inert(contract.symbol),
        sec_type=inert(contract.secType),
        currency=inert(contract.currency),
        exchange=inert(contract.exchange),
        primary_exchange=inert(contract.primaryExchange),
        local_symbol=inert(contract.localSymbol),
        trading_class=inert(contract.tradingClass),
        multiplier=number(contract.multiplier or None) or Decimal(1),
        expiry=inert(contract.lastTradeDateOrContractMonth),
        strike=number(contract.strike) or Decimal(0),
        right=contract.right[:1] if contract.right[:1] in ("C", "P") else "",
    )


def ib_id(value: int) -> int:
    """An order id of a message; 0 where it names none. Executions of manual orders carry the unset integer."""
    return int(value) if 0 < value < UNSET_INTEGER else 0


def lasting_id(value: int, name: str) -> int:
    """An id that is kept in the book; 0 where there is none. What no column holds is no id, and the message is of no use."""
    if not 0 <= value <= LARGEST_ID:
        raise ValueError(f"{name} is {value}")
    return int(value)


def client(value: int) -> int:
    """The number of a client; those of orders entered by hand are negative or unset."""
    return int(value) if abs(value) < UNSET_INTEGER else UNSET_INTEGER


def order_side(order: Order) -> Side | None:
    """The side; a short sale of an institution (SSHORT, SLONG) sells."""
    if order.action in ("SSHORT", "SLONG"):
        return Side.SELL
    return Side(order.action) if order.action in _SIDES else None


def order_terms(order: Order) -> OrderTerms | None:
    """The terms in our words, or None where the broker uses a side, type or time in force that we have no word for."""
    try:
        side, order_type, time_in_force = Side(order.action), OrderType(order.orderType), TimeInForce(order.tif or "DAY")
    except ValueError:
        return None
    quantity = number(order.totalQuantity)
    if not quantity:  # a completed order may come with a quantity of 0
        return None
    prices = _prices(order, order_type)
    if prices is None:
        return None
    return OrderTerms(
        side=side,
        order_type=order_type,
        quantity=quantity,
        time_in_force=time_in_force,
        outside_rth=bool(order.outsideRth),
        good_till=moment(order.goodTillDate) if time_in_force is TimeInForce.GTD else None,
        good_after=moment(order.goodAfterTime),
        all_or_none=bool(order.allOrNone),
        hidden=bool(order.hidden),
        display_size=number(order.displaySize) or None,
        trigger_method=_trigger_method(order.triggerMethod),
        adaptive=_adaptive(order),
        **prices,
    )


def _prices(order: Order, order_type: OrderType) -> dict[str, Decimal | None] | None:
    """The prices that belong to the type; None where one that it cannot do without is missing."""
    limit_price, aux_price = number(order.lmtPrice), number(order.auxPrice)
    prices: dict[str, Decimal | None] = {}
    if order_type.has_limit:
        prices["limit_price"] = limit_price
    if order_type.has_trigger:
        prices["stop_price"] = aux_price
    if None in prices.values():
        return None
    if order_type.trails:
        percent = number(order.trailingPercent) or None
        distance = {"trail_percent": percent} if percent else {"trail_amount": aux_price or None}
        if None in distance.values():
            return None
        prices |= {"stop_price": number(order.trailStopPrice) or None, **distance}
        if order_type is OrderType.TRAIL_LIMIT:
            prices["limit_offset"] = _offset(order, prices["stop_price"], limit_price)
    return prices


def _offset(order: Order, stop: Decimal | None, limit: Decimal | None) -> Decimal | None:
    """The distance of the limit from the stop of a TRAIL LIMIT; of one that was given a limit instead it follows from the two prices."""
    offset = number(order.lmtPriceOffset)
    if offset is not None or stop is None or not limit:
        return offset
    return stop - limit if order.action == "SELL" else limit - stop


def _trigger_method(value: int) -> TriggerMethod:
    try:
        return TriggerMethod(value)
    except ValueError:
        return TriggerMethod.DEFAULT


def _adaptive(order: Order) -> AdaptivePriority:
    if order.algoStrategy != ADAPTIVE:
        return AdaptivePriority.NONE
    values = [tag.value for tag in order.algoParams or () if tag.tag == "adaptivePriority"]
    return AdaptivePriority(values[0]) if values and values[0] in set(AdaptivePriority) else AdaptivePriority.NORMAL


def order_status(
    order_id: int, word: str, filled: float, remaining: float, average_price: float, perm_id: int, client_id: int, why_held: str
) -> OrderStatusReported:
    """An orderStatus. It names no account, no contract and no orderRef; its filled quantity is a hint, never the count."""
    filled_quantity = number(filled) or Decimal(0)
    return OrderStatusReported(
        key=OrderKey(client_id=client(client_id), ib_order_id=ib_id(order_id), perm_id=lasting_id(perm_id, "permId")),
        word=inert(word),
        filled=filled_quantity,
        remaining=number(remaining) or Decimal(0),
        average_price=number(average_price) if filled_quantity else None,
        why_held=inert(why_held),
    )


def open_order(order_id: int, contract: Contract, order: Order, state: OrderState) -> OpenOrderReported:
    """An openOrder, whoever placed the order. The group type says nothing by itself: plain orders come back with type 3."""
    return OpenOrderReported(
        key=OrderKey(client(order.clientId), ib_id(order_id), lasting_id(order.permId, "permId"), inert(order.orderRef)),
        account=inert(order.account),
        contract=contract_facts(contract),
        terms=order_terms(order),
        word=inert(state.status),
        type_word=inert(f"{order.orderType} {order.tif}".strip()),
        warning_text=readable(state.warningText),
        oca_group=inert(order.ocaGroup),
        oca_type=order.ocaType if order.ocaGroup else 0,
        parent_ib_order_id=ib_id(order.parentId),
        side=order_side(order),
        quantity=number(order.totalQuantity),
    )


def completed_order(contract: Contract, order: Order, state: OrderState) -> OrderCompleted:
    """A completedOrder; the wire gives it no order id and no client id."""
    return OrderCompleted(
        key=OrderKey(perm_id=lasting_id(order.permId, "permId"), client_order_id=inert(order.orderRef)),
        account=inert(order.account),
        contract=contract_facts(contract),
        terms=order_terms(order),
        word=inert(state.status),
        completed_status=readable(state.completedStatus),
        completed_at=moment(state.completedTime),
        filled_quantity=number(order.filledQuantity),
        type_word=inert(f"{order.orderType} {order.tif}".strip()),
        side=order_side(order),
        quantity=number(order.totalQuantity),
    )


def execution(contract: Contract, fill: Execution, *, live: bool) -> ExecutionReported:
    """One execution, or the correction of one: the broker says which by the last part of its id."""
    price = required(fill.price, "execution price")
    if fill.side not in _SIDES:
        raise ValueError(f"execution {fill.execId} has the side {fill.side!r}")
    if not 0 < len(fill.execId) <= LONGEST_EXEC_ID:
        raise ValueError(f"an execution has an id of {len(fill.execId)} letters")
    return ExecutionReported(
        key=OrderKey(client(fill.clientId), ib_id(fill.orderId), lasting_id(fill.permId, "permId"), inert(fill.orderRef)),
        exec_id=inert(fill.execId),
        account=inert(fill.acctNumber),
        contract=contract_facts(contract),
        side=_SIDES[fill.side],
        quantity=required(fill.shares, "execution quantity"),
        price=price,
        executed_at=fill.time.astimezone(UTC),
        exchange=inert(fill.exchange),
        liquidity=fill.lastLiquidity if 0 < fill.lastLiquidity < 100 else 0,
        live=live,
    )


def commission(report: CommissionReport) -> CommissionReported | None:
    """The commission of an execution; None while it is not known (unset, or the -1 that some gateways send until it is)."""
    amount = number(report.commission)
    if amount is None or amount == -1:
        return None
    if not 0 < len(report.execId) <= LONGEST_EXEC_ID:
        raise ValueError(f"a commission names an execution with an id of {len(report.execId)} letters")
    return CommissionReported(
        exec_id=inert(report.execId), amount=amount, currency=inert(report.currency), realized_pnl=number(report.realizedPNL)
    )


def position(account: str, contract: Contract, quantity: float, average_cost: float) -> PositionReported:
    """A position; its average cost is of one unit times the multiplier, commissions included. Quantity 0: it is flat."""
    if not math.isfinite(quantity):
        raise ValueError(f"position of {contract.conId} in {account} is {quantity}")
    return PositionReported(
        account=inert(account),
        contract=contract_facts(contract),
        quantity=required(quantity, "position"),
        average_cost=number(average_cost) or Decimal(0),
    )
