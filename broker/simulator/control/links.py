"""Control commands of connections, sessions and the scenarios that are switched on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.simulator.control.registry import CommandProblem, Words, command, session_of
from broker.simulator.filters import ConnectionLost, Hold

if TYPE_CHECKING:
    from broker.simulator.server import SimulatedGateway

LOST = (1100, "Connectivity between IB and Trader Workstation has been lost.")
RESTORED_LOST = (1101, "Connectivity between IB and Trader Workstation has been restored - data lost.")
MOST_SECONDS_DOWN = 3600
RESTORED = (1102, "Connectivity between IB and Trader Workstation has been restored - data maintained.")


@command("drop [CLIENT]", injects=True)
def _drop(server: SimulatedGateway, words: Words) -> str:
    return str(server.drop(int(words[0]) if words else None))


@command("pause", injects=True)
def _pause(server: SimulatedGateway, words: Words) -> str:
    server.pause()
    return ""


@command("resume")
def _resume(server: SimulatedGateway, words: Words) -> str:
    server.resume()
    return ""


@command("stop-reading [CLIENT]", injects=True)
def _stop_reading(server: SimulatedGateway, words: Words) -> str:
    """Nothing that a client sends is read any more, while everything is still told and the market goes on; `read` ends it."""
    return str(server.stop_reading(session_of(server, words[0]) if words else None))


@command("read")
def _read(server: SimulatedGateway, words: Words) -> str:
    return str(server.read_again())


@command("restart [SECONDS] [empty]", injects=True)
def _restart(server: SimulatedGateway, words: Words) -> str:
    """The gateway goes down with its connections and refuses new ones for so long; `empty`: it comes back without its state."""
    empty = "empty" in words
    seconds = float(next((word for word in words if word != "empty"), "0"))
    if not 0 <= seconds <= MOST_SECONDS_DOWN:
        raise CommandProblem(f"SECONDS is from 0 to {MOST_SECONDS_DOWN}")
    server.restart(seconds, empty=empty)
    return f"{seconds:g}"


@command("reset", injects=True)
def _reset(server: SimulatedGateway, words: Words) -> str:
    """Forgets orders, executions, positions, ids and scenarios; the clients stay and are told nothing."""
    server.core.reset()
    return ""


@command("reset-ids N", injects=True)
def _reset_ids(server: SimulatedGateway, words: Words) -> str:
    """nextValidId is announced lower by N from here on, as real gateways have done after a restart (0 ends it)."""
    server.core.id_rollback = max(0, int(words[0]))
    return str(server.core.id_rollback)


@command("connectivity lost|restored-lost|restored", injects=True)
def _connectivity(server: SimulatedGateway, words: Words) -> str:
    """1100 holds order requests and order news; 1102 lets both go; 1101 lets the requests go and loses the news."""
    core = server.core
    if words[0] == "lost":
        core.scenarios.lose_connection()
        with core.turn():
            core.broadcast(*LOST)
        return "1100"
    if words[0] not in ("restored", "restored-lost"):
        raise CommandProblem("usage: connectivity lost|restored-lost|restored")
    code = RESTORED if words[0] == "restored" else RESTORED_LOST
    with core.turn():
        core.broadcast(*code)
        for scenario in core.scenarios.of(ConnectionLost):
            scenario.release()
            if code is RESTORED_LOST:
                scenario.forget_news()
        core.answer_kept_requests()
    core.scenarios.remove("connectivity")
    return str(code[0])


# --- scenarios --------------------------------------------------------------------------------------------------------------------


@command("release")
def _release(server: SimulatedGateway, words: Words) -> str:
    """Ends every `hold` and sends what it held to the clients still connected; requests are answered even where the client is gone."""
    core, released = server.core, 0
    with core.turn():
        connected = {session.client_id for session in core.ready_sessions()}
        for scenario in core.scenarios.of(Hold):
            released += sum(len(held) for client_id, held in scenario.held.items() if client_id in connected) + len(scenario.requests)
            scenario.release()
        core.answer_kept_requests()
    core.scenarios.remove(Hold.name)
    return str(released)


@command("off [SCENARIO]")
def _off(server: SimulatedGateway, words: Words) -> str:
    """Switches off a scenario, or all of them; what a scenario holds is lost (use release or connectivity to let it go)."""
    return " ".join(one.name for one in server.core.scenarios.remove(words[0] if words else None))


@command("scenarios")
def _scenarios(server: SimulatedGateway, words: Words) -> str:
    return " ".join(one.name for one in server.core.scenarios.active)
