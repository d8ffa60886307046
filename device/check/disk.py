"""The disk of the state folder: can it be written, how full is it, how long does a safe write take."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.check.finding import Finding, ok, warn
from device.check.finding import fail as failed

PROBE_BYTES: Final = 65_536
FULL_BYTES: Final = 16_000_000
NEARLY_FULL_BYTES: Final = 200_000_000
"""The outbox may take 64 MB, and a model of 8 MB comes before the old one goes."""
SLOW_S: Final = 0.5

_REASONS: Final = {
    errno.ENOSPC: (
        "the disk is full",
        "delete what is not needed there, or change the card for a larger one",
    ),
    errno.EDQUOT: ("the quota is used up", "raise the quota of the user that Pehra runs as"),
    errno.EROFS: (
        "it is read-only",
        "put [device] state on a writable disk; a card that went read-only is dying",
    ),
    errno.EACCES: ("this user may not write there", "give the folder to the user that Pehra runs as (chown)"),
    errno.EPERM: ("this user may not write there", "give the folder to the user that Pehra runs as (chown)"),
    errno.EIO: ("the disk fails", "change the card"),
    errno.ENOTDIR: ("it is no folder", "name a folder in [device] state"),
}


@dataclass(frozen=True, slots=True)
class Room:
    """How much is left.

    Attributes:
        free_bytes: for a program without privileges.
        total_bytes: of the whole disk.
        free_files: how many more files it can hold; None where the filesystem has no such limit.
    """

    free_bytes: int
    total_bytes: int
    free_files: int | None


def look_at_disk(state: Path, root: Path = Path("/")) -> Iterator[Finding]:
    """Look at the disk below the state folder, and write a small file for a moment.

    Args:
        state: the state folder; where it is not made yet, the folder that it will be made in is looked at.
        root: folder whose disk is the system's.
    """
    folder = nearest(state)
    where = str(state) if folder == state else f"{state} (not made yet, in {folder})"
    try:
        room = room_of(folder)
    except OSError as error:
        yield _refused(where, error)
        return
    yield from judge_room(room)
    try:
        took_s = time_write(folder / f".pehra-check-{os.getpid()}")
    except OSError as error:
        yield _refused(where, error)
        return
    said = f"{where}: written and synced in {1000 * took_s:.0f} ms{_root_words(root)}"
    if took_s > SLOW_S:
        yield warn("disk: write", said, "a slow or worn card: change it, take one of class A1 or better")
    else:
        yield ok("disk: write", said)


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next((one for one in (folder, *folder.absolute().parents) if one.exists()), Path("/"))


def room_of(folder: Path) -> Room:
    """Return how much is left on the disk of a folder.

    Raises:
        OSError: it cannot be told.
    """
    disk = os.statvfs(folder)
    return Room(
        disk.f_bavail * disk.f_frsize,
        disk.f_blocks * disk.f_frsize,
        disk.f_favail if disk.f_files else None,
    )


def judge_room(room: Room) -> Iterator[Finding]:
    """Judge how much is left."""
    said = f"{room.free_bytes / 1e6:.0f} MB of {room.total_bytes / 1e6:.0f} MB free"
    way = "delete what is not needed there, or change the card for a larger one"
    if room.free_files == 0:
        yield failed("disk: room", f"{said}, but no further file can be made", way)
    elif room.free_bytes < FULL_BYTES:
        yield failed("disk: room", f"{said}: it is full", way)
    elif room.free_bytes < NEARLY_FULL_BYTES:
        yield warn("disk: room", f"{said}: the outbox alone may need 64 MB", way)
    else:
        yield ok("disk: room", said)


def time_write(file: Path) -> float:
    """Write, sync and delete a file; return the seconds of the write and the sync.

    Raises:
        OSError: the disk refuses.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    handle = os.open(file, flags, 0o600)
    try:
        began_s = time.monotonic()
        data = bytes(PROBE_BYTES)
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
        return time.monotonic() - began_s
    finally:
        os.close(handle)
        if file.is_file():
            file.unlink()


def _refused(where: str, error: OSError) -> Finding:
    reason, way = _REASONS.get(
        error.errno or 0, (str(error.strerror or error), "look at the disk: `dmesg`, `df`, `mount`")
    )
    return failed("disk: write", f"{where}: {reason}", way)


def _root_words(root: Path) -> str:
    try:
        is_read_only = bool(os.statvfs(root).f_flag & os.ST_RDONLY)
    except OSError:
        return ""
    return "; the system is read-only, as it may be" if is_read_only else ""
