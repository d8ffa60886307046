"""What a device remembers of all updates: floors, quarantine, what was good. The decisions are pure.

A floor is the highest security version that was committed, by kind and name; it rises at a commit and never
falls. Quarantine is by the hash of a release's file: the same again is refused, a new release is not. What
was committed once may be gone back to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from device.firmware.updating.twin import Twin
from ota.trust.release import Release

MOST_KEPT: Final = 64
"""Hashes of each list; the oldest go."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """See the module.

    Attributes:
        floors: `KIND/NAME` to security version.
        quarantined: hash to the reason, oldest first.
        good: hashes that were committed, oldest first.
        seq: of the newest document that was heard.
    """

    floors: dict[str, int] = {}
    quarantined: dict[str, str] = {}
    good: list[str] = []
    seq: int = 0

    def floor(self, release: Release) -> int:
        """Return the security version below which nothing of this name is taken."""
        return self.floors.get(f"{release.kind}/{release.name}", 0)

    def ban(self, content: str) -> str:
        """Return why a hash is refused; empty where it is not."""
        return "" if content in self.good else self.quarantined.get(content, "")


def committed(ledger: Ledger, release: Release, content: str) -> Ledger:
    """Return the ledger after a release was committed."""
    key = f"{release.kind}/{release.name}"
    floors = ledger.floors | {key: max(release.sec_ver, ledger.floors.get(key, 0))}
    good = [*(one for one in ledger.good if one != content), content][-MOST_KEPT:]
    quarantined = {one: why for one, why in ledger.quarantined.items() if one != content}
    return msgspec.structs.replace(ledger, floors=floors, good=good, quarantined=quarantined)


def condemned(ledger: Ledger, content: str, reason: str, *, was_good: bool = False) -> Ledger:
    """Return the ledger after a hash was put into quarantine.

    Args:
        ledger: before.
        content: the hash.
        reason: why.
        was_good: it had been committed, and is good no longer.
    """
    kept = [(one, why) for one, why in ledger.quarantined.items() if one != content]
    quarantined = dict([*kept, (content, reason[:200])][-MOST_KEPT:])
    good = [one for one in ledger.good if one != content] if was_good else ledger.good
    return msgspec.structs.replace(ledger, quarantined=quarantined, good=good)


class LedgerFiles:
    """The files in which it lies."""

    def __init__(self, folder: Path) -> None:
        self._twin = Twin(folder, "ledger", Ledger())

    def read(self) -> Ledger:
        """Return what was written last and is whole."""
        return self._twin.read()

    def write(self, ledger: Ledger) -> None:
        """Keep it; nothing is written where nothing has changed.

        Raises:
            OSError: the disk refuses.
        """
        if ledger != self._twin.read():
            self._twin.write(ledger)
