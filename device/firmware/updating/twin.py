"""A small value that survives a power cut: two files written in turns, the newest whole one holds.

Each file carries a sequence number and a checksum. A cut while one is written leaves the other; a file that a
failing card has damaged counts as absent.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from ota.whole import write_whole

MAGIC: Final = b"pehra-twin-1"
T = TypeVar("T", bound=msgspec.Struct)


class Twin(Generic[T]):
    """The two files of one value.

    Args:
        folder: where they lie; made when something is written.
        name: `NAME.a` and `NAME.b`.
        empty: the value where there is none.
    """

    def __init__(self, folder: Path, name: str, empty: T) -> None:
        self._files = (folder / f"{name}.a", folder / f"{name}.b")
        self._empty = empty

    def read(self) -> T:
        """Return the newest whole value, or the empty one."""
        return max((self._read(file) for file in self._files), key=lambda held: held[0])[1]

    def write(self, value: T) -> None:
        """Write over the older of the two; durable when it returns.

        Raises:
            OSError: the disk refuses; the value before still holds.
        """
        held = [self._read(file)[0] for file in self._files]
        older = held.index(min(held))
        self._files[older].parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._files[older], framed(max(held) + 1, msgspec.json.encode(value)), 0o600)

    def _read(self, file: Path) -> tuple[int, T]:
        try:
            sequence, body = unframed(file.read_bytes())
            return sequence, msgspec.json.decode(body, type=type(self._empty))
        except (OSError, ValueError):
            return 0, self._empty


def framed(sequence: int, body: bytes) -> bytes:
    """Return a file's content."""
    head = b"%d\n%s" % (sequence, body)
    return b"%s %08x %s\n" % (MAGIC, zlib.crc32(head), head)


def unframed(content: bytes) -> tuple[int, bytes]:
    """Return sequence number and value of a file's content.

    Raises:
        ValueError: it is not whole.
    """
    magic, _, rest = content.removesuffix(b"\n").partition(b" ")
    crc, _, head = rest.partition(b" ")
    number, _, body = head.partition(b"\n")
    if magic != MAGIC or crc != b"%08x" % zlib.crc32(head):
        raise ValueError("not whole")
    return int(number), body
