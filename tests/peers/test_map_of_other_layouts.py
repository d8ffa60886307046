"""YOLOv5 uint8 and SSD outputs through Pehra and through a plain reference, both scored by pycocotools.

There is no YOLOv5 and no accurate SSD in the shared data, so the numbers are real YOLOv8n detections of 120
street photos, written again as those models would give them: YOLOv5 as 1 x 10647 x 85 uint8 with objectness
times class, three anchors a cell of which two carry decoys; SSD as the four outputs of
`TFLite_Detection_PostProcess` in its own class numbering, with junk beyond the count. Each photo's outputs
stand as constants in a real `.tflite` file, which is recognised and run by a `Detector` over the photo.

Proven: recognition, label tables, dequantisation, decoding, suppression and the way back to the photo agree
with the reference within 0.01 mAP50. Not proven: that a real YOLOv5's or SSD's input is prepared as its
training wants it (the files have no network), how accurate such a model is, and the order that a graph itself
tells for SSD outputs (`test_an_ssd_with_lstm_states_runs_as_the_graph_says` has a real one).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from device.models.bundle import load_bundle
from device.models.detector import Detector
from device.models.labels import CLASSES
from hardware.camera.frame import Frame
from tests.peers.reference import (
    COCO_NUMBERS,
    MODEL,
    NAMES,
    TOLERANCE,
    Found,
    clipped,
    map50,
    photos,
    raw_outputs,
    result,
    suppressed,
)
from tests.tiny_tflite import Constant, tiny_tflite

V5_SIDE, V5_SCALE, V5_ZERO = 416, 1.03 / 255, 3
SSD_SIDE, SSD_ROWS = 300, 100
SSD_ORDERS = {"boxes, classes, scores, count": (0, 1, 2, 3), "scores, boxes, count, classes": (2, 0, 3, 1)}
COCO_IDS = {1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 6: "bus", 8: "truck"}
"""Category ids of COCO (instances_val2017.json); SSD models give the id less one."""

Results = list[dict[str, Any]]


def in_v5(real: np.ndarray, seed: int) -> np.ndarray:
    """YOLOv8's (84, 3549) reals as YOLOv5's (10647, 85) uint8; most of it is real, the decoys are drawn."""
    rng = np.random.default_rng(seed)
    cells = real.shape[1]
    scores = np.clip(real[4:].T, 0, 1)
    best = scores.max(axis=1)
    objectness = np.where(best > 0, np.maximum(best, 1e-6) ** rng.uniform(0.2, 0.8, cells), 0.0)
    rows = np.zeros((3, cells, 85))
    rows[:, :, :4] = np.clip(real[:4].T, 0, 1)
    rows[0, :, 4] = objectness
    rows[0, :, 5:] = np.divide(
        scores, objectness[:, None], out=np.zeros_like(scores), where=objectness[:, None] > 0
    )
    rows[1] = rows[0]
    rows[1, :, 4] *= 0.7  # the same thing seen less surely: suppression must take it away
    rows[2, :, 4] = rng.uniform(0, 0.03, cells)  # nothing there, though some class would be sure of itself
    rows[2, np.arange(cells), 5 + rng.integers(0, 80, cells)] = 0.95
    quantised: np.ndarray = np.rint(rows.reshape(-1, 85) / V5_SCALE) + V5_ZERO
    return quantised.clip(0, 255).astype(np.uint8)


def v5_reference(outputs: list[np.ndarray], sizes: list[tuple[int, int]], conf: float, iou: float) -> Results:
    """As YOLOv5's `detect.py` reads it: objectness times the best of all classes, then class by class."""
    results = []
    for image, (raw, (width, height)) in enumerate(zip(outputs, sizes, strict=True), start=1):
        real = (raw.astype(np.float64) - V5_ZERO) * V5_SCALE
        ratio = min(V5_SIDE / width, V5_SIDE / height)
        left, top = (V5_SIDE - width * ratio) / 2, (V5_SIDE - height * ratio) / 2
        by_class: dict[str, list[Found]] = {}
        for row in real[real[:, 4] > conf]:
            best = int(row[5:].argmax())
            score = float(row[4] * row[5 + best])
            if score > conf and COCO_NUMBERS.get(best) in NAMES:
                x, y, w, h = row[:4] * V5_SIDE
                box = [x - w / 2 - left, y - h / 2 - top, x + w / 2 - left, y + h / 2 - top]
                by_class.setdefault(COCO_NUMBERS[best], []).append((score, [side / ratio for side in box]))
        for name, found in by_class.items():
            for score, box in suppressed(found, iou):
                results.append(result(image, name, score, clipped(box, width, height)))
    return results


def in_ssd(real: np.ndarray, width: int, height: int) -> list[np.ndarray]:
    """YOLOv8's reals as boxes, classes, scores and count after suppression, the surest first."""
    coco_id_less_1 = {0: 0, 1: 1, 2: 2, 3: 3, 5: 5, 7: 7, 9: 9, 11: 12, 15: 16, 16: 17}
    ratio = min(416 / width, 416 / height)
    left, top = (416 - width * ratio) / 2, (416 - height * ratio) / 2
    by_class: dict[int, list[Found]] = {}
    for cell in np.flatnonzero(real[4:].max(axis=0) > 0.01):
        number = int(real[4:, cell].argmax())
        x, y, w, h = real[:4, cell] * 416
        box = [x - w / 2 - left, y - h / 2 - top, x + w / 2 - left, y + h / 2 - top]
        by_class.setdefault(number, []).append(
            (float(real[4 + number, cell]), [side / ratio for side in box])
        )
    found = [
        (score, coco_id_less_1[number], box)
        for number, of_class in by_class.items()
        if number in coco_id_less_1
        for score, box in suppressed(of_class, 0.6)
    ]
    found = sorted(found, key=lambda one: -one[0])[: SSD_ROWS - 10]
    boxes = np.full((1, SSD_ROWS, 4), (0.1, 0.1, 0.9, 0.9), np.float32)
    classes, scores = np.full((1, SSD_ROWS), 2, np.float32), np.full((1, SSD_ROWS), 0.99, np.float32)
    for row, (score, number, (x1, y1, x2, y2)) in enumerate(found):
        boxes[0, row] = (y1 / height, x1 / width, y2 / height, x2 / width)
        classes[0, row], scores[0, row] = number, score
    return [boxes, classes, scores, np.array([len(found)], np.float32)]


def ssd_reference(outputs: list[list[np.ndarray]], sizes: list[tuple[int, int]], conf: float) -> Results:
    results = []
    for image, (tensors, (width, height)) in enumerate(zip(outputs, sizes, strict=True), start=1):
        boxes, classes, scores, count = tensors
        for row in range(int(count[0])):
            name = COCO_IDS.get(int(classes[0, row]) + 1)
            if scores[0, row] > conf and name in NAMES:
                y1, x1, y2, x2 = (float(side) for side in boxes[0, row])
                box = clipped([x1 * width, y1 * height, x2 * width, y2 * height], width, height)
                results.append(result(image, str(name), float(scores[0, row]), box))
    return results


@functools.cache
def pictures(data: Path) -> list[np.ndarray]:
    return [cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB) for photo in photos(data)]


def sizes_of(data: Path) -> list[tuple[int, int]]:
    return [(picture.shape[1], picture.shape[0]) for picture in pictures(data)]


@functools.cache
def v5_outputs(data: Path) -> list[np.ndarray]:
    reals = raw_outputs(data, data / MODEL)
    return [in_v5(real, seed) for seed, (real, _, _) in enumerate(reals)]


@functools.cache
def ssd_outputs(data: Path) -> list[list[np.ndarray]]:
    return [in_ssd(real, width, height) for real, width, height in raw_outputs(data, data / MODEL)]


def ours(
    data: Path,
    folder: Path,
    models: list[bytes],
    decoder: str,
    conf: float | None = None,
    iou: float | None = None,
) -> Results:
    """What a `Detector` finds in each photo with that photo's own model."""
    results = []
    file = folder / "model_of_one_photo.tflite"
    for image, (model, pixels) in enumerate(zip(models, pictures(data), strict=True), start=1):
        file.write_bytes(model)
        bundle = load_bundle(file)
        assert bundle.card.decoder == decoder
        height, width = pixels.shape[:2]
        found = Detector(bundle, conf=conf, iou=iou).detect(Frame(pixels, "rgb", width, height, 0.0, 0.0, 0))
        for number, score, box in zip(found.classes, found.scores, found.boxes, strict=True):
            if CLASSES[number] in NAMES:
                sides = (box * (width, height, width, height)).tolist()
                results.append(result(image, CLASSES[number], float(score), sides))
    return results


@pytest.mark.parametrize(
    ("settings", "conf", "most_overlap"),
    [({}, 0.25, 0.45), ({}, 0.25, 0.6), ({"conf": 0.05, "iou": 0.45}, 0.05, 0.45)],
)
def test_map50_of_yolov5_uint8_is_that_of_a_plain_reference(
    data_dir: Path,
    tmp_path: Path,
    settings: dict[str, float],
    conf: float,
    most_overlap: float,
    record_property: Callable[[str, object], None],
) -> None:
    outputs = v5_outputs(data_dir)
    models = [tiny_tflite([Constant("out", raw[None], V5_SCALE, V5_ZERO)], size=V5_SIDE) for raw in outputs]
    mine = map50(data_dir, ours(data_dir, tmp_path, models, "yolov5", **settings))
    theirs = map50(data_dir, v5_reference(outputs, sizes_of(data_dir), conf, most_overlap))
    record_property("map50", {"Detector": mine, "reference": theirs})
    assert theirs > 0.35
    assert abs(mine - theirs) <= TOLERANCE, (mine, theirs)


@pytest.mark.parametrize("order", SSD_ORDERS.values(), ids=SSD_ORDERS)
@pytest.mark.parametrize("conf", [0.25, 0.02])
def test_map50_of_ssd_postprocess_is_that_of_a_plain_reference(
    data_dir: Path,
    tmp_path: Path,
    order: tuple[int, ...],
    conf: float,
    record_property: Callable[[str, object], None],
) -> None:
    outputs = ssd_outputs(data_dir)
    models = [
        tiny_tflite([Constant(f"out:{number}", tensors[number]) for number in order], size=SSD_SIDE)
        for tensors in outputs
    ]
    mine = map50(data_dir, ours(data_dir, tmp_path, models, "ssd-postprocess", conf=conf))
    theirs = map50(data_dir, ssd_reference(outputs, sizes_of(data_dir), conf))
    record_property("map50", {"Detector": mine, "reference": theirs})
    assert theirs > 0.4
    assert abs(mine - theirs) <= TOLERANCE, (mine, theirs)


def test_the_comparison_would_see_a_wrong_reading(data_dir: Path) -> None:
    """What a decoder may get wrong moves mAP50 by far more than the tolerance."""
    sizes, v5, ssd = sizes_of(data_dir), v5_outputs(data_dir), ssd_outputs(data_dir)
    right_v5 = map50(data_dir, v5_reference(v5, sizes, 0.05, 0.45))
    right_ssd = map50(data_dir, ssd_reference(ssd, sizes, 0.02))
    sure = [raw.copy() for raw in v5]
    for raw in sure:
        raw[:, 4] = np.where(raw[:, 4] > V5_ZERO, 245, raw[:, 4])
    swapped = [[tensors[0][..., [1, 0, 3, 2]], *tensors[1:]] for tensors in ssd]
    uncounted = [[*tensors[:3], np.array([SSD_ROWS], np.float32)] for tensors in ssd]
    wrong_v5 = {
        "objectness left out": v5_reference(sure, sizes, 0.05, 0.45),
        "no suppression": v5_reference(v5, sizes, 0.05, 1.0),
    }
    wrong_ssd = {
        "x and y swapped": ssd_reference(swapped, sizes, 0.02),
        "rows beyond the count": ssd_reference(uncounted, sizes, 0.02),
    }
    far = 3 * TOLERANCE
    assert all(right_v5 - map50(data_dir, results) > far for results in wrong_v5.values())
    assert all(right_ssd - map50(data_dir, results) > far for results in wrong_ssd.values())
