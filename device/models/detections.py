"""What a detector says about one frame.

Values only: arrays of one length, boxes in fractions of the original image. Never knows a model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Detections:
    """The boxes of one frame, the surest first.

    Attributes:
        classes: int64 (N,), index into :data:`device.models.labels.CLASSES`.
        scores: float32 (N,), 0..1.
        boxes: float32 (N, 4), left, top, right, bottom in 0..1 of the original image, clipped.
    """

    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> Detections:
        """An empty frame."""
        return cls(
            classes=np.empty(0, np.int64),
            scores=np.empty(0, np.float32),
            boxes=np.empty((0, 4), np.float32),
        )
