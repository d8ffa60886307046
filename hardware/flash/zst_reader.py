"""The plain bytes of a .zst file.

`zstandard`'s own reader ends without a word where a file that does not tell its size is cut off. This one
knows whether the last frame ended (RFC 8878, section 3.1.1).
"""

from __future__ import annotations

from typing import IO, Any, Final

_READ_BYTES: Final = 8 << 10
"""Small: four bytes may stand for 128 KiB of zeros, so this for 256 MiB at worst, and in one piece."""
_WINDOW_BYTES: Final = 1 << 31
"""As large as `zstd --long=31` makes it."""


class ZstReader:
    """Unpacks all frames of a file."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._plain = memoryview(b"")
        self._decoder = _decoder()

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of a buffer; 0 at the end.

        Raises:
            EOFError: the file ends in the middle of a frame.
            zstandard.ZstdError: it is damaged.
        """
        while not self._plain and (given := self._given()):
            self._plain = memoryview(self._decoder.decompress(given))
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _given(self) -> bytes:
        """What comes next, for a decoder that can take it; empty at the end."""
        if not self._decoder.eof:
            given = self._packed.read(_READ_BYTES)
            if not given:
                raise EOFError("the last frame does not end")
            return given
        given = self._decoder.unused_data or self._packed.read(_READ_BYTES)
        if given:
            self._decoder = _decoder()
        return given


def _decoder() -> Any:  # noqa: ANN401 (zstandard's own)
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()
