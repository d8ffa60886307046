"""What a frame with twenty objects costs beyond the model's `invoke`, on the device's whole road.

Masks, view, gate, preparation, decoding, tracker, six kinds of rules and counts; the disk is another
thread's. The model sees the simulated street; in place of what it finds, twenty objects that wander go on to
the tracker.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from device.firmware.config import parse_config
from device.firmware.eye import make_eye
from device.firmware.outbox import Outbox
from device.models.bundle import load_bundle
from device.models.detections import Detections
from device.models.detector import Detector
from hardware.camera.frame import Frame, rgb_to_i420
from hardware.camera.sources import open_camera
from hardware.camera.street import Street
from tests.bench.soak import RULES, keep, look
from tests.bench.table import Row
from tests.bench.tracking import PIXELS, wandering

FRAMES: Final = 600
WARM: Final = 50
FPS: Final = 10.0
OBJECTS: Final = 20
UTC_S: Final = 1_790_000_000.0
VIDEO: Final = "videos/otc_cars_cyclist.mp4"
LIMIT_MS: Final = 1.5
LIMIT_SHARE: Final = 0.15


@dataclass(slots=True)
class _Crowded:
    """The shipped model, and twenty objects whatever it finds."""

    detector: Detector
    told: list[Detections]

    def detect(self, frame: Frame) -> Detections:
        self.detector.detect(frame)
        return self.told[frame.seq % len(self.told)]


def measure(data: Path) -> list[Row]:
    """Show 640x480 I420, as a Raspberry Pi's camera gives; the gate lets every frame through."""
    beyond, invoke = _times_ms()
    ours, model = float(np.median(beyond)), float(np.median(invoke))
    row = Row(
        f"all but the model, {OBJECTS} objects, 640x480 I420, a frame, p50 / p95 / mean",
        f"{ours:.2f} / {np.percentile(beyond, 95):.2f} / {beyond.mean():.2f} ms",
        f"limit {LIMIT_MS} ms",
        f"{ours / LIMIT_MS:.2f} (mean {beyond.mean() / LIMIT_MS:.2f})",
    )
    capture = _capture_ms(data / VIDEO)
    if capture is None:
        return [row, Row("the same beside invoke and capture", "not measured", f"{VIDEO} is not here")]
    return [
        row,
        Row(
            "the same beside invoke and capture (a frame of a video), p50",
            f"{100 * ours / (model + capture):.0f} %",
            f"{model:.2f} + {capture:.2f} ms; limit {100 * LIMIT_SHARE:.0f} %",
            f"{ours / (model + capture) / LIMIT_SHARE:.2f}",
        ),
    ]


def _times_ms() -> tuple[np.ndarray, np.ndarray]:
    """Return what each frame took beyond invoke, and invoke."""
    street = Street(11, 640, 480)
    pixels = [rgb_to_i420(street.render(number / FPS)) for number in range(60)]
    detector = Detector(load_bundle("street-2", int8_only=True), threads=1)
    told = [
        Detections(
            np.zeros(len(frame.scores), np.int64),
            frame.scores.astype(np.float32),
            (frame.boxes / PIXELS).astype(np.float32),
        )
        for frame in wandering(OBJECTS)
    ]
    config = parse_config(RULES + "\n[camera.motion]\nmax_skip_s = 0.001\n", Path("cost.toml"))
    beyond, invoke = [], []
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder) / "outbox.db")
        eye = make_eye("bench-01", config.camera[0], _Crowded(detector, told), outbox, on_news=lambda: None)
        for seq in range(FRAMES + WARM):
            own = pixels[seq % len(pixels)].copy()
            frame = Frame(own, "i420", 640, 480, mono_s=seq / FPS, utc_s=UTC_S + seq / FPS, seq=seq)
            began = time.perf_counter()
            look(eye, frame)
            whole = (time.perf_counter() - began) * 1000.0
            keep(outbox, frame)
            invoke.append(detector.last_invoke_ms)
            beyond.append(whole - detector.last_invoke_ms)
        outbox.close()
    return np.array(beyond[WARM:]), np.array(invoke[WARM:])


def _capture_ms(video: Path) -> float | None:
    """Return what it takes to get a frame of at most 640x480 out of a video, p50."""
    if not video.exists():
        return None
    camera, taken = open_camera(str(video), every_frame=True), []
    frames = camera.frames(threading.Event())
    for _ in range(60):
        began = time.perf_counter()
        next(frames)
        taken.append((time.perf_counter() - began) * 1000.0)
    camera.close()
    return float(np.median(taken))
