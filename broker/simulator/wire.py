"""Framing of the TWS API socket protocol: bytes to lists of text fields and back.

After a bare ``API\\0`` every frame is a big-endian length of four bytes and that many bytes of payload, whose fields each end in NUL.
The rule kept here: a frame is bounded, so that no client can make the gateway hold more than one bounded buffer for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

API_PREFIX = b"API\0"
MAX_FRAME_BYTES = 1 << 20  # the largest order IB accepts (algo parameters, combination legs) is a few kilobytes
_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """The byte stream is not the TWS API protocol; the position of the next frame is unknown, so the connection must close."""


def encode_frame(fields: Iterable[str]) -> bytes:
    """One frame, ready for the socket: the length prefix and each field followed by NUL.

    A NUL inside a field would shift every later field by one, so it is sent as a blank.
    """
    listed = list(fields)
    text = "\0".join(listed)
    if text.count("\0") >= len(listed):
        text = "\0".join(field.replace("\0", " ") for field in listed)
    payload = text.encode("utf-8", "replace") + b"\0"
    return _LENGTH.pack(len(payload)) + payload


def split_fields(payload: bytes) -> list[str]:
    """The fields of one payload. Bytes that are not UTF-8 are kept visible as ``\\xNN``; a missing last NUL is tolerated."""
    if not payload:
        return []
    fields = payload.decode("utf-8", "backslashreplace").split("\0")
    if fields[-1] == "":
        fields.pop()
    return fields


class FrameReader:
    """Collects received bytes and hands out whole payloads, whatever the pieces they arrived in."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._max_frame_bytes = max_frame_bytes
        self._prefix_seen = False

    @property
    def prefix_seen(self) -> bool:
        """True once the leading ``API\\0`` has been taken off the stream."""
        return self._prefix_seen

    def feed(self, data: bytes) -> list[bytes]:
        """Adds received bytes; returns the payloads they completed, in order.

        Raises FrameError for a stream that does not start with ``API\\0`` and for a frame longer than the bound.
        """
        self._buffer += data
        if not self._prefix_seen and not self._take_prefix():
            return []
        payloads: list[bytes] = []
        position = 0
        while len(self._buffer) - position >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, position)
            if length > self._max_frame_bytes:
                raise FrameError(f"A frame of {length} bytes is longer than the {self._max_frame_bytes} allowed")
            end = position + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            payloads.append(bytes(self._buffer[position + _LENGTH.size : end]))
            position = end
        del self._buffer[:position]
        return payloads

    def _take_prefix(self) -> bool:
        head = bytes(self._buffer[: len(API_PREFIX)])
        if not API_PREFIX.startswith(head):
            raise FrameError("The connection does not start with the API prefix")
        if len(head) < len(API_PREFIX):
            return False
        del self._buffer[: len(API_PREFIX)]
        self._prefix_seen = True
        return True
