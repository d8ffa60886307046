"""Non-maximum suppression: of boxes of one class that cover one another, the surest stays.

The greedy form that COCO evaluations use (Felzenszwalb et al. 2010, section 4.3), per class, by OpenCV.
Pure; never changes a box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from device.models.candidates import Floats, Integers

MOST_DETECTIONS = 300
"""Most boxes that one frame may keep."""

_ANY_SCORE = float("-inf")
"""A score that all are above."""


def nms(
    boxes: Floats, scores: Floats, classes: Integers, iou: float, limit: int = MOST_DETECTIONS
) -> Integers:
    """Which boxes stay.

    A box goes when a surer one of its class stays and their IoU is greater than ``iou``. Of equal
    scores the earlier box is the surer.

    Args:
        boxes: (N, 4) left, top, right, bottom in any one unit, below a million. Those without an area overlap
            nothing.
        scores: (N,), finite.
        classes: (N,).
        iou: 0..1.
        limit: Most boxes to keep.

    Returns:
        Indices of the boxes that stay, the surest first.
    """
    corner_and_size = boxes.astype(np.float64)
    corner_and_size[:, 2:] -= corner_and_size[:, :2]
    if len(boxes):
        # Classes are kept apart by moving each by more than the greatest coordinate: none may be negative.
        corner_and_size[:, :2] -= corner_and_size[:, :2].min()
    empty = np.flatnonzero(np.any(corner_and_size[:, 2:] <= 0.0, axis=1))
    if len(empty):
        # To OpenCV all boxes without an area are one and the same.
        rows = np.delete(np.arange(len(boxes)), empty)
        solid = nms(boxes[rows], scores[rows], classes[rows], iou, limit=len(rows))
        stays = np.concatenate([rows[solid], empty])
        return stays[np.lexsort((stays, -scores[stays]))][:limit]
    # Its stubs want lists, which it takes ten times as long to read.
    suppress: Callable[..., Sequence[int]] = cv2.dnn.NMSBoxesBatched
    kept = suppress(corner_and_size, scores, classes.astype(np.int32), _ANY_SCORE, iou)
    return np.array(kept[:limit], np.int64)


def overlaps(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of boxes; shapes (..., 4) that broadcast. Empty boxes overlap nothing."""
    size = np.minimum(box[..., 2:], boxes[..., 2:]) - np.maximum(box[..., :2], boxes[..., :2])
    np.maximum(size, 0.0, out=size)
    both = size[..., 0] * size[..., 1]
    either = _area(box) + _area(boxes) - both
    ious: Floats = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return ious


def _area(boxes: Floats) -> Floats:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    area: Floats = sides[..., 0] * sides[..., 1]
    return area
