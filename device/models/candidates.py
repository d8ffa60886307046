"""What decoders make: candidates, without what is no number and without boxes that have no area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from device.models.quantise import Array

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes before the suppression of overlaps.

    Attributes:
        classes: int64 (N,), index into CLASSES.
        scores: float32 (N,).
        boxes: float32 (N, 4), left, top, right, bottom in 0..1 of the model's input; may reach beyond it.
        dropped: Boxes left out because a number in them was NaN or infinite.
    """

    classes: Integers
    scores: Floats
    boxes: Floats
    dropped: int


def nothing(dropped: int) -> Candidates:
    """No candidates."""
    return Candidates(np.empty(0, np.int64), np.empty(0, np.float32), np.empty((0, 4), np.float32), dropped)


def cleaned(classes: Integers, scores: Floats, boxes: Floats, dropped: int) -> Candidates:
    """Leave out what is not finite, and boxes without an area; no side lies beyond -1..2."""
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    lost = len(finite) - int(np.count_nonzero(finite))
    if lost:
        classes, scores, boxes = classes[finite], scores[finite], boxes[finite]
    return with_area(Candidates(classes, scores, boxes.clip(-1.0, 2.0), dropped + lost))


def with_area(found: Candidates) -> Candidates:
    """Leave out boxes without an area; all numbers are finite."""
    boxes = found.boxes
    has_side = boxes[:, 2:] > boxes[:, :2]
    if has_side.all():
        return found
    good = has_side.all(axis=1)
    return Candidates(found.classes[good], found.scores[good], boxes[good], found.dropped)


def not_finite(scores: Array) -> int:
    """How many scores are NaN or infinite."""
    is_float = scores.dtype.kind == "f"
    return int(scores.size - np.count_nonzero(np.isfinite(scores))) if is_float else 0


def without_nan(scores: Array) -> Array:
    """Float scores with NaN and infinities as -1, so that a maximum is one of the sound scores."""
    return sound(scores.astype(np.float32, copy=False)) if scores.dtype.kind == "f" else scores


def sound(scores: Floats) -> Floats:
    """Scores with -1 in place of NaN and infinities."""
    return np.where(np.isfinite(scores), scores, np.float32(-1))
