"""What the updater needs of a kind of release: slots to stage into, a check, and a way to switch and go back.

Models (`model_kind.py`) and firmware (`firmware_kind.py`) are such kinds. A slot is `a`, `b`, or empty for
what came with the device: the factory's, which is never written. Every method may be called again after a
power cut, and then does the rest of what it had begun, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from ota.messages.desired import Target
from ota.trust.release import Release

FACTORY: Final = ""
"""The slot of what came with the device."""
SLOTS: Final = ("a", "b")

KindName = Literal["model", "firmware"]
Next = Literal["runs", "restart"]
"""What a switch comes to: it `runs` already, or the daemon has to end for a `restart`."""


@dataclass(frozen=True, slots=True)
class Running:
    """What really runs.

    Attributes:
        slot: from which; empty for the factory's.
        mark: what a report names: a model's SHA-256, the firmware's version.
        name: of the model, or of the firmware.
        version: of it.
        sec_ver: security version; 0 for the factory's.
    """

    slot: str
    mark: str
    name: str
    version: str
    sec_ver: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a release on probation stands.

    Attributes:
        state: `waits` for more time, `good`, or `bad`.
        reason: why it is bad, or what it waits for.
    """

    state: Literal["waits", "good", "bad"]
    reason: str = ""


WAITS: Final = Verdict("waits")
GOOD: Final = Verdict("good")


class Kind(Protocol):
    """One kind of release on this device; called by the updater's thread alone."""

    @property
    def name(self) -> KindName:
        """`model` or `firmware`."""

    @property
    def max_bytes(self) -> int:
        """Most bytes of a release's file."""

    @property
    def room_factor(self) -> float:
        """How many times a release's length must be free on the disk before it is fetched."""

    def obstacle(self) -> str:
        """Return why no release of this kind can be installed on this board; empty where one can."""

    def running(self) -> Running:
        """Return what really runs, not what a link says."""

    def describe(self, slot: str) -> Running:
        """Return what lies in a slot; nameless where it cannot be read."""

    def current(self) -> str:
        """Return the slot that the next start takes."""

    def slot_with(self, target: Target) -> str | None:
        """Return the slot, or the factory's, that holds a release's content, hashed anew; None for none."""

    def is_vouched(self, slot: str, target: Target) -> bool:
        """Whether a slot was filled with just this release, with the same words about it."""

    def adopt(self, slot: str, target: Target) -> None:
        """Take what lies in a slot for this release: its content is the same, and its words were verified.

        Raises:
            OSError: the disk refuses.
        """

    def free_slot(self) -> str:
        """Return the slot to stage into: never the one that the next start takes."""

    def contents(self) -> dict[str, str]:
        """Return SHA-256 of releases whose files can be made again, to their slots: deltas begin there."""

    def pack(self, slot: str) -> bytes:
        """Return the file of a slot's release, made again; empty where it cannot be."""

    def stage(self, archive: Path, slot: str, target: Target, is_over: Callable[[], bool]) -> None:
        """Fill a slot with a release's verified file; whatever lies there is wiped first.

        When it returns, all is on the disk, and the mark that says so was written last.

        Args:
            archive: the release's file.
            slot: the free one.
            target: the release.
            is_over: asked often; true when there is no time any more.

        Raises:
            UpdateRefused: the file holds what it should not.
            UpdateHindered: it was broken off, or cannot be done now.
            OSError: the disk refuses.
        """

    def wipe(self, slot: str) -> None:
        """Remove what was staged into a slot and did not stand its check.

        Raises:
            OSError: the disk refuses.
        """

    def is_staged(self, slot: str, target: Target) -> bool:
        """Whether a slot, or the factory's, holds this release, whole."""

    def check(self, slot: str, release: Release, is_over: Callable[[], bool]) -> None:
        """Try what lies in a slot, without risk to this process.

        Args:
            slot: a staged one.
            release: what was signed about it.
            is_over: asked often; true when there is no time any more.

        Raises:
            UpdateRefused: it does not stand the check.
            UpdateHindered: the check was broken off.
        """

    def switch(self, slot: str, before: str) -> Next:
        """Let a slot be what runs.

        Args:
            slot: a staged and checked one, or the factory's.
            before: to which `switch_back` would lead.

        Raises:
            UpdateRefused: it cannot be run after all; what ran before runs.
            OSError: the disk refuses; what ran before runs.
        """

    def switch_back(self, before: str, failed: str) -> tuple[Next, str]:
        """Let the slot before be what runs, or the factory's where that one is damaged.

        Args:
            before: the slot before.
            failed: the slot that is left.

        Returns:
            What it comes to, and the slot that it really is.

        Raises:
            OSError: the disk refuses.
        """

    def fell_back(self, slot: str) -> str:
        """Return why a slot does not run although it was switched to; empty while it runs, or will.

        A launcher may have gone back to the slot before, or nobody starts what lies in slots.
        """

    def begin_probation(self, *, is_switched_now: bool, was_linked: bool) -> None:
        """Begin to measure.

        Args:
            is_switched_now: the switch was made in this process, so that before and after can be compared.
            was_linked: whether the link was up before the switch.
        """

    def judge(self, lived_s: float) -> Verdict:
        """Say how what runs stands after so many seconds of probation in this process."""

    def settle(self, slot: str) -> None:
        """Drop what was only needed while a launcher could undo the switch. May be called twice.

        Raises:
            OSError: the disk refuses.
        """

    def tend(self, lived_s: float) -> str:
        """Look after what runs while no action is under way.

        Args:
            lived_s: seconds since this process began.

        Returns:
            What is wrong with it; empty where nothing is, or nothing is known.

        Raises:
            OSError: the disk refuses.
        """

    def end_in_order(self, lived_s: float) -> None:
        """Take back, where that is right, that this start of the process was counted: it ends in order.

        Args:
            lived_s: seconds since this process began.

        Raises:
            OSError: the disk refuses.
        """

    def watch(self) -> Verdict:
        """Say how what was committed stands, for the time in which it is still watched over."""

    def end_watch(self) -> None:
        """Watch over it no longer: what it shows is what is usual from now on."""
