"""What a frame costs beyond the model's `invoke`: gate, preparation, decoding, tracking, rules, outbox."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from device.firmware.counts import Counts
from device.firmware.motion import MotionGate, MotionSettings
from device.firmware.outbox import Outbox
from device.firmware.pipeline import Pipeline
from device.firmware.rules import LineRule, ZoneRule
from device.firmware.tracker import Tracker
from device.models.bundle import load_bundle
from device.models.detector import Detector
from hardware.camera.frame import Frame, rgb_to_i420
from hardware.camera.street import Street
from tests.bench.table import Row

FRAMES = 600
FPS = 10.0


def measure(data: Path) -> list[Row]:
    """Run the whole pipeline over the simulated street, 640x480 I420 as a Pi's camera gives."""
    del data
    frames = _frames()
    detector = Detector(load_bundle("street-2", int8_only=True), threads=1)
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder) / "outbox.db")
        pipeline = Pipeline(
            "bench-01",
            "cam0",
            gate=MotionGate(MotionSettings(max_skip_s=0.0)),
            detector=detector,
            tracker=Tracker(),
            rules=[
                LineRule("line", np.array([0.5, 0.1]), np.array([0.5, 1.0])),
                ZoneRule("zone", np.array([[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]])),
            ],
            counts=Counts(("line", "zone")),
            outbox=outbox,
        )
        beyond, invoke = [], []
        for frame in frames:
            began = time.perf_counter()
            pipeline.step(frame)
            whole = (time.perf_counter() - began) * 1000.0
            invoke.append(detector.last_invoke_ms)
            beyond.append(whole - detector.last_invoke_ms)
        outbox.close()
    ours, model = float(np.median(beyond)), float(np.median(invoke))
    share = f"{100 * ours / (ours + model):.0f} % of the frame"
    return [
        Row(
            "pipeline beyond invoke, 640x480 I420, per frame, p50",
            f"{ours:.2f} ms ({share})",
            f"invoke of street-2: {model:.2f} ms",
            f"{ours / model:.2f}",
        ),
        Row(
            "the same, p95",
            f"{np.percentile(beyond, 95):.2f} ms",
            f"invoke p95: {np.percentile(invoke, 95):.2f} ms",
        ),
    ]


def _frames() -> list[Frame]:
    street = Street(11, 640, 480)
    return [
        Frame(rgb_to_i420(street.render(i / FPS)), "i420", 640, 480, i / FPS, 1_790_000_000 + i / FPS, i)
        for i in range(FRAMES)
    ]
