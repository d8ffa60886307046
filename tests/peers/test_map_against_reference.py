"""`pehra detect` against a plain reference: the same model file, read with nothing of ours.

The reference decodes photos with cv2, letterboxes, feeds the bare interpreter, takes the best of all 80
classes, suppresses class by class in plain Python loops, and is scored by pycocotools; so is the JSON that
`pehra detect` prints. The two must agree within 0.01 mAP50: at the default floor with pehra's own IoU
whichever of the usual IoUs the reference has, and down to a floor of 0.001 with the same IoU.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

COUNT = 120
NAMES = ("bus", "car", "motorcycle", "person", "truck")
COCO_NUMBERS = {0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 7: "truck"}
PROGRAM = "import typer; from pehra.commands.detect import detect; typer.run(detect)"
TOLERANCE = 0.01


@functools.cache
def photos(data: Path) -> list[Path]:
    return sorted((data / "street" / "valid" / "images").glob("*.webp"))[:COUNT]


@functools.cache
def truth(data: Path) -> dict[str, list[Any]]:
    images, boxes = [], []
    for number, photo in enumerate(photos(data), start=1):
        height, width = cv2.imread(str(photo)).shape[:2]
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


def reference(data: Path, model: Path, conf: float, most_overlap: float) -> list[dict[str, Any]]:
    results = []
    for image, (real, width, height) in enumerate(raw_outputs(data, model), start=1):
        ratio = min(416 / width, 416 / height)
        left, top = (416 - width * ratio) / 2, (416 - height * ratio) / 2
        by_class: dict[str, list[tuple[float, list[float]]]] = {}
        best, score_of = real[4:].argmax(axis=0), real[4:].max(axis=0)
        for at in np.flatnonzero(score_of > conf):
            name = COCO_NUMBERS.get(int(best[at]))
            if name in NAMES:
                x, y, w, h = real[:4, at] * 416
                box = [x - w / 2 - left, y - h / 2 - top, x + w / 2 - left, y + h / 2 - top]
                by_class.setdefault(name, []).append((float(score_of[at]), [side / ratio for side in box]))
        for name, found in by_class.items():
            rest = sorted(found, key=lambda one: -one[0])
            while rest:
                score, box = rest.pop(0)
                clipped = [
                    min(max(side, 0.0), limit) for side, limit in zip(box, (width, height) * 2, strict=True)
                ]
                results.append(result(image, name, score, clipped))
                rest = [other for other in rest if iou(box, other[1]) <= most_overlap]
    return results


def detected(data: Path, model: Path, *settings: object) -> list[dict[str, Any]]:
    arguments = [*photos(data), "--model", model, *settings, "--json", "-"]
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["source"] for row in rows] == [str(photo) for photo in photos(data)]
    return [
        result(
            image,
            found["class"],
            found["conf"],
            [side * size for side, size in zip(found["box"], (row["width"], row["height"]) * 2, strict=True)],
        )
        for image, row in enumerate(rows, start=1)
        for found in row["detections"]
        if found["class"] in NAMES
    ]


@pytest.mark.parametrize(
    ("settings", "conf", "most_overlap"),
    [
        ((), 0.25, 0.45),
        ((), 0.25, 0.7),
        (("--conf", 0.001, "--iou", 0.45), 0.001, 0.45),
        (("--conf", 0.001, "--iou", 0.7), 0.001, 0.7),
    ],
)
def test_map50_of_yolov8_int8_is_that_of_a_plain_reference(
    data_dir: Path,
    settings: tuple[object, ...],
    conf: float,
    most_overlap: float,
    record_property: Callable[[str, object], None],
) -> None:
    model = data_dir / "models" / "yolov8n_full_integer_quant_416.tflite"
    ours = map50(data_dir, detected(data_dir, model, *settings))
    theirs = map50(data_dir, reference(data_dir, model, conf, most_overlap))
    record_property("map50", {"pehra detect": ours, "reference": theirs})
    assert theirs > 0.4
    assert abs(ours - theirs) <= TOLERANCE, (ours, theirs)
