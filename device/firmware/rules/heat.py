"""A heat map: where objects stand, and for how long, on a grid of 16 by 9 cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from device.firmware.rules.choice import of_classes
from device.firmware.rules.happening import Happening
from device.firmware.tracks import Tracks

COLUMNS: Final = 16
ROWS: Final = 9
LONGEST_STEP_S: Final = 5.0
"""Frames farther apart than this are a gap in watching: nobody knows where anybody was."""
Cells = npt.NDArray[np.float64]
"""Shape (ROWS * COLUMNS,), row by row from the top left: object-seconds."""


@dataclass(slots=True)
class HeatRule:
    """Adds up how long objects stood where; it makes no events.

    Attributes:
        name: unique on its camera.
        classes: indices that count; empty means all.
    """

    name: str
    classes: frozenset[int] = frozenset()
    _cells: Cells = field(default_factory=lambda: np.zeros(ROWS * COLUMNS))
    _last_s: float | None = None

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        step_s = 0.0 if self._last_s is None else mono_s - self._last_s
        self._last_s = mono_s
        feet = tracks.feet
        if self.classes:
            feet = feet[[row for row, *_ in of_classes(tracks, self.classes)]]
        if len(feet) and 0.0 < step_s <= LONGEST_STEP_S:
            cells = cells_of(feet)
            self._cells += np.bincount(cells, minlength=ROWS * COLUMNS) * step_s
        return []

    def forget(self) -> None:
        """See `Rule.forget`; what was added up stays."""
        self._last_s = None

    def take(self) -> Cells:
        """Return what was added up since this was asked last, and begin anew."""
        taken, self._cells = self._cells, np.zeros(ROWS * COLUMNS)
        return taken


def cells_of(feet: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return the cell of each point (N, 2); what lies outside the picture belongs to the nearest cell."""
    columns = np.clip((feet[:, 0] * COLUMNS).astype(np.intp), 0, COLUMNS - 1)
    rows = np.clip((feet[:, 1] * ROWS).astype(np.intp), 0, ROWS - 1)
    cells: npt.NDArray[np.intp] = rows * COLUMNS + columns
    return cells
