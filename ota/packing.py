"""A folder as one file, always with the same bytes: what a release is, and what deltas are made between.

A tar (POSIX ustar) of regular files, sorted by name, without times, owners or modes. So a device can make the
file again from the folder that it has installed. Links, devices and names that lead out of the folder are
refused on both ways.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Container
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ota.errors import BadRelease, WrongContent
from ota.whole import sync_file, sync_folder

LONGEST_NAME = 200
MAX_FILES = 5_000


def pack(folder: Path, into: BinaryIO, without: Container[str] = ()) -> None:
    """Write a folder's files as a tar.

    Args:
        folder: With the files.
        into: Where the tar goes.
        without: Names, relative to the folder, that are left out.

    Raises:
        BadRelease: Something in it is no plain file, or its name is too long; or there is nothing.
    """
    named = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    paths = [path for name, path in sorted(named.items()) if name not in without]
    if not paths:
        raise BadRelease(f"{folder}: there is nothing in it")
    with tarfile.open(fileobj=into, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in paths:
            name = path.relative_to(folder).as_posix()
            if not _may_be_named(name):
                raise BadRelease(f"{path}: its name is too long or holds odd characters; rename it")
            about = tarfile.TarInfo(name)
            with path.open("rb") as file:
                about.size = os.fstat(file.fileno()).st_size
                about.mode = 0o644
                tar.addfile(about, file)


def unpack(file: Path, folder: Path, max_bytes: int) -> None:
    """Write a tar's files into a new folder, and have them on the disk.

    Args:
        file: The tar, verified.
        folder: Made here; must not be there.
        max_bytes: Of all files together.

    Raises:
        WrongContent: It holds something else than plain files below the folder, or too much.
        OSError: The disk refuses; what was written is left.
    """
    folder.mkdir(parents=True)
    left = max_bytes
    try:
        with tarfile.open(file, mode="r:") as tar:
            for count, about in enumerate(tar):
                left -= about.size
                _check(file, about, is_too_much=left < 0 or count >= MAX_FILES)
                _write(tar, about, folder / about.name)
    except tarfile.TarError as error:
        raise WrongContent(str(file), f"cannot be unpacked ({error})") from error
    for path, _, _ in os.walk(folder):
        sync_folder(Path(path))


def _check(file: Path, about: tarfile.TarInfo, *, is_too_much: bool) -> None:
    path = PurePosixPath(about.name)
    if not about.isreg() or path.is_absolute() or ".." in path.parts or not path.parts:
        raise WrongContent(str(file), f"{about.name!r} is no plain file below the folder")
    if not _may_be_named(about.name):
        raise WrongContent(str(file), f"a name is too long or holds odd characters: {about.name[:40]!r}")
    if is_too_much:
        raise WrongContent(str(file), "holds more than is allowed")


def _write(tar: tarfile.TarFile, about: tarfile.TarInfo, path: Path) -> None:
    content = tar.extractfile(about)
    assert content is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)
    except (FileExistsError, NotADirectoryError) as error:
        raise WrongContent(about.name, "stands twice in it, or is a file and a folder") from error
    sync_file(path)


def _may_be_named(name: str) -> bool:
    return len(name) <= LONGEST_NAME and name.isascii() and name.isprintable()


def _files(folder: Path) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise BadRelease(f"{path}: is no plain file; put a copy there")
        if path.is_file() and "__pycache__" not in path.parts:
            found.append(path)
    return found
