"""Framing: whatever the pieces bytes arrive in, the same frames come out, and no frame outgrows its bound."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.simulator.wire import API_PREFIX, FrameError, FrameReader, encode_frame, split_fields

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def started() -> FrameReader:
    reader = FrameReader()
    assert reader.feed(API_PREFIX) == []
    return reader


@given(st.lists(st.lists(texts, min_size=1, max_size=6), max_size=6), st.lists(st.integers(1, 9), min_size=1))
def test_frames_come_out_whole_in_any_pieces(messages: list[list[str]], pieces: list[int]) -> None:
    stream = API_PREFIX + b"".join(encode_frame(fields) for fields in messages)
    reader, got, position, turn = FrameReader(), [], 0, 0
    while position < len(stream):
        step = pieces[turn % len(pieces)]
        got += [split_fields(payload) for payload in reader.feed(stream[position : position + step])]
        position, turn = position + step, turn + 1
    assert got == messages


def test_length_is_big_endian_and_excludes_itself() -> None:
    assert encode_frame(["71", "2", "17", ""]) == struct.pack(">I", 9) + b"71\x002\x0017\x00\x00"


def test_a_field_cannot_smuggle_in_another_field() -> None:
    assert split_fields(encode_frame(["a\0b", "c"])[4:]) == ["a b", "c"]


def test_a_stream_of_another_protocol_is_refused() -> None:
    with pytest.raises(FrameError, match="API prefix"):
        FrameReader().feed(b"GET / HTTP/1.1\r\n")


def test_a_frame_longer_than_the_bound_is_refused_before_it_is_collected() -> None:
    with pytest.raises(FrameError, match="longer than"):
        started().feed(struct.pack(">I", 0xFFFFFFFF))


def test_the_last_nul_may_be_missing_and_bytes_that_are_not_text_stay_visible() -> None:
    assert split_fields(b"v157..178") == ["v157..178"]
    assert split_fields(b"1\0\xff\0") == ["1", "\\xff"]
    assert split_fields(b"") == []
