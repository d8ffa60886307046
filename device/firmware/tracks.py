"""The value between tracker and rules: which objects are in view now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Tracks:
    """Objects that are tracked and were seen in this frame, plus those given up.

    Attributes:
        ids: int64 (N,), unique on this camera since the device started, from 1.
        classes: int64 (N,), index into `device.models.labels.CLASSES`.
        scores: float32 (N,), of the latest detection, 0..1.
        boxes: float32 (N, 4), left, top, right, bottom in 0..1.
        ended: ids that will not come back.
        first_boxes: float32 (N, 4), where each was first seen, before it counted as a track; None if unknown.
    """

    ids: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    ended: tuple[int, ...] = ()
    first_boxes: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.ids)
