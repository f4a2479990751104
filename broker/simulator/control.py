"""The words by which a person or a test steers the simulated gateway: one command a line, answered by one line, `ok ...` or `error ...`.

Lists are answered as JSON on that line. Commands that change the exchange go through the gateway's turns like everything else:
recorded, committed, told.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from broker.simulator.messages import answers as say
from broker.simulator.scenario import ScenarioProblem
from broker.simulator.scenarios import BUILDERS
from broker.simulator.scenarios_out import ConnectionLost, CorrectExecution, HoldAcknowledgements

if TYPE_CHECKING:
    from broker.simulator.server import SimulatedGateway

log = logging.getLogger(__name__)
MOST_SECONDS_FORWARD = 366 * 86_400
LOST = (1100, "Connectivity between IB and Trader Workstation has been lost.")
RESTORED_LOST = (1101, "Connectivity between IB and Trader Workstation has been restored - data lost.")
RESTORED = (1102, "Connectivity between IB and Trader Workstation has been restored - data maintained.")
Words = list[str]


class CommandProblem(Exception):
    """A command that cannot be done; the text is the answer."""


@dataclass(frozen=True)
class Command:
    usage: str
    run: Callable[[SimulatedGateway, Words], str]


COMMANDS: dict[str, Command] = {}


def command(usage: str) -> Callable[[Callable[[SimulatedGateway, Words], str]], Callable[[SimulatedGateway, Words], str]]:
    """Registers a command under the first word of its usage."""

    def register(run: Callable[[SimulatedGateway, Words], str]) -> Callable[[SimulatedGateway, Words], str]:
        COMMANDS[usage.split()[0]] = Command(usage, run)
        return run

    return register


def execute(server: SimulatedGateway, line: str) -> str:
    """Does one command line. Never raises: whatever goes wrong is an `error` line that says what."""
    words: Words = []
    try:
        words = shlex.split(line)
        if not words:
            raise CommandProblem("empty command; try: help")
        found = COMMANDS.get(words[0])
        if found is not None:
            return " ".join(["ok", found.run(server, words[1:])]).strip()
        if words[0] in BUILDERS:
            return _switch_on(server, words[0], words[1:])
        raise CommandProblem(f"unknown command {words[0]}; try: help")
    except (CommandProblem, ScenarioProblem) as problem:
        return f"error {problem}"
    except (IndexError, ValueError, InvalidOperation, KeyError) as problem:
        usage = COMMANDS[words[0]].usage if words and words[0] in COMMANDS else "help"
        return f"error {problem or type(problem).__name__}; usage: {usage}".replace("\n", " ")
    except Exception as problem:
        log.exception("The control command %r failed", line)
        return f"error internal: {type(problem).__name__}: {problem}".replace("\n", " ")


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise CommandProblem(f"not a number: {text}")
    return number


def _con_id(server: SimulatedGateway, word: str) -> int:
    """A contract id, or the instrument whose local symbol is `word`."""
    for con_id, instrument in server.exchange.instruments.items():
        if word in (str(con_id), instrument.local_symbol):
            return con_id
    raise CommandProblem(f"no instrument {word}")


# --- the market -------------------------------------------------------------------------------------------------------------------


@command("quote SYMBOL BID ASK [BIDSIZE ASKSIZE]")
def _quote(server: SimulatedGateway, words: Words) -> str:
    con_id, bid, ask = _con_id(server, words[0]), _decimal(words[1]), _decimal(words[2])
    sizes = [str(_decimal(word)) for word in words[3:5]] + [None, None]
    if not 0 < bid <= ask:
        raise CommandProblem(f"not a quote: bid {bid}, ask {ask}")
    with server.core.turn():
        server.core.change("set_quote", instrument=con_id, bid=str(bid), ask=str(ask), bid_size=sizes[0], ask_size=sizes[1])
    return f"{words[0]} {bid} {ask}"


@command("release-quote SYMBOL")
def _release_quote(server: SimulatedGateway, words: Words) -> str:
    con_id = _con_id(server, words[0])
    with server.core.turn():
        server.core.change("release_quote", instrument=con_id)
    return words[0]


@command("tick SECONDS")
def _tick(server: SimulatedGateway, words: Words) -> str:
    seconds = float(_decimal(words[0]))
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


@command("position ACCOUNT SYMBOL QTY AVGCOST")
def _position(server: SimulatedGateway, words: Words) -> str:
    account, con_id, quantity, cost = words[0], _con_id(server, words[1]), _decimal(words[2]), _decimal(words[3])
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


# --- the gateway ------------------------------------------------------------------------------------------------------------------


@command("error CLIENT REQID CODE TEXT")
def _error(server: SimulatedGateway, words: Words) -> str:
    client_id, req_id, code, text = int(words[0]), int(words[1]), int(words[2]), " ".join(words[3:])
    sessions = [one for one in server.core.ready_sessions() if one.client_id == client_id]
    if not sessions:
        raise CommandProblem(f"no client {client_id} is connected")
    with server.core.turn():
        sessions[0].say(say.ErrorMessage(req_id, code, text, server.core.now()))
    return f"{client_id} {req_id} {code}"


@command("drop [CLIENT]")
def _drop(server: SimulatedGateway, words: Words) -> str:
    return str(server.drop(int(words[0]) if words else None))


@command("pause")
def _pause(server: SimulatedGateway, words: Words) -> str:
    server.pause()
    return ""


@command("resume")
def _resume(server: SimulatedGateway, words: Words) -> str:
    server.resume()
    return ""


@command("reset")
def _reset(server: SimulatedGateway, words: Words) -> str:
    server.core.reset()
    return ""


@command("reset-ids N")
def _reset_ids(server: SimulatedGateway, words: Words) -> str:
    """nextValidId is announced lower by N from here on, as real gateways have done after a restart (0 ends it)."""
    server.core.id_rollback = max(0, int(words[0]))
    return str(server.core.id_rollback)


@command("connectivity lost|restored-lost|restored")
def _connectivity(server: SimulatedGateway, words: Words) -> str:
    """1100 holds order requests and order news; 1102 lets both go; 1101 lets the requests go and loses the news."""
    core = server.core
    if words[0] == "lost":
        if core.scenarios.first(ConnectionLost) is None:
            core.scenarios.active.append(ConnectionLost())
        with core.turn():
            core.broadcast(*LOST)
        return "1100"
    if words[0] not in ("restored", "restored-lost"):
        raise CommandProblem("usage: connectivity lost|restored-lost|restored")
    removed = core.scenarios.remove(ConnectionLost.name)
    code = RESTORED if words[0] == "restored" else RESTORED_LOST
    with core.turn():
        core.broadcast(*code)
        for scenario in removed:
            assert isinstance(scenario, ConnectionLost)
            if code is RESTORED:
                _let_go(server, scenario)
            for session, request in scenario.requests:  # of clients gone meanwhile too: a gateway sends what it kept
                core.answer(session, request)
    return str(code[0])


# --- scenarios --------------------------------------------------------------------------------------------------------------------


@command("release")
def _release(server: SimulatedGateway, words: Words) -> str:
    """Ends `hold` and sends what it held."""
    released = 0
    for scenario in server.core.scenarios.remove(HoldAcknowledgements.name):
        assert isinstance(scenario, HoldAcknowledgements)
        with server.core.turn():
            released += _let_go(server, scenario)
    return str(released)


def _let_go(server: SimulatedGateway, scenario: HoldAcknowledgements) -> int:
    """Queues held news for the clients still connected; returns how many messages."""
    released = 0
    for session in server.core.ready_sessions():
        held = scenario.held.pop(session.client_id, [])
        session.say(*held)
        released += len(held)
    return released


@command("off [SCENARIO]")
def _off(server: SimulatedGateway, words: Words) -> str:
    """Switches off a scenario, or all of them; what a scenario holds is lost (use release or connectivity to let it go)."""
    return " ".join(one.name for one in server.core.scenarios.remove(words[0] if words else None))


@command("scenarios")
def _scenarios(server: SimulatedGateway, words: Words) -> str:
    return " ".join(one.name for one in server.core.scenarios.active)


def _switch_on(server: SimulatedGateway, name: str, words: Words) -> str:
    core = server.core
    if name == HoldAcknowledgements.name and words == ["acks"]:
        words = []
    scenario = core.scenarios.add(name, words)
    if isinstance(scenario, CorrectExecution):
        _announce_correction(server, scenario)
    return f"ok {name}"


def _announce_correction(server: SimulatedGateway, scenario: CorrectExecution) -> None:
    """Sends the correction of an execution that was reported already to its owner, once, as live news."""
    core = server.core
    fill = next((one for one, _ in core.exchange.fills(core.now()) if one.exec_id == scenario.exec_id), None)
    if fill is None:
        core.scenarios.active.remove(scenario)
        raise CommandProblem(f"no execution {scenario.exec_id} today")
    original = say.ExecutionDetails(-1, fill, core.exchange.instruments[fill.con_id], "")
    with core.turn():
        for session in core.ready_sessions():
            if session.client_id == fill.client_id:
                session.say(scenario.correction(original))
