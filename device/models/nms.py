"""Non-maximum suppression: of boxes of one class that cover one another, the surest stays.

The greedy form that COCO evaluations use (Felzenszwalb et al. 2010, section 4.3), per class, in
vectorised numpy. Pure; never changes a box.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MOST_DETECTIONS = 300
"""Most boxes that one frame may keep."""

_MATRIX_LIMIT = 256
"""Up to so many boxes all overlaps are computed at once; beyond it one row at a time is cheaper."""

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


def nms(
    boxes: Floats, scores: Floats, classes: Integers, iou: float, limit: int = MOST_DETECTIONS
) -> Integers:
    """Which boxes stay.

    A box goes when a surer one of its class stays and their IoU is greater than ``iou``. Of equal
    scores the earlier box is the surer.

    Args:
        boxes: (N, 4) left, top, right, bottom in any one unit.
        scores: (N,), finite.
        classes: (N,).
        iou: 0..1.
        limit: Most boxes to keep.

    Returns:
        Indices of the boxes that stay, the surest first.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return order.astype(np.int64)
    boxes, classes = boxes[order], classes[order]
    keep = _keep_by_matrix if len(order) <= _MATRIX_LIMIT else _keep_by_rows
    kept: Integers = order[keep(boxes, classes, iou, limit)].astype(np.int64)
    return kept


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


def _keep_by_matrix(boxes: Floats, classes: Integers, iou: float, limit: int) -> Integers:
    ious = overlaps(boxes[:, None], boxes[None])
    hides = (ious > iou) & (classes[:, None] == classes[None])
    stays = np.ones(len(boxes), np.bool_)
    np.fill_diagonal(hides, val=False)
    for row in np.flatnonzero(hides.any(axis=1)):
        if stays[row]:
            stays[row + 1 :] &= ~hides[row, row + 1 :]
    return np.flatnonzero(stays)[:limit]


def _keep_by_rows(boxes: Floats, classes: Integers, iou: float, limit: int) -> Integers:
    left = np.arange(len(boxes))
    kept: list[int] = []
    while len(left) and len(kept) < limit:
        first, left = left[0], left[1:]
        kept.append(int(first))
        hidden = (overlaps(boxes[first], boxes[left]) > iou) & (classes[left] == classes[first])
        left = left[~hidden]
    return np.array(kept, np.int64)
