"""How large an .xz file is when unpacked, read from its index and not by unpacking it.

The .xz file format, version 1.1.0: stream header (2.1.1), stream footer (2.1.2), padding (2.2), index (4).
"""

from __future__ import annotations

import os
import zlib
from typing import IO, Final

_HEADER_BYTES: Final = 12
_MAGIC: Final = b"YZ"
_MAX_INDEX_BYTES: Final = 64 << 20


class NotXz(ValueError):
    """The file does not end as an .xz file does."""


def unpacked_bytes(opened: IO[bytes]) -> int:
    """Return the unpacked size of all streams of a file.

    Raises:
        NotXz: it is cut off, or its index is damaged.
    """
    end = opened.seek(0, os.SEEK_END)
    total = 0
    while end > 0:
        end = _without_padding(opened, end)
        unpacked, packed = _stream(opened, end)
        total += unpacked
        end -= packed
    return total


def _without_padding(opened: IO[bytes], end: int) -> int:
    """Streams may be followed by zeros, four at a time."""
    while end >= 4 and _read(opened, end - 4, 4) == b"\0\0\0\0":
        end -= 4
    return end


def _stream(opened: IO[bytes], end: int) -> tuple[int, int]:
    """Unpacked and packed bytes of the stream that ends there."""
    footer = _read(opened, end - _HEADER_BYTES, _HEADER_BYTES)
    if footer[10:] != _MAGIC or zlib.crc32(footer[4:10]) != int.from_bytes(footer[:4], "little"):
        raise NotXz("it does not end as it should")
    index_bytes = (int.from_bytes(footer[4:8], "little") + 1) * 4
    if index_bytes > _MAX_INDEX_BYTES:
        raise NotXz("its index is too large")
    index = _read(opened, end - _HEADER_BYTES - index_bytes, index_bytes)
    if zlib.crc32(index[:-4]) != int.from_bytes(index[-4:], "little") or index[0] != 0:
        raise NotXz("its index is damaged")
    count, at = _number(index, 1)
    unpacked = packed = 0
    for _ in range(count):
        unpadded, at = _number(index, at)
        size, at = _number(index, at)
        unpacked += size
        packed += (unpadded + 3) // 4 * 4
    return unpacked, packed + index_bytes + 2 * _HEADER_BYTES


def _number(index: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the least first (1.2), and where the next begins."""
    number = 0
    for place in range(9):
        if at >= len(index) - 4:
            break
        number |= (index[at] & 0x7F) << (7 * place)
        at += 1
        if not index[at - 1] & 0x80:
            return number, at
    raise NotXz("its index is damaged")


def _read(opened: IO[bytes], at: int, count: int) -> bytes:
    if at < 0:
        raise NotXz("it is too short")
    opened.seek(at)
    return opened.read(count)
