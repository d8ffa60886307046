"""A card that is written block by block: says in plain words what the kernel meant when it failed.

A card is sealed last: its first 4 KiB (partition table) stay zero until all the rest is known to be good, so
that whatever is interrupted leaves a card that does not boot instead of one that half works.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final, Protocol

from hardware.errors import CardFailed, CardRefused

HEAD_BYTES: Final = 4096
"""MBR, or protective MBR and GPT header: without them nothing boots and nothing is mounted."""
TAIL_BYTES: Final = 1 << 20
"""At the end of a card a former GPT keeps its copy (UEFI 2.10, section 5.3.1)."""
SYNC_EVERY_BYTES: Final = 64 << 20
"""So much may wait in memory: the progress that is shown is the card's, and Ctrl-C need not wait."""
_GONE: Final = frozenset(
    {errno.EIO, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM, errno.EREMOTEIO, errno.ESTALE}
)
_FULL: Final = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
_LOCKED: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class Medium(Protocol):
    """What a card is made of; every call may raise `OSError`."""

    def write(self, data: memoryview, at: int) -> int:
        """Write some of the bytes at an offset and return how many."""

    def read(self, buffer: memoryview, at: int) -> int:
        """Fill some of a buffer from an offset and return how much; 0 at the end."""

    def sync(self) -> None:
        """Return when what was written is on the medium."""

    def forget(self) -> None:
        """Let later reads come from the medium and not from memory."""

    def cut(self, size_bytes: int) -> None:
        """End a file there; a device ends where it ends."""


class OpenedFile:
    """A device or a file, opened by its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def write(self, data: memoryview, at: int) -> int:
        """See `Medium`."""
        return os.pwrite(self._descriptor, data, at)

    def read(self, buffer: memoryview, at: int) -> int:
        """See `Medium`."""
        return os.preadv(self._descriptor, [buffer], at)

    def sync(self) -> None:
        """See `Medium`."""
        os.fdatasync(self._descriptor)

    def forget(self) -> None:
        """See `Medium`."""
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def cut(self, size_bytes: int) -> None:
        """See `Medium`."""
        if self._is_file:
            os.ftruncate(self._descriptor, size_bytes)


class Card:
    """A medium with a name and, where it has one, a size."""

    def __init__(self, path: Path, medium: Medium, size_bytes: int | None = None) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._medium = medium
        self._unsynced_bytes = 0

    def write_all(self, data: memoryview, at: int) -> None:
        """Write bytes at an offset, however many the kernel takes at a time.

        Raises:
            CardFailed: they cannot be written.
        """
        done = 0
        try:
            while done < len(data):
                done += _some(self._medium.write(data[done:], at + done), errno.ENOSPC)
            self._unsynced_bytes += done
            if self._unsynced_bytes >= SYNC_EVERY_BYTES:
                self.sync()
        except OSError as error:
            raise self._failed(error, at + done) from error

    def sync(self) -> None:
        """Return when all is on the card.

        Raises:
            CardFailed: it is not.
        """
        self._unsynced_bytes = 0
        try:
            self._medium.sync()
        except OSError as error:
            raise self._failed(error) from error

    def forget(self) -> None:
        """Sync, and let later reads come from the card itself."""
        self.sync()
        try:
            self._medium.forget()
        except OSError as error:
            raise self._failed(error) from error

    def read_all(self, buffer: memoryview, at: int) -> None:
        """Fill a buffer from an offset.

        Raises:
            CardFailed: it cannot be filled.
        """
        done = 0
        try:
            while done < len(buffer):
                done += _some(self._medium.read(buffer[done:], at + done), errno.EIO)
        except OSError as error:
            raise self._failed(error, at + done) from error

    def cut(self, size_bytes: int) -> None:
        """End a card that has no size of its own (a new file) there."""
        if self.size_bytes is None:
            try:
                self._medium.cut(size_bytes)
            except OSError as error:
                raise self._failed(error, size_bytes) from error

    def unseal(self) -> None:
        """Take away the beginning and the end of what was there before: it does not boot now."""
        head = memoryview(bytes(HEAD_BYTES))
        if self.size_bytes is not None:
            head = head[: self.size_bytes]
            tail = memoryview(bytes(min(TAIL_BYTES, self.size_bytes)))
            self.write_all(tail, self.size_bytes - len(tail))
        self.write_all(head, 0)
        self.sync()

    def seal(self, head: bytes) -> None:
        """Write the beginning, read it back, and so make the card whole.

        Raises:
            CardFailed: it does not read as it was written.
        """
        self.write_all(memoryview(head), 0)
        self.forget()
        again = bytearray(len(head))
        self.read_all(memoryview(again), 0)
        if again != head:
            self.unseal()
            raise CardFailed(
                self.path, "its beginning reads otherwise than it was written", "use another card"
            )

    def _failed(self, error: OSError, at: int | None = None) -> CardFailed:
        where = "" if at is None else f" at {at / 1e6:.0f} MB"
        if error.errno in _GONE:
            reason, todo = (
                f"it was pulled out or is failing{where} ({error.strerror})",
                ("it does not boot now: put it in again, or another one, and flash it anew"),
            )
        elif error.errno in _FULL:
            reason, todo = f"it is full{where}", "it does not boot now: use a larger card"
        elif error.errno in _LOCKED:
            reason, todo = (
                f"it is write-protected ({error.strerror})",
                "slide the lock on its side, or use another",
            )
        else:
            reason, todo = f"{error.strerror or error}{where}", "it does not boot now: flash it anew"
        return CardFailed(self.path, reason, todo)


def _some(count: int, meaning: int) -> int:
    """A call that does nothing and tells no error would be repeated for ever."""
    if count <= 0:
        raise OSError(meaning, os.strerror(meaning))
    return count


def open_device(path: Path, size_bytes: int) -> tuple[Card, int]:
    """Open a disk for nobody else: with `O_EXCL` the kernel refuses to mount it, or to open it while mounted.

    Returns:
        The card, and the descriptor to close.

    Raises:
        CardRefused: it is in use, write-protected, or not ours to write.
    """
    return _open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC, size_bytes)


def open_file(path: Path) -> tuple[Card, int]:
    """Open a file that stands for a card: one that exists has its size, a new one the image's.

    Returns:
        The card, and the descriptor to close.

    Raises:
        CardRefused: it cannot be written.
    """
    size_bytes = path.stat().st_size if path.exists() else 0
    return _open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, size_bytes or None)


def _open(path: Path, flags: int, size_bytes: int | None) -> tuple[Card, int]:
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        todo = {
            errno.EBUSY: "umount it, then try again",
            errno.EROFS: "slide the lock on the card's side, or use another",
            errno.EACCES: "call it with sudo",
            errno.ENOMEDIUM: "put a card in",
        }.get(error.errno or 0, "name the card: pehra flash --list")
        raise CardRefused(path, error.strerror or str(error), todo) from error
    return Card(path, OpenedFile(descriptor), size_bytes), descriptor
