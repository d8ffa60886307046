"""The value between tracker and rules: which objects are in view now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

EndReason = Literal["lost", "left-frame", "gone", "unverified", "crowded-out"]
"""Why a track ended.

`lost`: it moved and was not found again. `left-frame`: it was last seen going out of the picture. `gone`: it
stood still, and after something moved where it stood it was not found again. `unverified`: it stood still and
nothing moved there, yet no detection has confirmed it for too long. `crowded-out`: there were too many.
"""


@dataclass(frozen=True, slots=True)
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
