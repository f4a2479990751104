"""Control commands of the market, the clock and what stands at the exchange."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from broker.simulator.control.registry import COMMANDS, CommandProblem, Words, command, con_id_of, decimal_of
from broker.simulator.hours import CLOSE, OPEN
from broker.simulator.scenarios import BUILDERS

if TYPE_CHECKING:
    from broker.simulator.server import SimulatedGateway

MOST_SECONDS_FORWARD = 366 * 86_400


@command("quote SYMBOL BID ASK [BIDSIZE ASKSIZE]")
def _quote(server: SimulatedGateway, words: Words) -> str:
    con_id, bid, ask = con_id_of(server, words[0]), decimal_of(words[1]), decimal_of(words[2])
    sizes = [str(decimal_of(word)) for word in words[3:5]] + [None, None]
    if not 0 < bid <= ask:
        raise CommandProblem(f"not a quote: bid {bid}, ask {ask}")
    with server.core.turn():
        server.core.change("set_quote", instrument=con_id, bid=str(bid), ask=str(ask), bid_size=sizes[0], ask_size=sizes[1])
    return f"{words[0]} {bid} {ask}"


@command("release-quote SYMBOL")
def _release_quote(server: SimulatedGateway, words: Words) -> str:
    con_id = con_id_of(server, words[0])
    with server.core.turn():
        server.core.change("release_quote", instrument=con_id)
    return words[0]


@command("tick SECONDS")
def _tick(server: SimulatedGateway, words: Words) -> str:
    seconds = float(decimal_of(words[0]))
    if not 0 <= seconds <= MOST_SECONDS_FORWARD:
        raise CommandProblem("the clock goes forward only, and by a year at most")
    server.core.advance(seconds)
    return server.core.now().isoformat()


@command("cancel-delay STEPS")
def _cancel_delay(server: SimulatedGateway, words: Words) -> str:
    """From here on a cancel is confirmed after so many steps of the market; the order is PendingCancel meanwhile and can still fill."""
    with server.core.turn():
        server.core.change("set_cancel_delay", steps=max(0, int(words[0])))
    return words[0]


@command("auction open|close [SYMBOL]")
def _auction(server: SimulatedGateway, words: Words) -> str:
    """The opening or closing auction now, of one instrument or of all that have orders waiting for it; the answer counts executions."""
    which = words[0]
    if which not in (OPEN, CLOSE):
        raise CommandProblem("an auction is that of the open or of the close")
    con_id = con_id_of(server, words[1]) if words[1:] else 0
    before = server.exchange.exec_count
    with server.core.turn():
        server.core.change("auction", which=which, instrument=con_id)
    return f"{which} {server.exchange.exec_count - before}"


@command("fok-answer cancelled|inactive")
def _fok_answer(server: SimulatedGateway, words: Words) -> str:
    """How a FOK that could not be filled is told from here on: PendingCancel and Cancelled, or Inactive; never with a code."""
    if words[0] not in ("cancelled", "inactive"):
        raise CommandProblem("a FOK ends as cancelled or as inactive")
    with server.core.turn():
        server.core.change("set_kill_answer", inactive=words[0] == "inactive")
    return words[0]


@command("position ACCOUNT SYMBOL QTY AVGCOST", injects=True)
def _position(server: SimulatedGateway, words: Words) -> str:
    account, con_id, quantity, cost = words[0], con_id_of(server, words[1]), decimal_of(words[2]), decimal_of(words[3])
    if account not in server.exchange.accounts:
        raise CommandProblem(f"no account {account}")
    with server.core.turn():
        server.core.change("set_position", account=account, con_id=con_id, quantity=str(quantity), average_cost=str(cost))
    return f"{account} {words[1]} {quantity} {cost}"


# --- what is there ----------------------------------------------------------------------------------------------------------------


def _json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _list(values: list[Any]) -> str:
    return json.dumps([_json(value) for value in values])


@command("orders")
def _orders(server: SimulatedGateway, words: Words) -> str:
    return _list([*server.exchange.open_orders(), *server.exchange.completed_orders(server.core.now())])


@command("executions")
def _executions(server: SimulatedGateway, words: Words) -> str:
    return _list([fill for fill, _ in server.exchange.fills(server.core.now())])


@command("positions")
def _positions(server: SimulatedGateway, words: Words) -> str:
    return _list(server.exchange.positions())


@command("clients")
def _clients(server: SimulatedGateway, words: Words) -> str:
    return json.dumps([{"client_id": one.client_id, "server_version": one.server_version} for one in server.core.ready_sessions()])


@command("now")
def _now(server: SimulatedGateway, words: Words) -> str:
    return server.core.now().isoformat()


@command("help")
def _help(server: SimulatedGateway, words: Words) -> str:
    usages = [one.usage for one in COMMANDS.values()] + [f"{name} {usage}".strip() for name, (usage, _) in BUILDERS.items()]
    return " | ".join(usages)
