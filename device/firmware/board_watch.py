"""Watches the board for the daemon: reads it at intervals, works the thermal ladder, says what is wrong.

The alarm `hot` and an under-voltage belong to the device, not to a camera: they travel as the device's
status (`degraded`, with the reason) and in its health. Called by the supervisor's thread alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from device.firmware.thermal import ThermalLadder, Warmth
from hardware.board import Board, Reading

_log = logging.getLogger(__name__)

READ_S = 5.0
LOW_VOLTAGE_HOLD_S = 60.0
"""An under-voltage stands for so long after its last sign, since it comes with every peak of the load."""
WORN_PCT = 80.0


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with the board.

    Attributes:
        kind: `hot`, `sensor`, `under-voltage` or `worn`; a change of kinds is told at once.
        words: for people.
    """

    kind: str
    words: str


class BoardWatch:
    """One board under watch.

    Args:
        board: the board.
        disk: a folder of the disk that the state lies on.
    """

    def __init__(self, board: Board, disk: Path) -> None:
        self.board = board
        self._disk = disk
        self._ladder = ThermalLadder(board.profile.thermal)
        self._due_s = float("-inf")
        self._low_voltage_s: float | None = None
        self.reading = Reading()
        self.warmth = Warmth()
        self.complaints: tuple[Complaint, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is wrong, one word each, and the step of the ladder: what a change of is told at once."""
        return (*(complaint.kind for complaint in self.complaints), f"step-{self.warmth.step}")

    def watch(self, mono_s: float) -> None:
        """Read the board if it is time to, at most every `READ_S`."""
        if mono_s < self._due_s:
            return
        self._due_s = mono_s + READ_S
        self.reading = self.board.reading(self._disk)
        bits, before = self.reading.throttling, self.warmth
        self.warmth = self._ladder.feel(
            self.reading.temp_c, mono_s, is_throttled=bits is not None and bits.is_throttled
        )
        if self.reading.under_voltage:
            self._low_voltage_s = mono_s
        known = self.complaints
        self.complaints = tuple(self._complaints(mono_s))
        if before.step != self.warmth.step:
            _log.warning(
                "board step=%d rate_pct=%.0f temp_c=%s sensor=%s",
                self.warmth.step,
                100 * self.warmth.factor,
                self.reading.temp_c,
                self.warmth.sensor,
            )
        for complaint in self.complaints:
            if complaint.kind not in {old.kind for old in known}:
                _log.warning("board %s: %s", complaint.kind, complaint.words)

    def _complaints(self, mono_s: float) -> list[Complaint]:
        found, warmth, reading = [], self.warmth, self.reading
        if warmth.is_hot:
            temp = "throttled" if warmth.temp_c is None else f"{warmth.temp_c:.0f} C"
            found.append(Complaint("hot", f"hot: {temp}, frame rate at {100 * warmth.factor:.0f} %"))
        if warmth.sensor in {"gone", "stuck"}:
            at = "" if reading.temp_c is None else f" at {reading.temp_c:.1f} C"
            found.append(Complaint("sensor", f"temperature sensor {warmth.sensor}{at}"))
        if self._low_voltage_s is not None and mono_s - self._low_voltage_s < LOW_VOLTAGE_HOLD_S:
            found.append(Complaint("under-voltage", "under-voltage: power supply or cable too weak"))
        if (reading.sd_wear_pct or 0.0) > WORN_PCT or (reading.pre_end_of_life or 1) > 1:
            found.append(Complaint("worn", "storage nearly worn out: replace it"))
        return found
