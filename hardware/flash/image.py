"""An image file as the plain bytes of a disk, whatever it is packed in; the size of those where it is told.

Reads only. Decoders are the standard library's (and `zstandard`), which check what their formats carry (CRC).
"""

from __future__ import annotations

import gzip
import lzma
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol, cast

from hardware.errors import ImageUnusable
from hardware.flash.xz_index import NotXz, unpacked_bytes
from hardware.flash.xz_reader import XzReader
from hardware.flash.zst_reader import ZstReader

AGAIN: Final = "download it again"
_PACKED: Final = {b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zst", b"\x1f\x8b": "gz", b"PK\x03\x04": "zip"}
_READ_AHEAD_BYTES: Final = 1 << 20


class Source(Protocol):
    """What plain bytes are read from."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the beginning of a buffer; 0 at the end."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image file that was looked at.

    Attributes:
        path: of the file.
        packed: `xz`, `zst`, `gz`, `zip`, or empty.
        file_bytes: size of the file.
        size_bytes: of the disk that is in it; None where the format does not tell.
    """

    path: Path
    packed: str
    file_bytes: int
    size_bytes: int | None


def look_at(path: Path) -> Image:
    """Look at an image file without unpacking it.

    Raises:
        ImageUnusable: it is none, is empty or cut off, or has not exactly one image in it.
    """
    try:
        with path.open("rb") as opened:
            begin = opened.read(8)
            file_bytes = opened.seek(0, os.SEEK_END)
            packed = next((name for magic, name in _PACKED.items() if begin.startswith(magic)), "")
            size_bytes = _SIZES[packed](opened, path)
    except OSError as error:
        raise ImageUnusable(path, error.strerror or str(error), "name an image file") from error
    if size_bytes == 0:
        raise ImageUnusable(path, "it is empty", AGAIN)
    if size_bytes is not None and size_bytes % 512:
        raise ImageUnusable(path, f"{size_bytes} bytes are no whole number of sectors: it is cut off", AGAIN)
    return Image(path, packed, file_bytes, size_bytes)


@contextmanager
def unpacked(image: Image) -> Iterator[Source]:
    """Open an image as plain bytes; reading raises `ImageUnusable` where it is damaged."""
    with ExitStack() as stack:
        plain = stack.enter_context(image.path.open("rb", buffering=_READ_AHEAD_BYTES))
        yield _Guarded(_OPENERS[image.packed](plain, stack), image.path)


class _Guarded:
    """Says of every decoder's error that it is the image's."""

    def __init__(self, source: Source, path: Path) -> None:
        self._source = source
        self._path = path

    def readinto(self, buffer: memoryview, /) -> int | None:
        try:
            return self._source.readinto(buffer)
        except EOFError as error:
            raise ImageUnusable(self._path, "it is cut off", AGAIN) from error
        except OSError as error:
            if error.errno is None:  # gzip says so of damaged data
                raise ImageUnusable(self._path, f"it is damaged ({error})", AGAIN) from error
            raise ImageUnusable(
                self._path, f"it cannot be read ({error.strerror})", "copy it again"
            ) from error
        except _damages() as error:
            raise ImageUnusable(self._path, f"it is damaged ({error})", AGAIN) from error


def _damages() -> tuple[type[Exception], ...]:
    """What the decoders raise; `zstandard`'s only where it was needed."""
    zstandard = sys.modules.get("zstandard")
    known = (lzma.LZMAError, zipfile.BadZipFile, zlib.error)
    return known if zstandard is None else (*known, zstandard.ZstdError)


def _plain_size(opened: IO[bytes], path: Path) -> int | None:
    del path
    return opened.seek(0, os.SEEK_END)


def _xz_size(opened: IO[bytes], path: Path) -> int | None:
    try:
        return unpacked_bytes(opened)
    except NotXz as error:
        raise ImageUnusable(path, f"it is cut off or damaged ({error})", AGAIN) from error


def _zst_size(opened: IO[bytes], path: Path) -> int | None:
    """A file of one frame tells; of several (`pzstd`) the first tells its own, which is too little."""
    import zstandard

    opened.seek(0)
    try:
        told = zstandard.get_frame_parameters(opened.read(18)).content_size
    except zstandard.ZstdError as error:
        raise ImageUnusable(path, f"it is damaged ({error})", AGAIN) from error
    return None if told in {zstandard.CONTENTSIZE_UNKNOWN, 0} else int(told)


def _zip_size(opened: IO[bytes], path: Path) -> int | None:
    del opened
    with _zip(path) as packed:
        return _only_member(packed, path).file_size


def _unknown_size(opened: IO[bytes], path: Path) -> int | None:
    """Gzip tells the size modulo 4 GiB only (RFC 1952, ISIZE)."""
    del opened, path
    return None


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ImageUnusable(path, f"it is cut off or damaged ({error})", AGAIN) from error


def _only_member(packed: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    files = [one for one in packed.infolist() if not one.is_dir()]
    if len(files) != 1 or not files[0].filename.lower().endswith(".img"):
        names = ", ".join(one.filename for one in files[:4]) or "nothing"
        raise ImageUnusable(path, f"it holds {names}, not one .img", "unpack it and name the image")
    if files[0].flag_bits & 1:
        raise ImageUnusable(path, "it is encrypted", "unpack it and name the image")
    return files[0]


def _open_zip(plain: IO[bytes], stack: ExitStack) -> Source:
    packed = stack.enter_context(_zip(Path(plain.name)))
    try:
        return cast(Source, stack.enter_context(packed.open(_only_member(packed, Path(plain.name)))))
    except NotImplementedError as error:
        raise ImageUnusable(plain.name, str(error), "unpack it and name the image") from error


def _open_gz(plain: IO[bytes], stack: ExitStack) -> Source:
    return cast(Source, stack.enter_context(gzip.GzipFile(fileobj=plain)))


_OPENERS: Final[dict[str, Callable[[IO[bytes], ExitStack], Source]]] = {
    "": lambda plain, _: cast(Source, plain),
    "xz": lambda plain, _: XzReader(plain),
    "gz": _open_gz,
    "zip": _open_zip,
    "zst": lambda plain, _: ZstReader(plain),
}
_SIZES: Final[dict[str, Callable[[IO[bytes], Path], int | None]]] = {
    "": _plain_size,
    "xz": _xz_size,
    "gz": _unknown_size,
    "zip": _zip_size,
    "zst": _zst_size,
}
