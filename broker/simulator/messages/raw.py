"""Answers that are no messages: bytes as they are, a message broken off in its middle, a message mangled by a seed.

The rule kept: what a seed did once it does again. Mangling adds nothing that could be true: a number is no number, fields are missing, the
message has no such id, or the text is no text.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from random import Random

from broker.simulator.messages.answers import Answer

_LENGTH = struct.Struct(">I")
NUL_STORM = 4096
NO_SUCH_MESSAGE = 31_337
NO_UTF_8 = (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80")


@dataclass(frozen=True)
class Raw(Answer):
    """Bytes for the socket, whatever they are."""

    data: bytes

    def encoded(self, version: int) -> bytes:
        return self.data


@dataclass(frozen=True)
class BrokenOff(Answer):
    """The first half of a message."""

    whole: Answer

    def encoded(self, version: int) -> bytes:
        data = self.whole.encoded(version)
        return data[: (_LENGTH.size + len(data)) // 2]


def length_alone(length: int) -> bytes:
    """The four bytes that announce a message of so many bytes; a negative one as a signed number has it."""
    return _LENGTH.pack(length & 0xFFFFFFFF)


def framed(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + payload


def mangled(whole: bytes, how: str, seed: int) -> bytes:
    """A frame, mangled in one of the ways of `WAYS`, or in any of them."""
    chance = Random(seed)  # noqa: S311 - repeatable on purpose
    how = chance.choice(WAYS) if how == "any" else how
    fields = whole[_LENGTH.size :].split(b"\0")[:-1]
    if how == "bad-int":
        numbers = [place for place, field in enumerate(fields) if place and field.lstrip(b"-").replace(b".", b"").isdigit()]
        fields[chance.choice(numbers or [0])] = chance.choice((b"what", b"1e", b"0x10", b"--1", b"9,5"))
    elif how == "missing":
        del fields[max(1, chance.randrange(len(fields))) :]
    elif how == "unknown-id":
        fields[0] = str(NO_SUCH_MESSAGE + chance.randrange(1000)).encode()
    elif how == "bad-utf8":
        fields[chance.randrange(len(fields))] += chance.choice(NO_UTF_8)
    else:
        return framed(bytes(NUL_STORM))
    return framed(b"".join(field + b"\0" for field in fields))


WAYS = ("bad-int", "missing", "unknown-id", "bad-utf8", "nuls")
