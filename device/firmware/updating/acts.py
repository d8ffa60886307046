"""What each deed of `course.py` does. The state is kept before it is acted on, so each can be done again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from device.errors import UpdateHindered, UpdateRefused, UpdateUnsuited
from device.firmware.updating import ledger
from device.firmware.updating.fetching import Fetcher, Order, drop, matches
from device.firmware.updating.journal import COMMITTED, Journal, moved, watched_until
from device.firmware.updating.kind import FACTORY, Kind, KindName
from device.firmware.updating.ledger import LedgerFiles
from device.firmware.updating.telling import Teller
from device.firmware.updating.ways import Ways
from ota.messages.desired import Target
from ota.trust.download import Passage
from ota.trust.release import Release

Keep = Callable[[Kind, Journal], Journal]
"""Keeps a journal and tells of it; returns it."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Acts:
    """See the module.

    Attributes:
        folder: where what is fetched gathers, a folder a kind.
        ledger: what the device remembers.
        fetcher: brings releases.
        teller: says how far a download is.
        ways: to the daemon around.
        keep: keeps a journal and tells of it.
        restart: ends the daemon in order, for a release of this kind.
        pause: waits so many seconds; raises when there is no time any more.
        is_over: whether there is no time any more.
        mono: monotonic seconds.
        now: Unix seconds.
    """

    folder: Path
    ledger: LedgerFiles
    fetcher: Fetcher
    teller: Teller
    ways: Ways
    keep: Keep
    restart: Callable[[KindName], None]
    pause: Callable[[float], None]
    is_over: Callable[[], bool]
    mono: Callable[[], float]
    now: Callable[[], float]

    def end(self, kind: Kind, journal: Journal, word: str, reason: str) -> Journal:
        """End an action that has touched nothing: cancelled, or failed with what has come kept for later."""
        if word == "cancel":
            ended = self.keep(kind, moved(journal, "cancelled", reason=reason))
            drop(self.archive(kind))
            return ended
        return self.keep(kind, moved(journal, "failed", reason=reason))

    def obtain(self, kind: Kind, journal: Journal) -> Journal:
        """Bring the release, or find it in a slot; leaves it verified, or staged."""
        target = _target(journal)
        slot = kind.slot_with(target)
        if slot is not None and kind.is_vouched(slot, target):
            return self._found(kind, journal, slot)
        if journal.state != "downloading":
            journal = self.keep(kind, moved(journal, "downloading"))
            if journal.state != "downloading":
                return journal
        if slot is not None:
            self.fetcher.vouch(target)
            kind.adopt(slot, target)
            return self._found(kind, journal, slot)
        self.fetcher.obtain(self._order(kind, journal))
        return self.keep(kind, moved(journal, "verified"))

    def _found(self, kind: Kind, journal: Journal, slot: str) -> Journal:
        _log.info("update: kind=%s is in slot %s already", kind.name, slot or "factory")
        kind.check(slot, _release(journal), self.is_over)
        return self.keep(kind, moved(journal, "staged", slot=slot))

    def stage(self, kind: Kind, journal: Journal) -> Journal:
        """Verify what was fetched, fill the free slot with it, and try it."""
        target, archive = _target(journal), self.archive(kind)
        if not matches(target, archive):
            drop(archive)
            return self.keep(kind, moved(journal, "downloading", reason="the file was damaged: once more"))
        if journal.state == "staged":
            journal = self.keep(kind, moved(journal, "verified", reason="the slot was not whole: once more"))
            if journal.state != "verified":
                return journal
        journal = self._unwatched(kind, journal)
        slot = kind.free_slot()
        try:
            kind.stage(archive, slot, target, self.is_over)
            kind.check(slot, _release(journal), self.is_over)
        except UpdateRefused:
            kind.wipe(slot)
            raise
        return self.keep(kind, moved(journal, "staged", slot=slot))

    def _unwatched(self, kind: Kind, journal: Journal) -> Journal:
        """End the watch over what runs: the slot that it could go back to is about to be another's."""
        if journal.watched is None:
            return journal
        kind.end_watch()
        return self.keep(kind, watched_until(journal, 0.0))

    def refuse(self, kind: Kind, journal: Journal, error: UpdateRefused) -> Journal:
        """End an action whose release is not taken; one that failed its check not again on this device."""
        if not isinstance(error, UpdateUnsuited):
            held = self.ledger.read()
            self.ledger.write(ledger.condemned(held, journal.content, error.reason))
        rejected = self.keep(kind, moved(journal, "rejected", reason=error.reason))
        drop(self.archive(kind))
        return rejected

    def arm(self, kind: Kind, journal: Journal) -> Journal:
        """Say that it is going to be switched to; what a launcher left of earlier switches is over."""
        journal = self._unwatched(kind, journal)
        kind.settle(journal.slot)
        before = next(
            (slot for slot in (kind.current(), kind.running().slot) if slot != journal.slot), FACTORY
        )
        armed = moved(journal, "armed", before=before, was_linked=self.ways.is_linked(), starts=1)
        return self.keep(kind, armed)

    def switch(self, kind: Kind, journal: Journal) -> Journal:
        """Switch to it."""
        try:
            comes_to = kind.switch(journal.slot, journal.before)
        except UpdateRefused as error:
            return self.go_back(kind, journal, error.reason)
        journal = self.keep(kind, moved(journal, "switched"))
        if comes_to == "restart":
            self.restart(kind.name)
        return journal

    def commit(self, kind: Kind, journal: Journal) -> Journal:
        """Let it stay; the floor rises."""
        watch_until_s = self.now() + self.ways.watch_s if kind.name == "model" else 0.0
        journal = self.keep(kind, moved(journal, "committed", watch_until_s=watch_until_s))
        self._settle(kind, journal)
        return journal

    def report(self, kind: Kind, journal: Journal) -> Journal:
        """Have it said; without a link it waits."""
        self._settle(kind, journal)
        return self.keep(kind, moved(journal, "reported", is_told=True)) if self.ways.is_linked() else journal

    def _settle(self, kind: Kind, journal: Journal) -> None:
        kind.settle(journal.slot)
        self.ledger.write(ledger.committed(self.ledger.read(), _release(journal), journal.content))

    def clean(self, kind: Kind, journal: Journal) -> Journal:
        """Remove what is not needed any more."""
        drop(self.archive(kind))
        return self.keep(kind, moved(journal, "clean"))

    def go_back(self, kind: Kind, journal: Journal, reason: str) -> Journal:
        """Say that what ran before is to run again, and remember why."""
        was_good = journal.state in COMMITTED
        going = moved(journal, "rolling-back", reason=reason, was_good=was_good, watch_until_s=0.0)
        return self.keep(kind, going)

    def turn_back(self, kind: Kind, journal: Journal) -> Journal:
        """Let what ran before run again."""
        held = self.ledger.read()
        self.ledger.write(ledger.condemned(held, journal.content, journal.reason, was_good=journal.was_good))
        comes_to, slot = kind.switch_back(journal.before, journal.slot)
        if comes_to == "restart":
            self.restart(kind.name)
            return journal
        is_inconsistent = slot != journal.before
        reason = journal.reason
        if is_inconsistent:
            runs = f"slot {slot} runs" if slot else "the factory's runs"
            reason = f"{reason}; not the slot before: {runs}"
        rolled_back = self.keep(
            kind, moved(journal, "rolled-back", reason=reason, is_inconsistent=is_inconsistent)
        )
        with contextlib.suppress(OSError):
            drop(self.archive(kind))
        return rolled_back

    def archive(self, kind: Kind) -> Path:
        """Return where a kind's release gathers."""
        return self.folder / kind.name / "release.tar"

    def _order(self, kind: Kind, journal: Journal) -> Order:
        target = _target(journal)

        def tell(there: int) -> None:
            self.ways.sample(self.mono(), self.now())
            self.teller.progress(kind.name, journal, 100.0 * there / target.length)
            if self.is_over():
                raise UpdateHindered("broken off")

        passage = Passage(clock=self.mono, pause=self.pause, progress=tell)
        return Order(
            target,
            self.archive(kind),
            kind.contents(),
            kind.pack,
            kind.room_factor,
            self.ways.gate,
            passage,
        )


def _target(journal: Journal) -> Target:
    assert journal.target is not None
    return journal.target


def _release(journal: Journal) -> Release:
    return msgspec.convert(_target(journal).custom, type=Release)
