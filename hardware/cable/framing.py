"""Frames out of a stream of bytes in which anything may stand: noise, half frames, what a person typed.

On the line a frame is `00 B5 <stuffed> 00`; stuffed are kind, request and part (big-endian), the payload, and
the CRC-32 of all that (`zlib.crc32`, the one of IEEE 802.3). The zero before it ends whatever noise stood
there. What does not fit is dropped and counted: a frame is whole and right, or it never was.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from hardware.cable.cobs import BLOCK, stuffed, unstuffed

MAX_PAYLOAD_BYTES: Final = 8 * 1024
MARK: Final = 0xB5
"""First byte of a frame; no letter that a person could type."""

_HEADER: Final = struct.Struct(">BHH")
_CHECK: Final = struct.Struct(">I")
_MAX_BARE: Final = _HEADER.size + MAX_PAYLOAD_BYTES + _CHECK.size
MAX_WAITING_BYTES: Final = 2 + _MAX_BARE + _MAX_BARE // BLOCK
"""No frame is longer on the line, its zeros aside."""
MAX_TYPED_CHARS: Final = 32
_PRINTABLE: Final = frozenset(range(32, 127)) | {8, 9, 10, 13, 27}


class Kind(IntEnum):
    """What a frame is.

    Attributes:
        REQUEST: what the laptop wants.
        NEWS: something on the way to an answer.
        PIECE: a part of a picture, raw bytes.
        ANSWER: the end of what belongs to a request.
        BEAT: the board is still at it.
    """

    REQUEST = 1
    NEWS = 2
    PIECE = 3
    ANSWER = 4
    BEAT = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        kind: what it is.
        request: to which request it belongs, 0..65535; 0 to none.
        part: its number among the frames of one answer, from 0; the answer's own says how many came before.
        payload: at most `MAX_PAYLOAD_BYTES`.
    """

    kind: Kind
    request: int
    part: int
    payload: bytes = b""


def packed(frame: Frame) -> bytes:
    """Return a frame as it goes over the line.

    Raises:
        ValueError: its payload is too long.
    """
    if len(frame.payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"{len(frame.payload)} bytes; a frame holds at most {MAX_PAYLOAD_BYTES}")
    bare = _HEADER.pack(frame.kind, frame.request, frame.part) + frame.payload
    return b"\0" + bytes([MARK]) + stuffed(bare + _CHECK.pack(zlib.crc32(bare))) + b"\0"


class Unpacker:
    """Takes frames out of what was read; keeps at most `MAX_WAITING_BYTES` of what is not whole yet.

    Attributes:
        noise_bytes: bytes so far that belonged to no frame.
    """

    def __init__(self) -> None:
        self.noise_bytes = 0
        self._waiting = bytearray()
        self._is_skipping = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take what was read, in pieces of any size; return the frames that are whole now."""
        *ended, rest = data.split(b"\0")
        frames = []
        for piece in ended:
            self._wait_for_more(piece)
            frame = None if self._is_skipping else self._judged(bytes(self._waiting))
            if frame is not None:
                frames.append(frame)
            self._waiting.clear()
            self._is_skipping = False
        self._wait_for_more(rest)
        return frames

    @property
    def waiting_bytes(self) -> int:
        """How much of a frame that is not whole is kept."""
        return len(self._waiting)

    def take_typed(self) -> str | None:
        """Return the line that a person with a plain terminal just ended, if that is what waits."""
        waiting = bytes(self._waiting)
        if not waiting.endswith((b"\r", b"\n")) or len(waiting) > MAX_TYPED_CHARS:
            return None
        if not _PRINTABLE.issuperset(waiting):
            return None
        self._waiting.clear()
        return waiting.decode("ascii").strip()

    def _wait_for_more(self, piece: bytes) -> None:
        if self._is_skipping or len(self._waiting) + len(piece) > MAX_WAITING_BYTES:
            self.noise_bytes += len(piece) + len(self._waiting)
            self._waiting.clear()
            self._is_skipping = True
        else:
            self._waiting += piece

    def _judged(self, waiting: bytes) -> Frame | None:
        if not waiting:
            return None
        frame = _frame_of(waiting)
        if frame is None:
            self.noise_bytes += len(waiting)
        return frame


def _frame_of(waiting: bytes) -> Frame | None:
    if waiting[0] != MARK:
        return None
    try:
        bare = unstuffed(waiting[1:])
        kind, request, part = _HEADER.unpack_from(bare)
        (check,) = _CHECK.unpack_from(bare, len(bare) - _CHECK.size)
        if len(bare) < _HEADER.size + _CHECK.size or zlib.crc32(bare[: -_CHECK.size]) != check:
            return None
        return Frame(Kind(kind), request, part, bare[_HEADER.size : -_CHECK.size])
    except (ValueError, struct.error):
        return None
