"""`pehra detect` against a plain reference: the same model file, read with nothing of ours.

The reference decodes photos with cv2, letterboxes, feeds the bare interpreter, takes the best of all 80
classes, suppresses class by class in plain Python loops, and is scored by pycocotools; so is the JSON that
`pehra detect` prints. The two must agree within 0.01 mAP50: at the default floor with pehra's own IoU
whichever of the usual IoUs the reference has, and down to a floor of 0.001 with the same IoU.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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

PROGRAM = "import typer; from pehra.commands.detect import detect; typer.run(detect)"


def reference(data: Path, model: Path, conf: float, most_overlap: float) -> list[dict[str, Any]]:
    results = []
    for image, (real, width, height) in enumerate(raw_outputs(data, model), start=1):
        ratio = min(416 / width, 416 / height)
        left, top = (416 - width * ratio) / 2, (416 - height * ratio) / 2
        by_class: dict[str, list[Found]] = {}
        best, score_of = real[4:].argmax(axis=0), real[4:].max(axis=0)
        for at in np.flatnonzero(score_of > conf):
            name = COCO_NUMBERS.get(int(best[at]))
            if name in NAMES:
                x, y, w, h = real[:4, at] * 416
                box = [x - w / 2 - left, y - h / 2 - top, x + w / 2 - left, y + h / 2 - top]
                by_class.setdefault(name, []).append((float(score_of[at]), [side / ratio for side in box]))
        for name, found in by_class.items():
            for score, box in suppressed(found, most_overlap):
                results.append(result(image, name, score, clipped(box, width, height)))
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
    model = data_dir / MODEL
    ours = map50(data_dir, detected(data_dir, model, *settings))
    theirs = map50(data_dir, reference(data_dir, model, conf, most_overlap))
    record_property("map50", {"pehra detect": ours, "reference": theirs})
    assert theirs > 0.4
    assert abs(ours - theirs) <= TOLERANCE, (ours, theirs)
