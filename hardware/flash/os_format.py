"""How the system on a card is told about its first boot, found out by reading its boot partition. Pure.

docs/adr/0017 says what tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from datetime import date
from enum import StrEnum
from typing import Final

from hardware.errors import NotCustomised

PLAIN: Final = "the card holds the plain image; set it up by hand, or use Raspberry Pi OS (Bookworm or later)"
_BOOKWORM: Final = date(2023, 10, 10)
"""The first Raspberry Pi OS with Python 3.11, and with the boot partition on /boot/firmware."""
_SEEDS: Final = frozenset({"user-data", "meta-data"})


class OsFormat(StrEnum):
    """How the first boot is described."""

    FIRSTRUN = "firstrun"
    CLOUD_INIT = "cloud-init"


def detect(names: Set[str], read: Callable[[str], bytes]) -> OsFormat:
    """Return the format of an image from the files of its boot partition.

    Args:
        names: their paths.
        read: returns what is in one.

    Raises:
        NotCustomised: it is none that we know, or too old.
    """
    if not {"config.txt", "cmdline.txt"} <= names:
        raise NotCustomised("the image", "its boot partition is not that of a Raspberry Pi", PLAIN)
    if names >= _SEEDS:
        return OsFormat.CLOUD_INIT
    issued = _issue_date(read("issue.txt")) if "issue.txt" in names else None
    if issued is not None:
        if issued < _BOOKWORM:
            raise NotCustomised("the image", f"it is of {issued}, older than Bookworm ({_BOOKWORM})", PLAIN)
        return OsFormat.FIRSTRUN
    if b"/raspberrypi-sys-mods/firstboot" in read("cmdline.txt") and "initramfs8" in names:
        return OsFormat.FIRSTRUN
    raise NotCustomised(
        "the image", "neither cloud-init's files nor Raspberry Pi OS's issue.txt are in it", PLAIN
    )


def _issue_date(issue: bytes) -> date | None:
    """`Raspberry Pi reference 2024-11-19`, and lines of how it was built."""
    found = re.search(rb"Raspberry Pi reference (\d{4})-(\d\d)-(\d\d)", issue)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None
