"""The plain bytes of an .xz file, in large pieces.

The standard library's `LZMAFile` stops without a word at padding between streams, and reads 8 KiB at a time.
"""

from __future__ import annotations

import lzma
from typing import IO, Final

_READ_BYTES: Final = 1 << 20


class XzReader:
    """Unpacks all streams of a file (.xz file format 1.1.0, section 2)."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._given = b""
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of a buffer; 0 at the end.

        Raises:
            EOFError: the file ends in the middle of a stream.
            lzma.LZMAError: it is damaged.
        """
        while not self._decoder.eof or self._begins_another():
            if self._decoder.needs_input and not self._given:
                self._given = self._packed.read(_READ_BYTES)
                if not self._given:
                    raise EOFError("the last stream does not end")
            plain = self._decoder.decompress(self._given, len(buffer))
            self._given = b""
            if plain:
                buffer[: len(plain)] = plain
                return len(plain)
        return 0

    def _begins_another(self) -> bool:
        """Whether another stream follows; padding is zeros."""
        rest = self._decoder.unused_data.lstrip(b"\0")
        while not rest and (more := self._packed.read(_READ_BYTES)):
            rest = more.lstrip(b"\0")
        if rest:
            self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
            self._given = rest
        return bool(rest)
