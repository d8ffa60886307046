"""Output tensors to boxes, for each of the layouts that detectors come in.

A decoder compares scores while they are still integers and dequantises only what passes. It gives
candidates in 0..1 of the model's input; it never suppresses overlaps and never knows the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from device.errors import ModelUnavailable
from device.models.bundle import DECODERS, Card
from device.models.labels import NOT_OURS, classes_of
from device.models.quantise import Array, Levels, TensorSpec, real_table

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

STRIDES = (8, 16, 32)
"""Pixels of the input to one cell, of the three outputs of `pehra-ltrb`."""

LARGEST_FRACTION = 2.0
"""A box coordinate beyond this is in pixels, not in 0..1."""


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


class Decoder(Protocol):
    """Reads one layout of outputs."""

    needs_nms: bool

    def decode(self, outputs: Sequence[Array], conf: float) -> Candidates:
        """Candidates of our classes with a score of at least ``conf``.

        Args:
            outputs: The output tensors, in the order of the specs the decoder was made with. Only read.
            conf: 0..1.
        """
        ...


def make_decoder(
    path: Path, card: Card, outputs: Sequence[TensorSpec], postprocess: Sequence[int] | None = None
) -> Decoder:
    """The decoder that a card names, fitted to the outputs that the model has.

    Args:
        path: The model, for messages.
        card: Its card.
        outputs: Its output tensors.
        postprocess: Tensor numbers of SSD boxes, classes, scores and count where the graph tells them.

    Raises:
        ModelUnavailable: The decoder is unknown, or the outputs are not those it reads.
    """
    ours = classes_of(card.labels)
    try:
        if card.decoder == "ssd-postprocess":
            return SsdPostProcess(outputs, ours, postprocess)
        if card.decoder == "yolov8":
            return YoloV8(outputs, ours, card)
        if card.decoder == "yolov5":
            return YoloV5(outputs, ours, card)
        if card.decoder == "pehra-ltrb":
            return PehraLtrb(outputs, ours, card)
    except ValueError as error:
        reason = f"its outputs are not those of decoder {card.decoder} with {len(ours)} labels: {error}"
        raise ModelUnavailable(path, reason, "correct decoder or labels in its card") from error
    raise ModelUnavailable(
        path, f"decoder `{card.decoder}` is unknown", f"use one of {', '.join(DECODERS)} in its card"
    )


def _nothing(dropped: int) -> Candidates:
    return Candidates(np.empty(0, np.int64), np.empty(0, np.float32), np.empty((0, 4), np.float32), dropped)


def _cleaned(classes: Integers, scores: Floats, boxes: Floats, dropped: int) -> Candidates:
    """Leave out what is not finite, and boxes without an area."""
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    lost = len(finite) - int(np.count_nonzero(finite))
    if lost:
        classes, scores, boxes = classes[finite], scores[finite], boxes[finite]
    return _with_area(Candidates(classes, scores, boxes, dropped + lost))


def _with_area(found: Candidates) -> Candidates:
    """Leave out boxes without an area; all numbers are finite."""
    boxes = found.boxes
    has_side = boxes[:, 2:] > boxes[:, :2]
    if has_side.all():
        return found
    good = has_side.all(axis=1)
    return Candidates(found.classes[good], found.scores[good], boxes[good], found.dropped)


def _corners(centres: Floats, divisors: Floats) -> Floats:
    """(N, 4) of x centre, y centre, width, height to left, top, right, bottom, divided by (width, height)."""
    half = centres[:, 2:] / np.float32(2)
    corners = np.concatenate([centres[:, :2] - half, centres[:, :2] + half], axis=1)
    corners /= np.concatenate([divisors, divisors])
    return corners


class _BoxUnit:
    """Whether a YOLO tensor's boxes are in pixels, and by what to divide them for 0..1."""

    def __init__(self, levels: Levels, card: Card) -> None:
        self._levels = levels
        self._pixels = np.array([card.input.width, card.input.height], np.float32)
        self._fractions = np.ones(2, np.float32)

    def divisors(self, x_centres: Array) -> Floats:
        """Divisors of x and y; a float tensor is judged by where its box centres lie."""
        in_pixels = self._levels.greatest > LARGEST_FRACTION
        if not self._levels.spec.is_quantised:
            beyond = np.count_nonzero(self._levels.real(x_centres) > LARGEST_FRACTION)
            in_pixels = 2 * int(beyond) > x_centres.size
        return self._pixels if in_pixels else self._fractions


def _mapped(ours: Integers) -> tuple[Integers, Integers]:
    """Columns of the classes that Pehra knows, and their class numbers."""
    columns = np.flatnonzero(ours != NOT_OURS)
    return columns, ours[columns]


def _not_finite(scores: Array) -> int:
    is_float = scores.dtype.kind == "f"
    return int(scores.size - np.count_nonzero(np.isfinite(scores))) if is_float else 0


def _without_nan(scores: Array) -> Array:
    """Float scores with NaN and infinities as -1, so that a maximum is one of the sound scores."""
    return _sound(scores.astype(np.float32, copy=False)) if scores.dtype.kind == "f" else scores


def _sound(scores: Floats) -> Floats:
    """The same for scores that are float32 already."""
    return np.where(np.isfinite(scores), scores, np.float32(-1))


class YoloV8:
    """Ultralytics YOLOv8 and YOLO11: one tensor 1 x (4+C) x N, or transposed; no objectness.

    A candidate has the class that is its surest among ours.
    """

    needs_nms = True

    def __init__(self, outputs: Sequence[TensorSpec], ours: Integers, card: Card) -> None:
        spec = _only(outputs)
        if 4 + len(ours) not in spec.shape[1:]:
            raise ValueError(f"expected 1 x {4 + len(ours)} x N, there is {spec.shape}")
        self._is_transposed = spec.shape[1] != 4 + len(ours)
        self._levels = Levels(spec)
        self._unit = _BoxUnit(self._levels, card)
        columns, self._classes = _mapped(ours)
        self._rows = columns + 4

    def decode(self, outputs: Sequence[Array], conf: float) -> Candidates:
        """See :meth:`Decoder.decode`."""
        values = outputs[0][0].T if self._is_transposed else outputs[0][0]
        raw = values[self._rows]
        scores = _without_nan(raw)
        best = scores.max(axis=0)
        passing = np.flatnonzero(self._levels.at_least(best, conf))
        if not len(passing):
            return _nothing(_not_finite(raw))
        which = scores[:, passing].argmax(axis=0)
        return _cleaned(
            self._classes[which],
            self._levels.real(best[passing]),
            _corners(self._levels.real(values[:4, passing].T), self._unit.divisors(values[0])),
            _not_finite(raw),
        )


class YoloV5:
    """Ultralytics YOLOv5 (and YOLOv3): one tensor 1 x N x (5+C), or transposed; score = objectness * class.

    A candidate has the class that is its surest among ours.
    """

    needs_nms = True

    def __init__(self, outputs: Sequence[TensorSpec], ours: Integers, card: Card) -> None:
        spec = _only(outputs)
        if 5 + len(ours) not in spec.shape[1:]:
            raise ValueError(f"expected 1 x N x {5 + len(ours)}, there is {spec.shape}")
        self._is_transposed = spec.shape[2] != 5 + len(ours)
        self._levels = Levels(spec)
        self._unit = _BoxUnit(self._levels, card)
        columns, self._classes = _mapped(ours)
        self._columns = columns + 5

    def decode(self, outputs: Sequence[Array], conf: float) -> Candidates:
        """See :meth:`Decoder.decode`."""
        values = outputs[0][0].T if self._is_transposed else outputs[0][0]
        objectness = values[:, 4]
        present = np.flatnonzero(self._levels.at_least(objectness, conf))
        rows = self._levels.real(values[present])
        rows = rows[np.isfinite(rows[:, 4])]
        classes = rows[:, self._columns]
        scores = _sound(classes) * rows[:, 4:5]
        lost = _not_finite(objectness) + _not_finite(classes)
        which = scores.argmax(axis=1)
        best = scores[np.arange(len(which)), which]
        passing = best >= np.float32(conf)
        boxes = _corners(rows[passing, :4], self._unit.divisors(values[:, 0]))
        return _cleaned(self._classes[which[passing]], best[passing], boxes, lost)


class SsdPostProcess:
    """The four outputs of `TFLite_Detection_PostProcess`; overlaps are already suppressed in the graph.

    Boxes are ymin, xmin, ymax, xmax in 0..1, classes are numbers as floats, and of the rows only the
    first `count` mean something (tensorflow/lite/kernels/detection_postprocess.cc).
    """

    needs_nms = False

    def __init__(self, outputs: Sequence[TensorSpec], ours: Integers, order: Sequence[int] | None) -> None:
        self._levels = [Levels(spec) for spec in outputs]
        self._ours = ours
        self._boxes, self._count, first, second = _ssd_by_shape(outputs)
        self._rows = outputs[self._boxes].shape[1]
        known = {spec.index: number for number, spec in enumerate(outputs)}
        self._pair = (first, second)
        self._is_told = order is not None and all(index in known for index in order)
        if order is not None and self._is_told:
            self._boxes, classes, scores, self._count = (known[index] for index in order)
            self._pair = (classes, scores)

    def decode(self, outputs: Sequence[Array], conf: float) -> Candidates:
        """See :meth:`Decoder.decode`."""
        real = [levels.real(values) for levels, values in zip(self._levels, outputs, strict=True)]
        count = real[self._count].reshape(-1)[0]
        valid = int(min(max(count, 0), self._rows)) if np.isfinite(count) else 0
        first, second = (real[number].reshape(-1)[:valid] for number in self._pair)
        numbers, scores = (first, second) if self._is_told else _classes_first(first, second)
        lost = _not_finite(scores)
        passing = np.flatnonzero(np.isfinite(scores) & np.isfinite(numbers) & (scores >= np.float32(conf)))
        numbers = numbers[passing].astype(np.int64)
        classes = np.where(
            (numbers >= 0) & (numbers < len(self._ours)),
            self._ours[np.clip(numbers, 0, len(self._ours) - 1)],
            NOT_OURS,
        )
        mine = classes != NOT_OURS
        boxes = real[self._boxes].reshape(-1, 4)[passing[mine]][:, [1, 0, 3, 2]]
        return _cleaned(classes[mine], scores[passing[mine]].copy(), boxes, lost)


def _ssd_by_shape(outputs: Sequence[TensorSpec]) -> tuple[int, int, int, int]:
    """Positions of boxes, count, and the two outputs that are classes and scores in an order yet unknown."""
    boxes = [n for n, spec in enumerate(outputs) if len(spec.shape) == 3 and spec.shape[2] == 4]
    counts = [n for n, spec in enumerate(outputs) if int(np.prod(spec.shape)) == 1]
    if len(boxes) != 1 or not counts:
        raise ValueError(f"there are {[spec.shape for spec in outputs]}")
    rows = outputs[boxes[0]].shape[1]
    pair = [n for n, spec in enumerate(outputs) if spec.shape == (1, rows) and n != counts[0]]
    if len(pair) != 2:
        raise ValueError(f"there are {[spec.shape for spec in outputs]}")
    return boxes[0], counts[0], pair[0], pair[1]


def _classes_first(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """The same two, classes first: class numbers are whole, scores of a detector hardly ever all are."""
    one_is_whole = bool(np.all(one == np.floor(one)))
    other_is_whole = bool(np.all(other == np.floor(other)))
    if one_is_whole and other_is_whole:
        return (one, other) if np.max(one, initial=0) >= np.max(other, initial=0) else (other, one)
    return (one, other) if one_is_whole else (other, one)


@dataclass(frozen=True, slots=True)
class _Grid:
    """The two outputs of one stride of `pehra-ltrb`."""

    scores_at: int
    boxes_at: int
    scores: Levels
    boxes: Levels
    centres: Floats
    """Of its cells, (M, 4), x y x y, pixels."""
    signs: Floats
    """What a distance of one means in pixels to left, top, right and bottom."""


class _Cells:
    """Values of chosen cells out of one output of each stride, times a factor for each column.

    Where the outputs are 8 bits wide, all that a byte can mean is in one table, and cells of all strides are
    looked up at once.
    """

    def __init__(self, levels: Sequence[Levels], factors: Sequence[Floats], cells: Sequence[int]) -> None:
        self._levels, self._factors = levels, factors
        self._columns = len(factors[0])
        self.is_quantised = all(one.spec.is_quantised for one in levels)
        if self.is_quantised:
            tables = [real_table(one.spec) * own[:, None] for one, own in zip(levels, factors, strict=True)]
            self._table = np.concatenate(tables).reshape(-1)
            starts = 256 * np.arange(len(levels) * self._columns).reshape(len(levels), self._columns)
            self._starts = np.repeat(starts, cells, axis=0)

    def real(self, values: Sequence[Array], cells: Integers) -> Floats:
        """Real values of these cells, numbered through all strides: (len(cells), columns)."""
        rows = [one.reshape(-1, self._columns) for one in values]
        if self.is_quantised:
            chosen = np.concatenate(rows).take(cells, axis=0).view(np.uint8)
            return self._table.take(chosen + self._starts.take(cells, axis=0))
        return self._dequantised(rows)[cells]

    def at_least(self, values: Sequence[Array], real: float) -> tuple[Integers, Integers, Floats]:
        """Cells and columns of the values that are at least `real`, in rising order, and these values."""
        rows = [one.reshape(-1, self._columns) for one in values]
        hits = np.concatenate(
            [levels.at_least(one, real) for levels, one in zip(self._levels, rows, strict=True)]
        )
        places = hits.reshape(-1).nonzero()[0]
        cells, columns = np.divmod(places, self._columns)
        if self.is_quantised:
            chosen = np.concatenate(rows).take(places).view(np.uint8)
            return cells, columns, self._table.take(chosen + self._starts.take(places))
        return cells, columns, self._dequantised(rows).take(places)

    def _dequantised(self, rows: Sequence[Array]) -> Floats:
        each = zip(self._levels, rows, self._factors, strict=True)
        return np.concatenate([levels.real(one) * own for levels, one, own in each])


class PehraLtrb:
    """Pehra's own head: for each stride a grid of class probabilities and one of side distances.

    Scores are 1 x H/s x W/s x C; boxes 1 x H/s x W/s x 4 hold the distances from the centre of the cell,
    ((x + 0.5) s, (y + 0.5) s), to left, top, right and bottom in units of the stride s (FCOS, Tian et
    al. 2019, equation 1). A candidate has the class that is its surest.
    """

    needs_nms = True

    def __init__(self, outputs: Sequence[TensorSpec], ours: Integers, card: Card) -> None:
        self._size = np.array([card.input.width, card.input.height] * 2, np.float32)
        self._ours = ours
        if (ours == NOT_OURS).any():
            raise ValueError("all labels must be classes of Pehra")
        self._grids = [_grid(outputs, stride, len(ours), card) for stride in STRIDES]
        self._centres = np.concatenate([grid.centres for grid in self._grids])
        cells = [len(grid.centres) for grid in self._grids]
        as_they_are = [np.ones(len(ours), np.float32)] * len(cells)
        self._scores = _Cells([grid.scores for grid in self._grids], as_they_are, cells)
        self._sides = _Cells(
            [grid.boxes for grid in self._grids], [grid.signs for grid in self._grids], cells
        )

    def decode(self, outputs: Sequence[Array], conf: float) -> Candidates:
        """See :meth:`Decoder.decode`."""
        raw = [outputs[grid.scores_at] for grid in self._grids]
        dropped = sum(map(_not_finite, raw))
        cells, columns, scores = self._surest(raw, conf)
        if not len(cells):
            return _nothing(dropped)
        boxes = self._sides.real([outputs[grid.boxes_at] for grid in self._grids], cells)
        boxes += self._centres.take(cells, axis=0)
        boxes /= self._size
        classes = self._ours.take(columns)
        if not (self._scores.is_quantised and self._sides.is_quantised):
            return _cleaned(classes, scores, boxes, dropped)
        return _with_area(Candidates(classes, scores, boxes, dropped))

    def _surest(self, raw: Sequence[Array], conf: float) -> tuple[Integers, Integers, Floats]:
        """Cells in which a class passes, through all strides in rising order; its column and its score."""
        cells, columns, scores = self._scores.at_least(raw, conf)
        if not self._scores.is_quantised:
            sound = np.isfinite(scores)
            cells, columns, scores = cells[sound], columns[sound], scores[sound]
        is_again = cells[1:] == cells[:-1]
        if is_again.any():
            # Of each cell the surest first, of equals the first column.
            order = np.lexsort((columns, -scores, cells))
            ranked = cells[order]
            first = order[np.concatenate([[True], ranked[1:] != ranked[:-1]])]
            cells, columns, scores = cells[first], columns[first], scores[first]
        return cells, columns, scores


def _grid(outputs: Sequence[TensorSpec], stride: int, class_count: int, card: Card) -> _Grid:
    """Find the outputs of one stride by their shapes, or by name where four classes look like a box."""
    rows, columns = -(-card.input.height // stride), -(-card.input.width // stride)
    mine = [n for n, spec in enumerate(outputs) if spec.shape[:3] == (1, rows, columns)]
    scores = [n for n in mine if outputs[n].shape[3:] == (class_count,)]
    boxes = [n for n in mine if outputs[n].shape[3:] == (4,)]
    if class_count == 4:
        scores = [n for n in scores if "score" in outputs[n].name]
        boxes = [n for n in boxes if n not in scores]
    if len(scores) != 1 or len(boxes) != 1:
        raise ValueError(
            f"stride {stride} needs 1x{rows}x{columns}x{class_count} and 1x{rows}x{columns}x4, "
            f"there are {[spec.shape for spec in outputs]}"
        )
    y, x = np.divmod(np.arange(rows * columns), columns)
    centres = (np.stack([x, y, x, y], axis=1).astype(np.float32) + np.float32(0.5)) * np.float32(stride)
    signs = np.array([-stride, -stride, stride, stride], np.float32)
    levels = (Levels(outputs[scores[0]]), Levels(outputs[boxes[0]]))
    return _Grid(scores[0], boxes[0], *levels, centres, signs)


def _only(outputs: Sequence[TensorSpec]) -> TensorSpec:
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[0] != 1:
        raise ValueError(f"expected one output of rank 3, there are {[spec.shape for spec in outputs]}")
    return outputs[0]
