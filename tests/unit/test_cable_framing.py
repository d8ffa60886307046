"""Frames on a line on which anything may stand: whole and right, or not at all."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.cable.cobs import stuffed, unstuffed
from hardware.cable.framing import (
    MARK,
    MAX_PAYLOAD_BYTES,
    MAX_WAITING_BYTES,
    Frame,
    Kind,
    Unpacker,
    packed,
)

FRAMES = st.builds(
    Frame,
    st.sampled_from(Kind),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.binary(max_size=700) | st.binary(max_size=3).map(lambda few: few * 254),
)
NOISE = st.binary(max_size=120)
HELLO = Frame(Kind.REQUEST, 7, 0, b'{"type":"hello"}')


def cut_up(data, seed):
    """The same bytes in pieces of any size."""
    chance = random.Random(seed)
    place = 0
    while place < len(data):
        size = chance.randrange(1, 40)
        yield data[place : place + size]
        place += size


@given(st.binary(max_size=2000) | st.integers(250, 260).map(lambda n: b"x" * n) | st.just(bytes(600)))
@settings(deadline=None)
def test_stuffed_bytes_hold_no_zero_and_come_back(data):
    assert 0 not in stuffed(data)
    assert unstuffed(stuffed(data)) == data
    assert len(stuffed(data)) <= len(data) + 1 + len(data) // 254


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"\0", "0101"), (b"\0\0", "010101"), (b"\x11\x22\0\x33", "0311220233"), (b"\x11\0\0\0", "0211010101")],
)
def test_stuffing_is_what_the_paper_says(data, told):
    assert stuffed(data).hex() == told


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_bytes_that_were_never_stuffed_raise_nothing_but_value_error(data):
    with contextlib.suppress(ValueError):
        assert stuffed(unstuffed(data))[:1] == data[:1]


@given(st.lists(FRAMES, max_size=6), st.integers())
@settings(deadline=None)
def test_frames_come_out_as_they_went_in_however_the_line_cuts_them(frames, seed):
    unpacker = Unpacker()
    line = b"".join(map(packed, frames))
    assert [frame for piece in cut_up(line, seed) for frame in unpacker.feed(piece)] == frames
    assert unpacker.noise_bytes == 0


@given(st.lists(st.tuples(NOISE, FRAMES), max_size=6), NOISE, st.integers())
@settings(max_examples=200, deadline=None)
def test_noise_between_frames_costs_no_frame(parts, tail, seed):
    unpacker = Unpacker()
    line = b"".join(noise + packed(frame) for noise, frame in parts) + tail
    got = [frame for piece in cut_up(line, seed) for frame in unpacker.feed(piece)]
    assert got == [frame for _, frame in parts]


@given(FRAMES, FRAMES, st.data())
@settings(max_examples=200, deadline=None)
def test_noise_inside_a_frame_costs_that_frame_and_no_other(hit, after, data):
    line = bytearray(packed(hit))
    place = data.draw(st.integers(1, len(line) - 2))
    noise = data.draw(st.binary(min_size=1, max_size=20).filter(lambda noise: noise != line[place:]))
    instead = data.draw(st.booleans())
    line[place : place + (len(noise) if instead else 0)] = noise
    if bytes(line) == packed(hit):
        return
    got = Unpacker().feed(bytes(line) + packed(after))
    assert got[-1] == after
    assert hit not in got[:-1] or packed(hit) in bytes(line)


@given(st.binary(max_size=3000))
@settings(deadline=None)
def test_noise_alone_is_never_a_frame(noise):
    unpacker = Unpacker()
    assert unpacker.feed(noise + b"\0") == []
    assert unpacker.noise_bytes == len(noise) - noise.count(0)


def test_a_frame_of_100_mb_without_an_end_is_dropped_and_the_next_one_is_read():
    unpacker = Unpacker()
    unpacker.feed(b"\0" + bytes([MARK]))
    block = b"\xff" + b"x" * 65_535
    for _ in range(100_000_000 // len(block)):
        assert unpacker.feed(block) == []
        assert unpacker.waiting_bytes <= MAX_WAITING_BYTES
    assert unpacker.feed(packed(HELLO)) == [HELLO]


def test_the_longest_frame_goes_through_and_a_longer_one_is_never_sent():
    longest = Frame(Kind.PIECE, 1, 2, bytes([1]) * MAX_PAYLOAD_BYTES)
    assert Unpacker().feed(packed(longest)) == [longest]
    with pytest.raises(ValueError, match="at most"):
        packed(Frame(Kind.PIECE, 1, 2, bytes(MAX_PAYLOAD_BYTES + 1)))


def test_a_kind_that_nobody_knows_is_noise():
    import struct
    import zlib

    bare = struct.pack(">BHH", 99, 1, 0)
    line = b"\0" + bytes([MARK]) + stuffed(bare + struct.pack(">I", zlib.crc32(bare))) + b"\0"
    assert Unpacker().feed(line) == []


@pytest.mark.parametrize("typed", [b"\r", b"\n", b"help\r\n", b"\x1b[A\r"])
def test_a_person_who_presses_enter_is_noticed_once(typed):
    unpacker = Unpacker()
    unpacker.feed(typed)
    assert unpacker.take_typed() is not None
    assert unpacker.take_typed() is None
    assert unpacker.feed(packed(HELLO)) == [HELLO]


@given(FRAMES)
@settings(deadline=None)
def test_no_part_of_a_frame_passes_for_what_a_person_typed(frame):
    unpacker = Unpacker()
    for byte in packed(frame)[:300]:
        unpacker.feed(bytes([byte]))
        assert unpacker.take_typed() is None


@pytest.mark.parametrize("noise", [b"\xff\xfe\r", b"x" * 200 + b"\r", b"no end"])
def test_noise_is_not_taken_for_a_person(noise):
    unpacker = Unpacker()
    unpacker.feed(noise)
    assert unpacker.take_typed() is None
