"""Hours of heat maps: what heat rules add up is kept by the hour, saved, and closed when the hour is over.

The hours are those of UTC, as the buckets of `counts.py`. Nothing here reads a clock.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from device.firmware.counts import LATE_S, LONGEST_STEP_S, SET_BACK_S, WHOLE
from device.firmware.rules.heat import COLUMNS, ROWS, Cells

HOUR_S: Final = 3600
SAVE_S: Final = 120.0
"""How often the open hour is saved: more often would only wear the card."""


class HeatHour(msgspec.Struct):
    """One hour of one rule.

    Attributes:
        rule: name of the rule.
        from_s: start, Unix seconds, a multiple of 3600.
        cells: object-seconds of each of the 144 cells, row by row from the top left.
        last_s: the latest moment that was watched, Unix seconds.
        watched_s: for how long it was watched.
    """

    rule: str
    from_s: int
    cells: list[float]
    last_s: float
    watched_s: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether it was watched (nearly) all the time."""
        return self.watched_s >= WHOLE * HOUR_S

    @property
    def to_s(self) -> float:
        """End of what was added up: the hour's end, or the last watched moment of a partial one."""
        end_s = self.from_s + HOUR_S
        return end_s if self.is_whole else min(max(self.last_s, self.from_s), end_s)


class HeatHours:
    """The open hours of one camera, one a rule."""

    def __init__(self, rules: tuple[str, ...], saved: bytes | None = None) -> None:
        """Begin, or go on with what `saved` returned; hours of rules that are gone are dropped."""
        self._open: dict[str, HeatHour] = {}
        self._last_s: float | None = None
        self._saved_s: float | None = None
        for hour in msgspec.msgpack.decode(saved, type=list[HeatHour]) if saved else []:
            if hour.rule in rules and len(hour.cells) == ROWS * COLUMNS:
                self._open[hour.rule] = hour

    def watch(self, cells_of: dict[str, Cells], utc_s: float) -> list[HeatHour]:
        """Add what the rules (by name) have added up until this moment; return the hours that it closes."""
        closed = self._close(utc_s)
        step_s = 0.0 if self._last_s is None else utc_s - self._last_s
        self._last_s = utc_s
        for rule, cells in cells_of.items():
            hour = self._open.get(rule)
            if hour is None:
                from_s = int(utc_s // HOUR_S) * HOUR_S
                hour = self._open[rule] = HeatHour(rule, from_s, [0.0] * (ROWS * COLUMNS), utc_s)
            if cells.any():
                hour.cells = (np.asarray(hour.cells) + cells).tolist()
            hour.last_s = utc_s
            hour.watched_s += step_s if 0.0 < step_s <= LONGEST_STEP_S else 0.0
        return closed

    def idle(self, utc_s: float) -> list[HeatHour]:
        """Return the hours that are over although no frame came."""
        return self._close(utc_s - LATE_S)

    def partial(self) -> list[HeatHour]:
        """Return the open hours that hold something, for a device that is about to stop."""
        return [hour for hour in self._open.values() if any(hour.cells)]

    def is_save_due(self, utc_s: float) -> bool:
        """Whether the open hours should be saved again; true once each `SAVE_S`."""
        if not self._open or (self._saved_s is not None and 0.0 <= utc_s - self._saved_s < SAVE_S):
            return False
        self._saved_s = utc_s
        return True

    def saved(self) -> bytes:
        """Return the open hours as bytes that `HeatHours(..., saved=)` reads."""
        return msgspec.msgpack.encode(list(self._open.values()))

    def _close(self, utc_s: float) -> list[HeatHour]:
        """Take out the hours that are over; one that the clock was set back behind a little goes on."""
        over = [
            rule
            for rule, hour in self._open.items()
            if utc_s >= hour.from_s + HOUR_S or utc_s < hour.from_s - SET_BACK_S
        ]
        return [self._open.pop(rule) for rule in over]
