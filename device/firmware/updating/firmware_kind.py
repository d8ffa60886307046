"""Firmware as a kind of release: a program in a slot, started by a launcher that counts its starts.

::

    STATE/slots/firmware/
      a/  b/        venv/, MANIFEST.ok
      current       -> a or b; not there: the factory's program
      trial         JSON: slot, before, starts, limit; while it is there the launcher counts starts
      fell-back     JSON: slot, to, reason; the launcher went back
      factory       JSON: name and version of the factory's program, noted when it runs

This process cannot become another program: a switch ends in a restart, and a new start finds out from trial,
link and journal what has become of it. How a slot is filled and tried is the builder's (`firmware_slot.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec

from device.firmware.updating.kind import FACTORY, GOOD, SLOTS, KindName, Next, Running, Verdict
from device.firmware.updating.launcher_notes import FELL_BACK, TRIAL, LauncherNotes
from device.firmware.updating.slot_folder import MANIFEST, SlotFolder, bare
from ota.messages.desired import Target
from ota.trust.release import Release
from ota.whole import sync_folder, write_whole

FOLDER: Final = "slots/firmware"
PATIENCE: Final = 10.0
"""A new program that has lost the link is given up after this many times the probation."""
STABLE_S: Final = 60.0
"""A start that lived so long and ended in order is not counted: somebody restarted the service."""
NO_WORD: Final = (
    "another program was started than the one in the slot, without a word: "
    "the service must start the launcher, and the disk take its notes"
)
_log = logging.getLogger(__name__)


class Builder(Protocol):
    """What fills and tries a slot.

    Both raise `UpdateRefused` for a release that is at fault, `UpdateHindered` where it may be tried again,
    and `OSError` where the disk refuses.
    """

    def obstacle(self) -> str:
        """Return why nothing can be built, or would be started, on this board; empty where it can."""

    def build(
        self, archive: Path, slot: Path, notes: Mapping[str, object], is_over: Callable[[], bool]
    ) -> None:
        """Make a program of a wheelhouse's verified file.

        Args:
            archive: the file.
            slot: an empty folder.
            notes: stand in the slot's `MANIFEST.ok`, which is written last.
            is_over: asked often; true gives up.
        """

    def check(self, slot: Path, version: str, is_over: Callable[[], bool]) -> None:
        """Try the program that lies in a slot, which must be this version."""


class FirmwareSlots(SlotFolder):
    """The slots of programs; a venv is too large to be hashed at each look, its manifest is believed."""

    def __init__(self, state: Path) -> None:
        super().__init__(state / FOLDER)

    def seal(self, slot: str, target: Target) -> None:
        """See `SlotFolder`; only the words about what lies there are others."""
        place = self.path(slot)
        told = msgspec.json.decode((place / MANIFEST).read_bytes(), type=dict[str, object])
        told["target"] = msgspec.to_builtins(target)
        write_whole(place / MANIFEST, msgspec.json.encode(told))


class FirmwareKind:
    """See `Kind`.

    Args:
        slots: where programs lie.
        builder: fills and tries them.
        version: of the program that runs.
        is_linked: whether the link is up.
        probation_s: how long a program is tried.
        running_slot: of the program that runs.
        safe_reason: why the daemon is in safe mode; empty where it is not.
    """

    name: KindName = "firmware"
    max_bytes: Final = 400_000_000
    room_factor: Final = 5.0

    def __init__(
        self,
        slots: FirmwareSlots,
        builder: Builder,
        version: str,
        *,
        is_linked: Callable[[], bool],
        probation_s: float,
        running_slot: str,
        safe_reason: str = "",
    ) -> None:
        self._slots = slots
        self._notes = LauncherNotes(slots.folder)
        self._builder = builder
        self._version = version
        self._is_linked = is_linked
        self._probation_s = probation_s
        self._slot = running_slot
        self._safe_reason = safe_reason
        self._was_linked = False
        self._waits_for_start = False
        if self._slot == FACTORY:
            self._notes.note_factory(version)

    def obstacle(self) -> str:
        """See `Kind`."""
        return self._builder.obstacle()

    def running(self) -> Running:
        """See `Kind`."""
        known = self.describe(self._slot)
        return Running(self._slot, self._version, known.name or "pehra", self._version, known.sec_ver)

    def describe(self, slot: str) -> Running:
        """See `Kind`."""
        if slot == FACTORY:
            factory = self._notes.factory()
            return (
                Running(slot, factory.version, factory.name, factory.version) if factory else _nothing(slot)
            )
        manifest = self._slots.manifest(slot)
        if manifest is None:
            return _nothing(slot)
        custom = manifest.target.custom
        name, version = str(custom.get("name", "")), str(custom.get("version", ""))
        return Running(slot, version, name, version, manifest.sec_ver)

    def current(self) -> str:
        """See `Kind`."""
        return self._slots.current()

    def slot_with(self, target: Target) -> str | None:
        """See `Kind`; the factory's program is known by name and version, which mean one content for ever."""
        for slot in sorted(SLOTS, key=lambda slot: slot != self._slot):
            if self._slots.holds(slot, target):
                return slot
        factory = self._notes.factory()
        named = (target.custom.get("name"), target.custom.get("version"))
        return FACTORY if factory is not None and (factory.name, factory.version) == named else None

    def is_vouched(self, slot: str, target: Target) -> bool:
        """See `Kind`."""
        return self._slots.vouches(slot, target)

    def adopt(self, slot: str, target: Target) -> None:
        """See `Kind`."""
        if slot != FACTORY:
            self._slots.seal(slot, bare(target))

    def free_slot(self) -> str:
        """See `Kind`; never the one whose program runs."""
        free = [slot for slot in SLOTS if slot not in (self._slots.current(), self._slot)]
        return free[0] if len(free) == 1 else self._slots.other()

    def contents(self) -> dict[str, str]:
        """See `Kind`: a venv does not give its wheelhouse back."""
        return {}

    def pack(self, slot: str) -> bytes:
        """See `Kind`."""
        del slot
        return b""

    def stage(self, archive: Path, slot: str, target: Target, is_over: Callable[[], bool]) -> None:
        """See `Kind`."""
        self._slots.wipe(slot)
        place = self._slots.path(slot)
        place.mkdir(parents=True)
        self._builder.build(archive, place, {"target": msgspec.to_builtins(bare(target))}, is_over)
        assert self._slots.manifest(slot) is not None

    def wipe(self, slot: str) -> None:
        """See `Kind`."""
        self._slots.wipe(slot)

    def is_staged(self, slot: str, target: Target) -> bool:
        """See `Kind`."""
        return self.slot_with(target) == slot if slot == FACTORY else self._slots.holds(slot, target)

    def check(self, slot: str, release: Release, is_over: Callable[[], bool]) -> None:
        """See `Kind`."""
        if slot != FACTORY:
            self._builder.check(self._slots.path(slot), release.version, is_over)

    def switch(self, slot: str, before: str) -> Next:
        """See `Kind`."""
        if slot == self._slot and self._slots.current() == slot:
            return "runs"
        known = self._notes.trial()
        if slot == FACTORY:
            self._notes.drop(TRIAL)
        elif known is None or known.slot != slot:
            self._notes.begin_trial(slot, before)
        self._slots.turn_to(slot)
        self._waits_for_start = True
        return "restart"

    def switch_back(self, before: str, failed: str) -> tuple[Next, str]:
        """See `Kind`; where the launcher has gone by itself, or somebody by hand, it stays."""
        if self._slot != failed and self._slots.current() == self._slot:
            slot = self._slot
        else:
            slot = before if before == FACTORY or self._slots.manifest(before) is not None else FACTORY
            self._slots.turn_to(slot)
        self._condemn(failed)
        self.settle(slot)
        if slot == self._slot:
            return "runs", slot
        self._waits_for_start = True
        return "restart", slot

    def _condemn(self, slot: str) -> None:
        """Let a program that failed be nothing that the launcher would turn to in need."""
        if slot == FACTORY or not (self._slots.path(slot) / MANIFEST).exists():
            return
        try:
            (self._slots.path(slot) / MANIFEST).unlink()
            sync_folder(self._slots.path(slot))
        except OSError as error:  # going back, and saying so, is worth more
            _log.error("update: slot %s still passes for whole error=%r", slot, str(error))

    def fell_back(self, slot: str) -> str:
        """See `Kind`; on a full disk the launcher may have gone back without a word, or without the link."""
        is_current = self._slots.current() == slot
        if self._waits_for_start or (is_current and slot == self._slot):
            return ""
        left = self._notes.fell_back()
        if left is not None and left.slot in (slot, FACTORY):
            return left.reason
        return NO_WORD if is_current else ""

    def begin_probation(self, *, is_switched_now: bool, was_linked: bool) -> None:
        """See `Kind`."""
        del is_switched_now
        self._was_linked = was_linked

    def judge(self, lived_s: float) -> Verdict:
        """See `Kind`: all parts live, or this would not be asked; the link too, if it did before."""
        if self._safe_reason:
            return Verdict("bad", f"in safe mode with it: {self._safe_reason}")
        if lived_s < self._probation_s:
            return Verdict("waits", f"is tried for {self._probation_s:.0f} s")
        if self._is_linked() or not self._was_linked:
            return GOOD
        if lived_s < PATIENCE * self._probation_s:
            return Verdict("waits", "waits for the link, which was up before")
        return Verdict("bad", f"no link to the fleet for {lived_s:.0f} s with it; there was one before")

    def settle(self, slot: str) -> None:
        """See `Kind`."""
        del slot
        self._notes.drop(TRIAL, FELL_BACK)

    def tend(self, lived_s: float) -> str:
        """See `Kind`: a launcher that found the program of a slot broken has turned to another one.

        That one is on trial until it has lived; what was left is told until the fleet could hear it.
        """
        left = self._notes.fell_back()
        if lived_s >= self._probation_s and not self._safe_reason:
            self._notes.drop(TRIAL, *([FELL_BACK] if self._is_linked() else []))
        return left.words if left is not None else ""

    def end_in_order(self, lived_s: float) -> None:
        """See `Kind`."""
        if lived_s >= STABLE_S:
            self._notes.take_back_start(self._slot)

    def watch(self) -> Verdict:
        """See `Kind`: nothing is watched after the probation."""
        return GOOD

    def end_watch(self) -> None:
        """See `Kind`."""


def _nothing(slot: str) -> Running:
    return Running(slot, "", "", "")
