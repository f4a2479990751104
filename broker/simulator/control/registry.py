"""The table of control commands, what they share, and how one line is done.

The rule kept: a command never raises out of here. Whatever goes wrong is an `error` line that says what.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from broker.simulator.orderbook import BookedOrder
from broker.simulator.scenario import ScenarioProblem
from broker.simulator.scenarios import BUILDERS
from broker.simulator.session import Session

if TYPE_CHECKING:
    from broker.simulator.server import SimulatedGateway

log = logging.getLogger(__name__)
Words = list[str]
Run = Callable[["SimulatedGateway", Words], str]


class CommandProblem(Exception):
    """A command that cannot be done; the text is the answer."""


@dataclass(frozen=True)
class Command:
    usage: str
    run: Run
    injects: bool


COMMANDS: dict[str, Command] = {}


def command(usage: str, *, injects: bool = False) -> Callable[[Run], Run]:
    """Registers a command under the first word of its usage. One that injects a fault leaves a line in the ledger each time it is done."""

    def register(run: Run) -> Run:
        COMMANDS[usage.split()[0]] = Command(usage, run, injects)
        return run

    return register


def execute(server: SimulatedGateway, line: str) -> str:
    """Does one command line; the answer is one line, `ok ...` or `error ...`."""
    words: Words = []
    try:
        words = shlex.split(line)
        if not words:
            raise CommandProblem("empty command; try: help")
        found = COMMANDS.get(words[0])
        if found is not None:
            answer = found.run(server, words[1:])
            if found.injects:
                server.core.ledger.injected(words[0], server.core.now(), details=line)
            return f"ok {answer}".strip()
        if words[0] in BUILDERS:
            server.core.scenarios.add(words[0], words[1:])
            return f"ok {words[0]}"
        raise CommandProblem(f"unknown command {words[0]}; try: help")
    except (CommandProblem, ScenarioProblem) as problem:
        return f"error {problem}".replace("\n", " ")
    except (IndexError, ValueError, InvalidOperation, KeyError) as problem:
        usage = COMMANDS[words[0]].usage if words and words[0] in COMMANDS else "help"
        return f"error {problem or type(problem).__name__}; usage: {usage}".replace("\n", " ")
    except Exception as problem:
        log.exception("The control command %r failed", line)
        return f"error internal: {type(problem).__name__}: {problem}".replace("\n", " ")


def decimal_of(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise CommandProblem(f"not a number: {text}")
    return number


def con_id_of(server: SimulatedGateway, word: str) -> int:
    """A contract id, or the instrument whose local symbol is `word`."""
    for con_id, instrument in server.exchange.instruments.items():
        if word in (str(con_id), instrument.local_symbol):
            return con_id
    raise CommandProblem(f"no instrument {word}")


def session_of(server: SimulatedGateway, word: str) -> Session:
    """The connected client with this id."""
    for session in server.core.ready_sessions():
        if session.client_id == int(word):
            return session
    raise CommandProblem(f"no client {word} is connected")


def owner_of(server: SimulatedGateway, order: BookedOrder) -> Session:
    return session_of(server, str(order.request.client_id))


def account_of(server: SimulatedGateway, word: str) -> str:
    if word not in server.exchange.accounts:
        raise CommandProblem(f"no account {word}")
    return word


def order_of(server: SimulatedGateway, word: str) -> BookedOrder:
    """The order a person means: `last`, its permanent id, `CLIENT:ORDERID`, or its reference; of several, the newest."""
    orders = [one for one in server.exchange.book.orders.values() if one.transmitted]
    found = [one for one in orders if word in ("last", str(one.perm_id), "{}:{}".format(*one.ids), one.request.order_ref)]
    if not found:
        raise CommandProblem(f"no order {word} today")
    return max(found, key=lambda one: one.perm_id)


def named_of(words: Words, *names: str) -> dict[str, Decimal]:
    """Takes the `name=number` words out of `words`; only these names are known."""
    given = [word for word in words if "=" in word]
    words[:] = [word for word in words if word not in given]
    found = {name: decimal_of(text) for name, text in (word.split("=", 1) for word in given)}
    if found.keys() - set(names):
        raise CommandProblem(f"unknown {', '.join(sorted(found.keys() - set(names)))}; known: {' '.join(names)}")
    return found


def texts_of(words: Words, *names: str) -> dict[str, str]:
    """Takes the `name=text` words with these names out of `words`."""
    given = [word for word in words if word.partition("=")[0] in names and "=" in word]
    words[:] = [word for word in words if word not in given]
    return {name: text for name, _, text in (word.partition("=") for word in given)}


def flag_of(words: Words, name: str) -> bool:
    """Takes an optional word out of `words`; whether it was there."""
    if name in words:
        words.remove(name)
        return True
    return False
