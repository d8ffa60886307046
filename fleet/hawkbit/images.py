"""The folder of OS images: each file whole under the name of its SHA-256, or not there at all.

Knows nothing of releases and of who may have what.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from fleet.errors import DiskRefuses, TooLarge
from ota.messages import new_id
from ota.whole import sync_folder

log = logging.getLogger(__name__)

IMAGE_MAX_BYTES: Final = 8 * 1024**3
RESERVE_BYTES: Final = 256 * 1024**2
"""Of the disk that an image leaves free: the database may lie on it."""
STALE_S: Final = 86_400.0
_BEGUN: Final = ".begun-"


@dataclass(frozen=True, slots=True)
class Digests:
    """What is known of a file's content; digests are hexadecimal, the length is in bytes."""

    sha256: str
    sha1: str
    md5: str
    length: int


class ImageFolder:
    """Keeps files of images.

    Args:
        folder: made when the first image comes.
        max_bytes: of one image.
    """

    def __init__(self, folder: Path, *, max_bytes: int = IMAGE_MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def path_of(self, sha256: str) -> Path:
        """Return where an image lies, or would."""
        return self._folder / sha256

    @contextmanager
    def receiving(self, length: int | None = None) -> Iterator[Receiving]:
        """Take in one image; it is there once `keep` was called, and nothing of it is left otherwise.

        Args:
            length: in bytes, where it is known.

        Raises:
            TooLarge: it is, or says that it is.
            DiskRefuses: there is no room, or the folder cannot be written.
        """
        self._check(length or 0)
        begun = self._folder / f"{_BEGUN}{new_id()}"
        try:
            with _refusals(self._folder):
                self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
                self._sweep()
                file = begun.open("xb")
            with file:
                yield Receiving(self, file, begun)
        finally:
            with suppress(OSError):
                begun.unlink(missing_ok=True)

    def drop(self, sha256: str) -> None:
        """Let go of an image."""
        with _refusals(self._folder):
            self.path_of(sha256).unlink(missing_ok=True)

    def _check(self, length: int, more: int = 0) -> None:
        """Refuse what is too large for us or for the disk; `more` bytes of it are not written yet."""
        if length > self._max_bytes:
            raise TooLarge(f"an image may have {self._max_bytes} bytes")
        parent = next(one for one in (self._folder, *self._folder.parents) if one.is_dir())
        with _refusals(self._folder):
            free = shutil.disk_usage(parent).free
        if free - (more or length) < RESERVE_BYTES:
            kept = f"{free} bytes are free, of which {RESERVE_BYTES} stay so"
            raise DiskRefuses(f"{self._folder}: no room for this image: {kept}")

    def _sweep(self) -> None:
        """Let go of what was begun long ago by somebody who was killed."""
        for left in self._folder.glob(f"{_BEGUN}*"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > STALE_S:
                    left.unlink()


class Receiving:
    """One image on its way in; its digests are made while it is written."""

    def __init__(self, folder: ImageFolder, file: BinaryIO, begun: Path) -> None:
        self._folder = folder
        self._file = file
        self._begun = begun
        self._length = 0
        self._sha256 = hashlib.sha256()
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._md5 = hashlib.md5(usedforsecurity=False)

    def add(self, piece: bytes) -> None:
        """Write what comes next.

        Raises:
            TooLarge: it is more than an image may be.
            DiskRefuses: the disk takes no more.
        """
        self._length += len(piece)
        self._folder._check(self._length, len(piece))
        with _refusals(self._begun.parent):
            self._file.write(piece)
        for digest in (self._sha256, self._sha1, self._md5):
            digest.update(piece)

    def keep(self) -> Digests:
        """Let the image be there; return what it is.

        Raises:
            DiskRefuses: the disk does not take it.
        """
        digests = Digests(
            self._sha256.hexdigest(), self._sha1.hexdigest(), self._md5.hexdigest(), self._length
        )
        with _refusals(self._begun.parent):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._begun.replace(self._folder.path_of(digests.sha256))
            sync_folder(self._begun.parent)
        log.info("image kept sha256=%s bytes=%d", digests.sha256, digests.length)
        return digests


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskRefuses(f"{folder} cannot be written: {error.strerror or error}") from error
