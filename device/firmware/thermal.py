"""The thermal ladder: fewer frames a second before the board slows itself down. Pure: time comes in.

A board that throttles itself loses speed without a word and at a moment of its own choosing; the ladder gives
up frames instead, in steps that are told. It works on the median of the last three readings, so that one
wild value moves nothing. A sensor that is gone, or shows one and the same hot value however much less the
board does, is not believed: then only what the firmware says of throttling holds the rate down.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Literal

from hardware.board import Thermal

SensorState = Literal["ok", "gone", "stuck", "none"]

SAMPLES = 3
GONE_S = 60.0
"""A sensor that was silent for so long is gone; until then its last step stands."""
STUCK_S = 600.0
"""A hot sensor that did not move by `STUCK_C` for so long, through a step down, is stuck."""
STUCK_C = 0.05


@dataclass(frozen=True, slots=True)
class Warmth:
    """Where the ladder stands.

    Attributes:
        step: 0 is full rate; 1.. are the profile's steps.
        factor: what the frame rate is multiplied by, above 0 and at most 1.
        temp_c: the temperature that was believed, degrees Celsius; None without one.
        sensor: `ok`, `gone` or `stuck`; `none` where it never told anything.
    """

    step: int = 0
    factor: float = 1.0
    temp_c: float | None = None
    sensor: SensorState = "none"

    @property
    def is_hot(self) -> bool:
        """Whether the alarm `hot` stands."""
        return self.step > 0


class ThermalLadder:
    """One board's ladder.

    Args:
        thermal: steps, factors and times of the board's profile.
    """

    def __init__(self, thermal: Thermal) -> None:
        self._thermal = thermal
        self._recent: deque[float] = deque(maxlen=SAMPLES)
        self._step = 0
        self._moved_s: float | None = None
        self._cool_since_s: float | None = None
        self._told_s: float | None = None
        self._same: _Same | None = None
        self._is_stuck = False

    def feel(self, temp_c: float | None, mono_s: float, *, is_throttled: bool = False) -> Warmth:
        """Take one reading in, and return where the ladder stands now.

        Args:
            temp_c: degrees Celsius; None where the sensor told nothing.
            mono_s: monotonic seconds of the reading, never falling.
            is_throttled: the firmware throttles at this moment: at least the first step.
        """
        believed = self._believe(temp_c, mono_s)
        sensor = self._sensor(mono_s)
        wanted = self._wanted(believed, sensor, is_throttled=is_throttled)
        self._move(wanted, mono_s)
        factor = self._thermal.factors[self._step - 1] if self._step else 1.0
        return Warmth(self._step, factor, believed, sensor)

    def _believe(self, temp_c: float | None, mono_s: float) -> float | None:
        if temp_c is None:
            if not self._is_heard(mono_s):
                self._recent.clear()
                self._same, self._is_stuck = None, False
            return None
        self._told_s = mono_s
        self._recent.append(temp_c)
        self._watch_stuck(temp_c, mono_s)
        is_enough = len(self._recent) == SAMPLES and not self._is_stuck
        return median(self._recent) if is_enough else None

    def _sensor(self, mono_s: float) -> SensorState:
        if self._told_s is None:
            return "none"
        if self._is_stuck:
            return "stuck"
        return "ok" if self._is_heard(mono_s) else "gone"

    def _is_heard(self, mono_s: float) -> bool:
        return self._told_s is not None and mono_s - self._told_s < GONE_S

    def _watch_stuck(self, temp_c: float, mono_s: float) -> None:
        """A real sensor moves when the load falls to a fraction; one that does not is broken."""
        same = self._same
        if same is None or abs(temp_c - same.temp_c) > STUCK_C:
            self._same, self._is_stuck = _Same(temp_c, mono_s), False
            return
        same.has_stepped = same.has_stepped or self._step > 0
        if same.has_stepped and mono_s - same.since_s >= STUCK_S:
            self._is_stuck = True

    def _wanted(self, temp_c: float | None, sensor: str, *, is_throttled: bool) -> int:
        """The step that this reading asks for."""
        least = 1 if is_throttled else 0
        if sensor != "ok":
            return least
        if temp_c is None:
            return max(self._step, least)
        thermal = self._thermal
        up_to = sum(temp_c >= limit for limit in thermal.steps_c)
        if up_to >= self._step:
            return max(up_to, least)
        kept = sum(temp_c >= limit - thermal.hysteresis_c for limit in thermal.steps_c)
        return max(min(kept, self._step), least)

    def _move(self, wanted: int, mono_s: float) -> None:
        thermal = self._thermal
        if wanted >= self._step:
            self._cool_since_s = None
            if wanted > self._step and self._may_step_down(wanted, mono_s):
                # The first step waits for nothing; from the last on the SoC itself is near: all at once.
                self._step = wanted if wanted == len(thermal.steps_c) else self._step + 1
                self._moved_s = mono_s
            return
        self._cool_since_s = mono_s if self._cool_since_s is None else self._cool_since_s
        if mono_s - self._cool_since_s >= thermal.recover_s:
            self._step -= 1
            self._cool_since_s = self._moved_s = mono_s

    def _may_step_down(self, wanted: int, mono_s: float) -> bool:
        if self._moved_s is None or wanted == len(self._thermal.steps_c):
            return True
        return mono_s - self._moved_s >= self._thermal.hold_s


@dataclass(slots=True)
class _Same:
    """A temperature that has not moved.

    Attributes:
        temp_c: where it stands.
        since_s: since when.
        has_stepped: whether the frame rate was down in that time.
    """

    temp_c: float
    since_s: float
    has_stepped: bool = False
