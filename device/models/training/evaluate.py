"""Mean average precision of a detector over labelled pictures, by pycocotools. It never changes a model."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from device.models.training.pictures import Picture

# Index into the labels, score 0..1, box (4,) left, top, right, bottom in 0..1 of the picture.
Answer = tuple[int, float, np.ndarray]
LEAST_SCORE = 0.001
_MOST_DETECTIONS = 100


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What was measured.

    Attributes:
        map50: mean over the classes of the average precision at IoU 0.5, 0..1.
        map50_95: mean over IoU 0.50:0.95 too (COCO's AP).
        by_class: average precision at IoU 0.5 of each class that occurs.
        pictures: how many.
    """

    map50: float
    map50_95: float
    by_class: dict[str, float]
    pictures: int


def measure(
    detect: Callable[[Picture], list[Answer]], pictures: list[Picture], labels: tuple[str, ...]
) -> Accuracy:
    """Accuracy of `detect` over `pictures`; it should answer down to `LEAST_SCORE`."""
    found = [(number, *answer) for number, picture in enumerate(pictures, 1) for answer in detect(picture)]
    return _coco(found, pictures, labels)


def suppressed(scores: np.ndarray, boxes: np.ndarray, iou: float) -> list[Answer]:
    """What remains of candidates after non-maximum suppression within each class.

    Args:
        scores: (A,C).
        boxes: (A,4) in 0..1.
        iou: overlap above which the weaker box is dropped.
    """
    rows, classes = np.nonzero(scores > LEAST_SCORE)
    values = scores[rows, classes]
    order = np.argsort(-values)[:1000]
    rows, classes, values = rows[order], classes[order], values[order]
    sides = boxes[rows].copy()
    sides[:, 2:] -= sides[:, :2]
    if not len(rows):
        return []
    # OpenCV counts in pixels: give it coordinates in ten thousandths.
    kept = cv2.dnn.NMSBoxesBatched(
        (sides * 1e4).tolist(), values.tolist(), classes.tolist(), LEAST_SCORE, iou
    )
    return [(int(classes[k]), float(values[k]), boxes[rows[k]]) for k in list(kept)[:_MOST_DETECTIONS]]


def _coco(
    found: list[tuple[int, int, float, np.ndarray]], pictures: list[Picture], labels: tuple[str, ...]
) -> Accuracy:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _truth(pictures, labels)
        truth.createIndex()
        answers = [
            {
                "image_id": image,
                "category_id": kind + 1,
                "score": score,
                "bbox": _coco_box(box, pictures[image - 1]),
            }
            for image, kind, score, box in found
        ]
        if not answers:
            return Accuracy(0.0, 0.0, {}, len(pictures))
        evaluation = COCOeval(truth, truth.loadRes(answers), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 2]  # (IoU, recall, class), all areas, 100 detections
    occurring = [k for k in range(len(labels)) if (precision[0, :, k] > -1).any()]
    by_class = {labels[k]: float(precision[0, :, k].mean()) for k in occurring}
    if not occurring:
        return Accuracy(0.0, 0.0, {}, len(pictures))
    return Accuracy(
        map50=float(np.mean(list(by_class.values()))),
        map50_95=float(precision[:, :, occurring].mean()),
        by_class=by_class,
        pictures=len(pictures),
    )


def _truth(pictures: list[Picture], labels: tuple[str, ...]) -> dict[str, list[dict[str, object]]]:
    annotations: list[dict[str, object]] = []
    for number, picture in enumerate(pictures, start=1):
        for kind, box in zip(picture.classes, picture.boxes, strict=True):
            bbox = _coco_box(box, picture)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(kind) + 1,
                    "bbox": bbox,
                    "area": bbox[2] * bbox[3],
                    "iscrowd": 0,
                }
            )
    return {
        "images": [{"id": number} for number in range(1, len(pictures) + 1)],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(labels)],
    }


def _coco_box(box: np.ndarray, picture: Picture) -> list[float]:
    height, width = picture.pixels.shape[:2]
    left, top, right, bottom = (float(v) for v in box)
    return [left * width, top * height, (right - left) * width, (bottom - top) * height]
