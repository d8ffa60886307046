"""Output tensors to boxes, for each of the layouts that detectors come in.

A decoder compares scores while they are still integers and dequantises only what passes. It gives
candidates in 0..1 of the model's input; it never suppresses overlaps and never knows the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from device.errors import ModelUnavailable
from device.models.bundle import DECODERS, Card
from device.models.candidates import (
    Candidates,
    Floats,
    Integers,
    cleaned,
    not_finite,
    nothing,
    sound,
    without_nan,
)
from device.models.labels import NOT_OURS, classes_of
from device.models.ltrb import PehraLtrb
from device.models.quantise import Array, Levels, TensorSpec

LARGEST_FRACTION = 2.0
"""A box coordinate beyond this is in pixels, not in 0..1."""


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
        scores = without_nan(raw)
        best = scores.max(axis=0)
        passing = np.flatnonzero(self._levels.at_least(best, conf))
        if not len(passing):
            return nothing(not_finite(raw))
        which = scores[:, passing].argmax(axis=0)
        return cleaned(
            self._classes[which],
            self._levels.real(best[passing]),
            _corners(self._levels.real(values[:4, passing].T), self._unit.divisors(values[0])),
            not_finite(raw),
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
        scores = sound(classes) * rows[:, 4:5]
        lost = not_finite(objectness) + not_finite(classes)
        which = scores.argmax(axis=1)
        best = scores[np.arange(len(which)), which]
        passing = best >= np.float32(conf)
        boxes = _corners(rows[passing, :4], self._unit.divisors(values[:, 0]))
        return cleaned(self._classes[which[passing]], best[passing], boxes, lost)


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
        lost = not_finite(scores)
        passing = np.flatnonzero(np.isfinite(scores) & np.isfinite(numbers) & (scores >= np.float32(conf)))
        numbers = numbers[passing].astype(np.int64)
        classes = np.where(
            (numbers >= 0) & (numbers < len(self._ours)),
            self._ours[np.clip(numbers, 0, len(self._ours) - 1)],
            NOT_OURS,
        )
        mine = classes != NOT_OURS
        boxes = real[self._boxes].reshape(-1, 4)[passing[mine]][:, [1, 0, 3, 2]]
        return cleaned(classes[mine], scores[passing[mine]].copy(), boxes, lost)


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


def _only(outputs: Sequence[TensorSpec]) -> TensorSpec:
    if len(outputs) != 1 or len(outputs[0].shape) != 3 or outputs[0].shape[0] != 1:
        raise ValueError(f"expected one output of rank 3, there are {[spec.shape for spec in outputs]}")
    return outputs[0]
