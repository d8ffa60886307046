"""What lies in the slots, what runs, and what was left and why: read from the disk, changing nothing."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Final

import msgspec

from device.firmware import launcher
from device.firmware.state_lock import is_running
from device.firmware.updating.firmware_slot import read_manifest

FIRMWARE: Final = "slots/firmware"
MODEL: Final = "slots/model"
Place = str
"""`a`, `b`, or `factory`."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a slot.

    Attributes:
        slot: `a` or `b`.
        state: `whole`, `not whole` or `empty`.
        version: of the release; empty where nobody knows.
        sha256: of its file.
        why: it cannot be started, where that can be seen.
    """

    slot: str
    state: str
    version: str = ""
    sha256: str = ""
    why: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the slots of one kind of release stand.

    Attributes:
        kind: `firmware` or `model`.
        current: what the next start takes.
        refused: why the link is not followed; empty where it is.
        slots: `a` and `b`.
        trial: slot that has not shown yet that it lives.
        starts: of the trial.
        limit: of its starts.
        fell_back: slot that was left.
        reason: why it was left.
    """

    kind: str
    current: Place
    refused: str = ""
    slots: tuple[Slot, ...] = ()
    trial: str = ""
    starts: int = 0
    limit: int = 0
    fell_back: Place = ""
    reason: str = ""


def firmware_standing(state: Path) -> Standing:
    """Return how the firmware slots below a state folder stand."""
    folder = state / FIRMWARE
    current, refused = launcher.read_current(folder)
    try:
        trial = launcher.read_trial(folder)
    except (OSError, ValueError) as error:
        trial, refused = None, refused or f"the record of the trial cannot be read ({error})"
    left = _told(folder / "fell-back")
    return Standing(
        kind="firmware",
        current=place_of(current),
        refused=refused,
        slots=tuple(_slot(folder, slot, launcher.fault(folder, slot)) for slot in launcher.SLOTS),
        trial=trial.slot if trial else "",
        starts=trial.starts if trial else 0,
        limit=trial.limit if trial else 0,
        fell_back=place_of(str(left.get("slot", ""))) if left else "",
        reason=str(left.get("reason", "")) if left else "",
    )


def model_standing(state: Path) -> Standing:
    """Return how the model slots below a state folder stand."""
    folder = state / MODEL
    current, refused = launcher.read_current(folder)
    slots = tuple(_slot(folder, slot, "") for slot in launcher.SLOTS)
    return Standing(kind="model", current=place_of(current), refused=refused, slots=slots)


def running_slot(state: Path, prefix: str = sys.prefix) -> str:
    """Return the slot that this very program is started from; empty: none, it is the factory's."""
    folder = (state / FIRMWARE).resolve()
    for slot in launcher.SLOTS:
        if Path(prefix).resolve().is_relative_to(folder / slot):
            return slot
    return launcher.FACTORY


def running_place(state: Path, processes: Path = Path("/proc")) -> Place:
    """Return where the firmware is from that runs with this board's state now; empty: none runs."""
    for file in processes.glob("[0-9]*/cmdline"):
        words = _words(file)
        is_daemon = ("device", "run") in itertools.pairwise(words)
        for slot in launcher.SLOTS if is_daemon else ():
            if Path(words[0]).is_relative_to(state / FIRMWARE / slot):
                return slot
    return place_of(launcher.FACTORY) if is_running(state) else ""


def _words(file: Path) -> list[str]:
    try:
        return file.read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def place_of(slot: str) -> Place:
    """Return how people call a slot."""
    return slot or "factory"


def _slot(folder: Path, slot: str, why: str) -> Slot:
    place = folder / slot
    try:
        is_empty = not place.is_dir() or not any(place.iterdir())
    except OSError as error:
        return Slot(slot=slot, state="not whole", why=str(error))
    held = read_manifest(place)
    if held is None:
        return Slot(slot=slot, state="empty" if is_empty else "not whole", why="" if is_empty else why)
    return Slot(slot=slot, state="whole", version=held.version, sha256=held.sha256, why=why)


def _told(file: Path) -> dict[str, object]:
    try:
        return launcher.read_json(file)
    except (OSError, ValueError):
        return {}
