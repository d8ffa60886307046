"""The tracker at 10, 40 and 100 objects, beside the model's own invoke in the same run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from device.firmware.tracker import Tracker
from device.models.bundle import load_bundle
from device.models.detections import Detections
from device.models.detector import Detector
from hardware.camera.frame import Frame
from hardware.camera.street import Street
from tests.bench.table import Row, times_ms

FRAMES = 300


def measure(data: Path) -> list[Row]:
    """Track objects that wander, with missed and false detections."""
    del data
    detector = Detector(load_bundle("street-2"), threads=1)
    frame = Frame(Street(13, 640, 480).render(5.0), "rgb", 640, 480, 0.0, 0.0, 0)
    times_ms(lambda: detector.detect(frame), 20)
    invoke = float(np.median([(detector.detect(frame), detector.last_invoke_ms)[1] for _ in range(50)]))
    return [_row(objects, invoke) for objects in (10, 40, 100)]


def _row(objects: int, invoke: float) -> Row:
    tracker, scenes = Tracker(), iter(enumerate(_wandering(objects)))

    def step() -> None:
        number, detections = next(scenes)
        tracker.update(detections, number / 10)

    taken = times_ms(step, FRAMES)[20:]
    median = float(np.median(taken))
    return Row(
        f"tracker, {objects} objects, p50 / p95",
        f"{median:.2f} / {np.percentile(taken, 95):.2f} ms",
        f"invoke of street-2: {invoke:.2f} ms",
        f"{median / invoke:.2f}",
    )


def _wandering(objects: int) -> list[Detections]:
    rng = np.random.default_rng(objects)
    corner, speed = rng.random((objects, 2)) * 0.9, rng.normal(0, 0.01, (objects, 2))
    size = rng.uniform(0.02, 0.1, (objects, 2))
    scenes = []
    for _ in range(FRAMES):
        corner = np.clip(corner + speed, 0.0, 0.9)
        seen = rng.random(objects) > 0.05
        shaken = corner + rng.normal(0, 0.002, corner.shape)
        boxes = np.concatenate([shaken, shaken + size], axis=1).clip(0, 1).astype(np.float32)[seen]
        scores = rng.uniform(0.3, 0.9, len(boxes)).astype(np.float32)
        scenes.append(Detections(np.zeros(len(boxes), np.int64), scores, boxes))
    return scenes
