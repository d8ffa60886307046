"""Files and folders that are whole after a power cut: the old one or the new one, never half."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write beside the file, sync, rename over it, and sync the folder.

    Raises:
        OSError: the disk refuses; the old file is as it was.
    """
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def write_private(path: Path, content: bytes) -> None:
    """The same for what only its owner may read.

    Raises:
        OSError: the disk refuses; the old file is as it was.
    """
    write_whole(path, content, 0o600)


def point(link: Path, to: str) -> None:
    """Let a symbolic link lead somewhere else, in one step.

    Raises:
        OSError: the disk refuses; the link is as it was.
    """
    fresh = link.with_name(link.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(to)
    fresh.replace(link)
    sync_folder(link.parent)


def sync_file(path: Path) -> None:
    """Have a file's content on the disk itself.

    Raises:
        OSError: the disk refuses.
    """
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Have a folder's names on the disk itself.

    Raises:
        OSError: the disk refuses.
    """
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
