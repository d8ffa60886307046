"""Which boxes are right, missed and made up at one threshold of the score.

A detection takes the free truth that it overlaps most, at least :data:`MATCH_IOU`; the surest detection
chooses first, as COCO does. Functions of arrays; never opens a file and never runs a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from device.models.bundle import InputCard
from device.models.evaluation.precision import Seen
from device.models.evaluation.report import Confusion, SizeBin
from device.models.labels import CLASSES
from device.models.nms import overlaps
from device.models.prepare import place

MATCH_IOU = 0.5
"""Least overlap of a detection and the truth it found."""

SIZE_BOUNDS_PX = (0, 16, 32, 96)
"""Where the bins of a box's side begin, in pixels of the model's input; 32 and 96 are COCO's."""

NONE = -1
"""No truth, in :func:`pair`."""

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Matched:
    """One picture at a threshold: M truths and N detections of the classes asked for.

    Attributes:
        seen: The picture.
        truth_classes: int64 (M,).
        truth_boxes: float32 (M, 4), 0..1 of the picture.
        classes: int64 (N,), the surest first.
        scores: float32 (N,).
        boxes: float32 (N, 4).
        taken: int64 (N,), the truth of its own class that each detection found, or NONE.
        taken_by_place: int64 (N,), the same, whatever the class.
    """

    seen: Seen
    truth_classes: Integers
    truth_boxes: Floats
    classes: Integers
    scores: Floats
    boxes: Floats
    taken: Integers
    taken_by_place: Integers

    @property
    def is_missed(self) -> npt.NDArray[np.bool_]:
        """Truths (M,) that no detection of their class found."""
        return ~np.isin(np.arange(len(self.truth_classes)), self.taken)

    @property
    def is_false_alarm(self) -> npt.NDArray[np.bool_]:
        """Detections (N,) that found no truth of their class."""
        is_alone: npt.NDArray[np.bool_] = self.taken == NONE
        return is_alone


def match(seen: Sequence[Seen], classes: Sequence[int], conf: float) -> list[Matched]:
    """Pair the detections with a score of at least `conf` with the truth, picture by picture."""
    return [_matched(one, classes, conf) for one in seen]


def _matched(seen: Seen, classes: Sequence[int], conf: float) -> Matched:
    truth, found = seen.labelled, seen.detections
    asked = np.isin(truth.classes, classes)
    truth_classes, truth_boxes = truth.classes[asked], truth.boxes[asked].astype(np.float32)
    passing = np.isin(found.classes, classes) & (found.scores >= np.float32(conf))
    kinds, scores, boxes = found.classes[passing], found.scores[passing], found.boxes[passing]
    ious = overlaps(boxes[:, None], truth_boxes[None])
    same = kinds[:, None] == truth_classes[None]
    return Matched(
        seen, truth_classes, truth_boxes, kinds, scores, boxes, pair(np.where(same, ious, 0)), pair(ious)
    )


def pair(ious: Floats) -> Integers:
    """The truth that each detection takes.

    Args:
        ious: (N, M), detections, the surest first, by truths.

    Returns:
        int64 (N,), index of a truth, each at most once, or NONE.
    """
    left = ious.copy()
    taken = np.full(len(left), NONE, np.int64)
    if not left.shape[1]:
        return taken
    for row in range(len(left)):
        best = int(left[row].argmax())
        if left[row, best] >= MATCH_IOU:
            taken[row] = best
            left[:, best] = 0
    return taken


@dataclass(frozen=True, slots=True)
class Counts:
    """Detections and truths of one class, or of several."""

    right: int
    false_alarms: int
    missed: int

    @property
    def precision(self) -> float | None:
        """Share of the detections that are right; None where there is none."""
        return _share(self.right, self.right + self.false_alarms)

    @property
    def recall(self) -> float | None:
        """Share of the truths that were found; None where there is none."""
        return _share(self.right, self.right + self.missed)


def count(matched: Sequence[Matched], classes: Sequence[int]) -> Counts:
    """What is right and wrong in some classes, all taken together."""
    right = false_alarms = missed = 0
    for one in matched:
        mine = np.isin(one.classes, classes)
        right += int(np.count_nonzero(mine & ~one.is_false_alarm))
        false_alarms += int(np.count_nonzero(mine & one.is_false_alarm))
        missed += int(np.count_nonzero(np.isin(one.truth_classes, classes) & one.is_missed))
    return Counts(right, false_alarms, missed)


def recall_by_size(matched: Sequence[Matched], card: InputCard) -> list[SizeBin]:
    """Recall of small to large boxes, in pixels of a model's input (the root of width times height)."""
    sides, missed = [np.empty(0)], [np.empty(0, np.bool_)]
    for one in matched:
        put = place(one.seen.width, one.seen.height, card)
        size = one.truth_boxes[:, 2:] - one.truth_boxes[:, :2]
        sides.append(np.sqrt(np.maximum(size[:, 0] * put.width * size[:, 1] * put.height, 0)))
        missed.append(one.is_missed)
    bins = np.digitize(np.concatenate(sides), SIZE_BOUNDS_PX[1:])
    found = ~np.concatenate(missed)
    rows = []
    for number, least in enumerate(SIZE_BOUNDS_PX):
        boxes = int(np.count_nonzero(bins == number))
        right = int(np.count_nonzero(found[bins == number]))
        most = SIZE_BOUNDS_PX[number + 1] if number + 1 < len(SIZE_BOUNDS_PX) else None
        rows.append(SizeBin(least, most, boxes, right, _share(right, boxes)))
    return rows


def confusion(matched: Sequence[Matched], classes: Sequence[int]) -> Confusion:
    """What was taken for what; the pairs are made by place alone, whatever the class."""
    index = {number: row for row, number in enumerate(classes)}
    nothing = len(classes)
    counts = np.zeros((nothing + 1, nothing + 1), np.int64)
    for one in matched:
        for kind, at in zip(one.classes.tolist(), one.taken_by_place.tolist(), strict=True):
            truth = nothing if at == NONE else index[int(one.truth_classes[at])]
            counts[truth, index[kind]] += 1
        for at in np.setdiff1d(np.arange(len(one.truth_classes)), one.taken_by_place):
            counts[index[int(one.truth_classes[at])], nothing] += 1
    names = [CLASSES[number] for number in classes]
    return Confusion([*names, "background"], [*names, "missed"], counts.tolist())


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
