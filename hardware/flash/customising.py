"""Puts the first-boot files on a card's boot partition and reads each of them again.

The customisation's hash is that of `pehra/files.sha256`, a list as `sha256sum` writes it: the board can check
the files with it, and tell the fleet by one number what it was given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hardware.errors import NotCustomised
from hardware.flash.card import Card
from hardware.flash.fat import Fat
from hardware.flash.first_boot import first_boot_files, image_files
from hardware.flash.os_format import OsFormat, detect
from hardware.flash.settings import Setup

Files = Mapping[str, bytes | Path]


@dataclass(frozen=True, slots=True)
class Customised:
    """What was put on the card."""

    os_format: OsFormat
    sha256: str
    names: tuple[str, ...]


def listing(files: Files) -> bytes:
    """Return the list of files with their hashes, by name, as `sha256sum` writes it."""
    return "".join(f"{_sha256(files[name])}  {name}\n" for name in sorted(files)).encode()


def planned(setup: Setup, os_format: OsFormat, cmdline: bytes) -> tuple[dict[str, bytes | Path], str]:
    """Return all files that will be written, and the customisation's hash."""
    files = first_boot_files(setup, os_format)
    told = listing(files)
    sha256 = hashlib.sha256(told).hexdigest()
    files |= image_files(setup, os_format, cmdline, sha256)
    return files | {"pehra/files.sha256": told, "pehra/customisation.sha256": f"{sha256}\n".encode()}, sha256


def customise(card: Card, begin_bytes: int, setup: Setup) -> Customised:
    """Write the first-boot files into the FAT file system that begins there, and verify them.

    Raises:
        NotCustomised: the system is not known, there is no room, or a file reads otherwise than written.
        CardFailed: the card failed.
    """
    fat = Fat(card.path, begin_bytes)
    names = fat.names()
    os_format = detect(names, fat.read)
    files, sha256 = planned(setup, os_format, fat.read("cmdline.txt"))
    fat.write(files)
    card.forget()
    for name, content in files.items():
        if hashlib.sha256(fat.read(name)).hexdigest() != _sha256(content):
            raise NotCustomised(card.path, f"{name} reads otherwise than it was written", "use another card")
    if missing := names - fat.names():
        raise NotCustomised(card.path, f"{min(missing)} of the image has gone", "flash it anew")
    return Customised(os_format, sha256, tuple(sorted(files)))


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
