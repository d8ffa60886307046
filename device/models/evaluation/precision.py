"""Average precision as COCO counts it, by pycocotools, which needs the extra `[train]` or `[dev]`.

Functions of boxes; never opens a file and never runs a model.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from device.errors import ConfigError
from device.models.detections import Detections
from device.models.evaluation.dataset import Labelled

Floats = npt.NDArray[np.float64]

RECALLS = np.linspace(0.0, 1.0, 101)
"""Where COCO reads the curve of precision over recall (pycocotools `Params.recThrs`)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture, and what a model found in it.

    Attributes:
        labelled: The picture and its truth.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        detections: What the model found, down to its floor.
    """

    labelled: Labelled
    width: int
    height: int
    detections: Detections


@dataclass(frozen=True, slots=True)
class Curve:
    """Average precision of one class.

    Attributes:
        ap50: At IoU 0.5, 0..1.
        ap50_95: Mean over IoU 0.50, 0.55 ... 0.95, 0..1.
        boxes: Labelled boxes.
        precisions: float64 (101,), at IoU 0.5, for each of :data:`RECALLS`.
    """

    ap50: float
    ap50_95: float
    boxes: int
    precisions: Floats


def average_precision(seen: Sequence[Seen], classes: Sequence[int]) -> dict[int, Curve]:
    """COCO's average precision (at most 100 boxes a picture) of each class that has boxes.

    Args:
        seen: What one model found.
        classes: Class numbers to score.

    Raises:
        ConfigError: pycocotools is missing.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ConfigError(None, None, "", "scoring needs pycocotools: install pehra[train]") from error
    truth, results = _coco_tables(seen, classes)
    counts = {number: sum(row["category_id"] == number for row in truth["annotations"]) for number in classes}
    scored = [number for number in classes if counts[number]]
    if not scored:
        return {}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results) if results else COCO(), "bbox")
        judge.params.imgIds = [image["id"] for image in truth["images"]]
        judge.params.catIds = scored
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1]
    return {
        number: Curve(
            ap50=_area_under(precision[0, :, column]),
            ap50_95=_area_under(precision[:, :, column]),
            boxes=counts[number],
            precisions=precision[0, :, column],
        )
        for column, number in enumerate(scored)
    }


def _area_under(precision: Floats) -> float:
    known = precision[precision > -1]
    return round(float(known.mean()), 5) if known.size else 0.0


_Row = dict[str, int | float | list[float]]


def _coco_tables(seen: Sequence[Seen], classes: Sequence[int]) -> tuple[dict[str, list[_Row]], list[_Row]]:
    """Truth and results in COCO's form, in pixels."""
    images: list[_Row] = []
    annotations: list[_Row] = []
    results: list[_Row] = []
    for image_id, one in enumerate(seen, start=1):
        images.append({"id": image_id, "width": one.width, "height": one.height})
        size = np.array([one.width, one.height, one.width, one.height], np.float64)
        truth, found = one.labelled, one.detections
        for number, corners in zip(truth.classes.tolist(), truth.boxes * size, strict=True):
            if number in classes:
                box = [*corners[:2].tolist(), *(corners[2:] - corners[:2]).tolist()]
                row: _Row = {"id": len(annotations) + 1, "image_id": image_id, "category_id": number}
                annotations.append({**row, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
        for number, score, corners in zip(
            found.classes.tolist(), found.scores.tolist(), found.boxes * size, strict=True
        ):
            if number in classes:
                box = [*corners[:2].tolist(), *(corners[2:] - corners[:2]).tolist()]
                results.append({"image_id": image_id, "category_id": number, "bbox": box, "score": score})
    categories: list[_Row] = [{"id": number} for number in classes]
    return {"images": images, "annotations": annotations, "categories": categories}, results
