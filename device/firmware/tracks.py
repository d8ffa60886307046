"""The value between tracker and rules: which objects are in view now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from device.firmware.geometry import Points, Polygon, bottom_centres

EndReason = Literal["lost", "left-frame", "gone", "unverified", "crowded-out"]
"""Why a track ended.

`lost`: it moved and was not found again. `left-frame`: it was last seen going out of the picture. `gone`: it
stood still, and after something moved where it stood it was not found again. `unverified`: it stood still and
nothing moved there, yet no detection has confirmed it for too long. `crowded-out`: there were too many.
"""


Standing = tuple[int, int, int, float, float, float]
"""One row of the tracks in plain numbers, which met one by one are several times faster than arrays: its
number, the track's id, the class, x and y of its bottom centre (0..1), the width of its box (0..1)."""


@dataclass(frozen=True)
class Tracks:
    """Objects that are tracked and were seen in this frame, plus what became of others.

    Attributes:
        ids: int64 (N,), unique on this camera since the device started, from 1.
        classes: int64 (N,), index into `device.models.labels.CLASSES`.
        scores: float32 (N,), of the latest detection, 0..1.
        boxes: float32 (N, 4), left, top, right, bottom in 0..1.
        ended: ids that will not come back.
        first_boxes: float32 (N, 4), where each was first seen, before it counted as a track; None if unknown.
        first_s: float64 (N,), when that was, monotonic seconds; None if unknown.
        renames: (id before, id it goes on under): a lost object is found to be one that has been shown under
            a new id. The id before is not in `ended` and never comes back; a state kept under it moves.
        reasons: why each of `ended` ended.
        still: bool (N,), whether each stands still and has done so for a while; None if unknown.
        remembered: ids of objects that were not found in this frame, but stand still where nothing moves.
    """

    ids: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    ended: tuple[int, ...] = ()
    first_boxes: npt.NDArray[np.float32] | None = None
    first_s: npt.NDArray[np.float64] | None = None
    renames: tuple[tuple[int, int], ...] = ()
    reasons: Mapping[int, EndReason] = field(default_factory=dict)
    still: npt.NDArray[np.bool_] | None = None
    remembered: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def feet(self) -> Points:
        """Where they stand: the bottom centre of each box, shape (N, 2)."""
        return bottom_centres(self.boxes)

    @cached_property
    def standing(self) -> list[Standing]:
        """The rows in plain numbers, worked out once for all rules."""
        across, down = self.feet.T.tolist()
        widths = (self.boxes[:, 2] - self.boxes[:, 0]).tolist()
        rows = zip(
            range(len(self)), self.ids.tolist(), self.classes.tolist(), across, down, widths, strict=True
        )
        return list(rows)

    def inside(self, area: Polygon) -> list[bool]:
        """Return which rows stand in an area; worked out for all areas of its group when one is asked for."""
        held = self._held.get(area)
        if held is None:
            self._held.update(zip(area.group.areas, area.group.hold(self.feet).tolist(), strict=True))
            held = self._held[area]
        return held

    @cached_property
    def _held(self) -> dict[Polygon, list[bool]]:
        return {}
