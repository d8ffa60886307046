"""What the comparisons with a plain reference share; nothing of Pehra is used here.

Photos and their truth, pycocotools as the judge, the bare interpreter on YOLOv8n, and overlaps one by one.
"""

from __future__ import annotations

import contextlib
import functools
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

COUNT = 120
NAMES = ("bus", "car", "motorcycle", "person", "truck")
COCO_NUMBERS = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
TOLERANCE = 0.01
MODEL = Path("models") / "yolov8n_full_integer_quant_416.tflite"


@functools.cache
def photos(data: Path) -> list[Path]:
    return sorted((data / "street" / "valid" / "images").glob("*.webp"))[:COUNT]


@functools.cache
def truth(data: Path) -> dict[str, list[Any]]:
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number, photo in enumerate(photos(data), start=1):
        picture = cv2.imread(str(photo))
        assert picture is not None
        height, width = picture.shape[:2]
        images.append({"id": number, "width": width, "height": height})
        for row in (data / "street" / "valid" / "labels" / f"{photo.stem}.txt").read_text().splitlines():
            name, x, y, w, h = row.split()
            box = [(float(x) - float(w) / 2) * width, (float(y) - float(h) / 2) * height]
            box += [float(w) * width, float(h) * height]
            entry = {"id": len(boxes) + 1, "image_id": number, "category_id": int(name) + 1}
            boxes.append({**entry, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
    categories = [{"id": number} for number in range(1, len(NAMES) + 1)]
    return {"images": images, "annotations": boxes, "categories": categories}


def map50(data: Path, results: list[dict[str, Any]]) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth(data)
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[1])


def result(image: int, name: str, score: float, box: list[float]) -> dict[str, Any]:
    left, top, right, bottom = box
    corner_and_size = [left, top, right - left, bottom - top]
    return {"image_id": image, "category_id": NAMES.index(name) + 1, "bbox": corner_and_size, "score": score}


@functools.cache
def raw_outputs(data: Path, model: Path) -> list[tuple[np.ndarray, int, int]]:
    """Dequantised output of the model for each photo, with the photo's size."""
    interpreter = Interpreter(model_path=str(model))
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for photo in photos(data):
        rgb = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
        height, width = rgb.shape[:2]
        ratio = min(416 / width, 416 / height)
        new = (round(width * ratio), round(height * ratio))
        left, top = round((416 - new[0]) / 2 - 0.1), round((416 - new[1]) / 2 - 0.1)
        canvas = np.full((416, 416, 3), 114, np.uint8)
        canvas[top : top + new[1], left : left + new[0]] = cv2.resize(
            rgb, new, interpolation=cv2.INTER_LINEAR
        )
        scale, zero_point = into["quantization"]
        quantised = np.round(canvas / 255.0 / scale + zero_point).clip(-128, 127).astype(np.int8)
        interpreter.set_tensor(into["index"], quantised[None])
        interpreter.invoke()
        scale, zero_point = out["quantization"]
        real = (interpreter.get_tensor(out["index"])[0].astype(np.float64) - zero_point) * scale
        outputs.append((real, width, height))
    return outputs


def iou(one: list[float], other: list[float]) -> float:
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return across * down / (areas - across * down) if across * down > 0 else 0.0


Found = tuple[float, list[float]]
"""A score and a box."""


def suppressed(found: list[Found], most_overlap: float) -> list[Found]:
    """Of boxes of one class, those that no surer one covers."""
    stays, rest = [], sorted(found, key=lambda one: -one[0])
    while rest:
        first = rest.pop(0)
        stays.append(first)
        rest = [other for other in rest if iou(first[1], other[1]) <= most_overlap]
    return stays


def clipped(box: list[float], width: int, height: int) -> list[float]:
    return [min(max(side, 0.0), limit) for side, limit in zip(box, (width, height) * 2, strict=True)]
