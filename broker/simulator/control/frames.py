"""Control commands that put bytes on a client's socket that are no messages: the client must live, or lose the connection and come back.

They go out in order with what else is told, past no scenario's back; the gateway itself goes on as if nothing had been said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.simulator.control.registry import CommandProblem, Words, command, session_of
from broker.simulator.messages.answers import Answer
from broker.simulator.messages.raw import NUL_STORM, WAYS, Raw, framed, length_alone, mangled
from broker.simulator.scenario import CloseConnection
from broker.simulator.selection import ANSWER_KINDS
from broker.simulator.session import Session
from broker.simulator.wire import encode_frame

if TYPE_CHECKING:
    from broker.simulator.server import SimulatedGateway

LARGEST_FRAME = 64 << 20
MOST_NUL_FRAMES = 10_000
MOST_MANGLED = 10_000


@command("raw CLIENT HEX", injects=True)
def _raw(server: SimulatedGateway, words: Words) -> str:
    """Any bytes."""
    data = bytes.fromhex("".join(words[1:]))
    return _put(server, session_of(server, words[0]), data)


@command("frame CLIENT FIELD...", injects=True)
def _frame(server: SimulatedGateway, words: Words) -> str:
    """A whole frame of these fields, whatever they mean."""
    if not words[1:]:
        raise CommandProblem("a frame has fields")
    return _put(server, session_of(server, words[0]), encode_frame(words[1:]))


@command(f"mangle CLIENT SEED [any|{'|'.join(WAYS)}] [MESSAGE] [TIMES]", injects=True)
def _mangle(server: SimulatedGateway, words: Words) -> str:
    """What was last said to the client, once more and mangled by a seed: the message of that name, or one by the seed."""
    session, seed = session_of(server, words[0]), int(words[1])
    how = words[2] if words[2:] else "any"
    if how not in ("any", *WAYS):
        raise CommandProblem(f"unknown way {how}; known: any {' '.join(WAYS)}")
    times = int(words[4]) if words[4:] else 1
    if not 1 <= times <= MOST_MANGLED:
        raise CommandProblem(f"TIMES is from 1 to {MOST_MANGLED}")
    said = _said(session, words[3] if words[3:] else None)
    return _put(server, session, b"".join(mangled(said[(seed + number) % len(said)], how, seed + number) for number in range(times)))


def _said(session: Session, name: str | None) -> list[bytes]:
    """The last message of each kind that this client was told, or of one kind; those that are bytes of a test not among them."""
    kinds: list[type[Answer]] = [kind for kind in session.last_said if kind.__module__ != Raw.__module__]
    if name is not None:
        kinds = [kind for kind in kinds if ANSWER_KINDS.get(name) is kind]
    if not kinds:
        raise CommandProblem(f"client {session.client_id} was told no {name or 'message'} yet")
    return [session.last_said[kind] for kind in kinds]


@command("nuls CLIENT [FRAMES]", injects=True)
def _nuls(server: SimulatedGateway, words: Words) -> str:
    """A storm of frames with nothing but NUL in them."""
    frames = int(words[1]) if words[1:] else 100
    if not 1 <= frames <= MOST_NUL_FRAMES:
        raise CommandProblem(f"FRAMES is from 1 to {MOST_NUL_FRAMES}")
    return _put(server, session_of(server, words[0]), framed(bytes(NUL_STORM)) * frames)


@command("length CLIENT BYTES", injects=True)
def _length(server: SimulatedGateway, words: Words) -> str:
    """The announcement of a frame of so many bytes, and none of them: 0, 2147483648 (2 GiB), -1 ..."""
    length = int(words[1])
    if not -(2**31) <= length < 2**32:
        raise CommandProblem("BYTES fits into four bytes")
    return _put(server, session_of(server, words[0]), length_alone(length))


@command("oversized CLIENT BYTES", injects=True)
def _oversized(server: SimulatedGateway, words: Words) -> str:
    """A whole frame of so many bytes, with one endless field in it."""
    length = int(words[1])
    if not 1 <= length <= LARGEST_FRAME:
        raise CommandProblem(f"BYTES is from 1 to {LARGEST_FRAME}")
    return _put(server, session_of(server, words[0]), framed(b"4\0" + b"x" * max(0, length - 3) + b"\0"))


@command("half CLIENT [MESSAGE]", injects=True)
def _half(server: SimulatedGateway, words: Words) -> str:
    """The first half of what was last said, then the end of the connection (of a message still to come: `cut`)."""
    session = session_of(server, words[0])
    whole = _said(session, words[1] if words[1:] else None)[-1]
    return _put(server, session, whole[: (4 + len(whole)) // 2], CloseConnection())


def _put(server: SimulatedGateway, session: Session, data: bytes, *more: Answer) -> str:
    with server.core.turn():
        session.say(Raw(data), *more)
    return f"{len(data)} bytes"
