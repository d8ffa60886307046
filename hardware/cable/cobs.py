"""Consistent Overhead Byte Stuffing: bytes without a zero, so that a zero can end them. Pure.

Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999. A
receiver that lost its place finds it again at the next zero; the cost is one byte in 254.
"""

from __future__ import annotations

from typing import Final

BLOCK: Final = 254
"""Bytes that one code byte can stand before."""


def stuffed(data: bytes) -> bytes:
    """Return the data without zeros, one byte longer and one more for each full block."""
    out = bytearray()
    for run in data.split(b"\0"):
        full, rest = divmod(len(run), BLOCK)
        for number in range(full):
            out.append(BLOCK + 1)
            out += run[number * BLOCK : (number + 1) * BLOCK]
        out.append(rest + 1)
        out += run[full * BLOCK :]
    return bytes(out)


def unstuffed(data: bytes) -> bytes:
    """Return what was stuffed.

    Raises:
        ValueError: it was not stuffed, or is not whole.
    """
    out, place = bytearray(), 0
    while place < len(data):
        code = data[place]
        block = data[place + 1 : place + code]
        if code == 0 or len(block) != code - 1 or 0 in block:
            raise ValueError("not stuffed bytes")
        out += block
        place += code
        if code <= BLOCK and place < len(data):
            out.append(0)
    if not data:
        raise ValueError("no bytes")
    return bytes(out)
