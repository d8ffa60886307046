"""A technician turns a board to another firmware: what the launcher does by itself, in its words."""

from __future__ import annotations

from pathlib import Path

from device.errors import FirmwareUnusable, StateUnavailable
from device.firmware.launcher import Slots, Step, fault, read_current
from device.firmware.updating.standing import FIRMWARE, firmware_standing, place_of


def use(state: Path, slot: str, *, is_forced: bool = False) -> str:
    """Let the next start take another firmware; return the one that it would have taken, as people call it.

    Args:
        state: the device's state folder.
        slot: `a`, `b`, or empty for the factory's. A slot is on trial then, as after an update.
        is_forced: also while a release is on trial, which ends it.

    Raises:
        FirmwareUnusable: that one cannot be started, or a release is on trial.
        StateUnavailable: it cannot be written down.
    """
    folder, stands = state / FIRMWARE, firmware_standing(state)
    if slot and (why := fault(folder, slot)):
        raise FirmwareUnusable(f"slot {slot}: {why}", "choose another: pehra device slots", is_final=True)
    if stands.trial and not is_forced:
        words = f"slot {stands.trial} is on trial ({stands.starts} of {stands.limit} starts)"
        todo = "it is kept or left by itself; to end it now: --force"
        raise FirmwareUnusable(words, todo, is_final=False)
    if place_of(slot) != stands.current or stands.refused:
        slots = Slots(folder)
        slots.leave(Step("leave", slots.current, slot, "put back by hand"))
    if read_current(folder) != (slot, ""):
        raise StateUnavailable(folder, "it cannot be written: look at the card; as root, or sudo -u pehra")
    return stands.current
