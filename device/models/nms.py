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
    boxes, classes = boxes.take(order, axis=0), classes.take(order)
    keep = _keep_by_matrix if len(order) <= _MATRIX_LIMIT else _keep_by_rows
    kept: Integers = order.take(keep(boxes, classes, iou, limit)).astype(np.int64, copy=False)
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
    # What each box hides is one long number with a bit for each box: the loop over boxes then needs no array.
    hidden_by = np.packbits(_hides(boxes, classes, iou), axis=1, bitorder="little")
    width, bits = hidden_by.shape[1], hidden_by.tobytes()
    gone, kept = 0, []
    for row in range(len(boxes)):
        if not gone >> row & 1:
            kept.append(row)
            gone |= int.from_bytes(bits[row * width : (row + 1) * width], "little")
    return np.array(kept[:limit], np.int64)


def _hides(boxes: Floats, classes: Integers, iou: float) -> npt.NDArray[np.bool_]:
    """Whether the box of each column goes if that of the row stays and is the surer one."""
    left, top, right, bottom = np.ascontiguousarray(boxes.T)
    both = np.minimum.outer(right, right)
    both -= np.maximum.outer(left, left)
    np.maximum(both, 0.0, out=both)
    down = np.minimum.outer(bottom, bottom)
    down -= np.maximum.outer(top, top)
    both *= down
    area = (right - left) * (bottom - top)
    either = np.add.outer(area, area)
    either -= both
    np.divide(both, either, out=both, where=both > 0.0)
    hides: npt.NDArray[np.bool_] = both > iou
    hides &= np.equal.outer(classes, classes)
    return hides


def _keep_by_rows(boxes: Floats, classes: Integers, iou: float, limit: int) -> Integers:
    left = np.arange(len(boxes))
    kept: list[int] = []
    while len(left) and len(kept) < limit:
        first, left = left[0], left[1:]
        kept.append(int(first))
        hidden = (overlaps(boxes[first], boxes[left]) > iou) & (classes[left] == classes[first])
        left = left[~hidden]
    return np.array(kept, np.int64)
