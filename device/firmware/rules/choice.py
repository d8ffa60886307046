"""Which of the tracks a rule is about, and how one of them is told."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from device.firmware.rules.happening import Sighting
from device.firmware.tracks import Tracks


def of_classes(tracks: Tracks, classes: frozenset[int]) -> npt.NDArray[np.intp]:
    """Return the rows of the tracks of these classes; all for none."""
    if not classes:
        return np.arange(len(tracks))
    return np.flatnonzero(np.isin(tracks.classes, list(classes)))


def sighting(tracks: Tracks, row: int) -> Sighting:
    """Return one row of the tracks as a value."""
    left, top, right, bottom = (float(side) for side in tracks.boxes[row])
    return Sighting(
        int(tracks.ids[row]), int(tracks.classes[row]), float(tracks.scores[row]), (left, top, right, bottom)
    )
