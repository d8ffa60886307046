"""Labelled pictures in memory: from YOLO folders or the simulated street. It never augments."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from device.models.training.errors import DataMissing, LabelError
from device.models.training.recipe import Source

_LONG_SIDE = 320
_SUFFIXES = {".webp", ".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and its boxes.

    Attributes:
        pixels: uint8 (H,W,3) RGB, long side at most 320.
        classes: int64 (N,), index into the recipe's labels.
        boxes: float32 (N,4) left, top, right, bottom in 0..1.
        blind: int64 (h,w), a grid over the picture: bit k is set where class k may be there without a box, as
            the picture's source did not label it. (1,1) for a picture of one source.
    """

    pixels: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    blind: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.int64))


def load_source(source: Source, data: Path, labels: tuple[str, ...], *, limit: int = 0) -> list[Picture]:
    """All pictures of a source, or about `limit` of them.

    Args:
        source: from the recipe.
        data: folder that yolo sources lie in.
        labels: the model's class names; boxes of other classes are left out.
        limit: 0 = all; else every n-th picture, so that about this many remain.

    Raises:
        DataMissing: a folder is not there, holds no picture, one that cannot be decoded, or no box.
        LabelError: a label row is malformed or out of range.
    """
    if source.kind == "simulated":
        from device.models.training.simulated import render_source

        return render_source(source, labels, limit=limit)
    blind = np.full((1, 1), blind_bits(source.classes, labels), np.int64)
    pictures = load_yolo(data / source.folder, source, labels, limit=limit)
    return [replace(picture, blind=blind) for picture in pictures]


def blind_bits(classes: tuple[str, ...], labels: tuple[str, ...]) -> int:
    """A number whose bit k is set where `labels[k]` is not among a source's `classes`."""
    return sum(1 << k for k, label in enumerate(labels) if label not in classes)


def load_yolo(folder: Path, source: Source, labels: tuple[str, ...], *, limit: int = 0) -> list[Picture]:
    """Pictures of `folder`/images with their rows of `folder`/labels; see `load_source`."""
    images = folder / "images"
    if not images.is_dir():
        raise DataMissing(folder, "is not a folder with images/ and labels/")
    files = sorted(file for file in images.iterdir() if file.suffix.lower() in _SUFFIXES)
    files = source.part_of(files)
    files = files[:: max(1, len(files) // limit)] if limit else files
    pictures = [
        _read_picture(file, folder / "labels" / f"{file.stem}.txt", source.classes, labels) for file in files
    ]
    if not pictures:
        raise DataMissing(images, f"holds no picture ({', '.join(sorted(_SUFFIXES))})")
    if not any(len(picture.boxes) for picture in pictures):
        raise DataMissing(
            folder / "labels",
            f"holds no box of {', '.join(labels)}: every label file is missing, empty or of other classes",
        )
    return pictures


def _read_picture(file: Path, label: Path, classes: tuple[str, ...], labels: tuple[str, ...]) -> Picture:
    pixels = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if pixels is None:
        raise DataMissing(file, "cannot be decoded as a picture; remove or replace it")
    numbers, boxes = parse_rows(label, classes, labels) if label.is_file() else parse_no_rows()
    return Picture(shrink(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)), numbers, boxes)


def parse_no_rows() -> tuple[np.ndarray, np.ndarray]:
    """Classes and boxes of a picture with nothing on it."""
    return np.zeros(0, np.int64), np.zeros((0, 4), np.float32)


def parse_rows(
    file: Path, classes: tuple[str, ...], labels: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows `class x_centre y_centre width height` of a label file, as classes (N,) and boxes (N,4).

    Raises:
        LabelError: with file and line.
    """
    numbers, boxes = [], []
    for line, row in enumerate(file.read_text().splitlines(), start=1):
        if not row.strip():
            continue
        try:
            number, *values = (float(word) for word in row.split())
        except ValueError as error:
            raise LabelError(file, line, f"{row!r} is not five numbers") from error
        if len(values) != 4:
            raise LabelError(file, line, f"{row!r} is not five numbers")
        if number not in range(len(classes)):
            raise LabelError(file, line, f"class {number:g} is not one of 0..{len(classes) - 1}")
        if not all(0 <= value <= 1 for value in values):
            raise LabelError(file, line, f"{row!r} leaves the range 0..1")
        if classes[int(number)] in labels:
            numbers.append(labels.index(classes[int(number)]))
            boxes.append(values)
    if not boxes:
        return parse_no_rows()
    centre_size = np.array(boxes, np.float32)
    half = centre_size[:, 2:] / 2
    ltrb = np.hstack((centre_size[:, :2] - half, centre_size[:, :2] + half))
    return np.array(numbers, np.int64), ltrb.clip(0, 1)


def shrink(pixels: np.ndarray) -> np.ndarray:
    """The picture (H,W,3), made smaller if its long side is beyond 320 pixels."""
    height, width = pixels.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: np.ndarray = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    return small
