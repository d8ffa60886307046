"""Where signed files are fetched from: what a source is, and a folder (a USB stick) as one.

Nothing here is trusted: a source may lie about everything. Whoever reads from it checks what came.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import unquote

from ota.errors import NotThere, SourceAway

USB_FOLDER = "pehra-update"
"""What the folder is called on a stick that `pehra ota export` has written."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A target on its way.

    Attributes:
        start: Byte at which it begins; 0 also where a later one was asked for and is not to be had. length:
        Of the whole file as the source says it; None where it does not. mark: By which the source knows this
        version of the file again (a strong ETag); empty if it gives none. chunks: The bytes.
    """

    start: int
    length: int | None
    mark: str
    chunks: Iterator[bytes]


class Source(Protocol):
    """Something that has the files of an image repository."""

    def metadata(self, name: str, max_bytes: int) -> bytes:
        """Return a metadata file, at most one byte more than `max_bytes` of it.

        Args:
            name: File name, percent-encoded, as in `3.snapshot.json`.
            max_bytes: How much is wanted at most.

        Raises:
            NotThere: There is no such file.
            SourceAway: It does not answer, or too slowly.
        """

    def target(self, name: str, start: int = 0, mark: str = "") -> AbstractContextManager[Incoming]:
        """Open a target's file.

        Args:
            name: Path below the targets, a path-relative URL.
            start: Byte to begin at.
            mark: What the source called the file whose first bytes we have.

        Raises:
            NotThere: There is no such file.
            SourceAway: It does not answer, or too slowly.
        """


class FolderSource:
    """A folder with `metadata/` and `targets/`, as it was published or exported."""

    def __init__(self, folder: Path, chunk_bytes: int = 64 * 1024) -> None:
        self.folder = folder
        self._chunk_bytes = chunk_bytes

    def __str__(self) -> str:
        return str(self.folder)

    def metadata(self, name: str, max_bytes: int) -> bytes:
        """See `Source`."""
        with self._reading(self.folder / "metadata" / _inside(name)) as handle:
            content = b""
            while len(content) <= max_bytes:
                part = self._read(handle, max_bytes + 1 - len(content))
                if not part:
                    break
                content += part
        return content

    @contextmanager
    def target(self, name: str, start: int = 0, mark: str = "") -> Iterator[Incoming]:
        """See `Source`; a file that has changed in between begins at its first byte again."""
        with self._reading(self.folder / "targets" / _inside(unquote(name))) as handle:
            state = os.fstat(handle)
            now = f"{state.st_size}-{state.st_mtime_ns}"
            begin = start if mark == now and start <= state.st_size else 0
            os.lseek(handle, begin, os.SEEK_SET)
            yield Incoming(begin, state.st_size, now, self._chunks(handle))

    @contextmanager
    def _reading(self, path: Path) -> Iterator[int]:
        try:
            # a device is not even opened: some act on it
            if not stat.S_ISREG(path.stat().st_mode):
                raise SourceAway(f"{path} is no plain file: try another stick")
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            if not (self.folder / "metadata").is_dir():
                raise SourceAway(f"{self.folder} is gone: put the stick in again") from error
            raise NotThere(str(path)) from error
        except (OSError, ValueError) as error:
            raise SourceAway(f"{path} cannot be read ({error}): try another stick") from error
        try:
            yield handle
        finally:
            os.close(handle)

    def _chunks(self, handle: int) -> Iterator[bytes]:
        while part := self._read(handle, self._chunk_bytes):
            yield part

    def _read(self, handle: int, size: int) -> bytes:
        try:
            return os.read(handle, min(size, self._chunk_bytes))
        except OSError as error:
            raise SourceAway(f"{self.folder} cannot be read ({error}): put the stick in again") from error


def _inside(name: str) -> PurePosixPath:
    """Return a path that stays below the folder that it is joined to.

    Raises:
        NotThere: It would not.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise NotThere(name)
    return path
