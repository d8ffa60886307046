"""What rules cost: each kind by itself, ten of them together, with 20 tracks, and a rule's small picture."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from device.firmware.config import RuleSection
from device.firmware.duties import make_duties
from device.firmware.pipeline import small_picture
from device.firmware.rules import Duty, LeftRule
from device.firmware.tracks import Tracks
from device.models.labels import CLASSES
from hardware.camera.frame import Frame
from tests.bench.table import Row, times_ms

FRAMES: Final = 600
OBJECTS: Final = 20
FPS: Final = 10.0
LIMIT_MS: Final = 0.3
ZONE: Final = [(0.1, 0.3), (0.9, 0.3), (0.95, 0.9), (0.05, 0.9)]
GROUND: Final = [(0.0, 20.0), (10.0, 20.0), (10.0, 0.0), (0.0, 0.0)]
SECTIONS: Final = [
    RuleSection(name="west", kind="line", points=[(0.2, 0.1), (0.2, 0.9)]),
    RuleSection(name="east", kind="line", points=[(0.5, 0.1), (0.5, 0.9)]),
    RuleSection(name="zone", kind="zone", points=ZONE, dwell_s=3.0),
    RuleSection(name="loiter", kind="loiter", points=ZONE),
    RuleSection(name="crowd", kind="crowd", points=ZONE),
    RuleSection(name="wrong-way", kind="wrong-way", points=ZONE, direction=0.0),
    RuleSection(name="stopped", kind="stopped", points=ZONE),
    RuleSection(name="left", kind="left", points=ZONE),
    RuleSection(name="speed", kind="speed", points=ZONE, ground=GROUND, limit_mps=5.0),
    RuleSection(name="od", kind="od", lines=["west", "east"]),
    RuleSection(name="heat", kind="heat"),
]


def measure(data: Path) -> list[Row]:
    """Twenty objects that move about at random, ten frames a second."""
    del data
    frames = _frames()
    kinds = {section.kind: _cost_ms(frames, {section.name}) for section in SECTIONS}
    ten = _cost_ms(frames, {section.name for section in SECTIONS} - {"west"})
    frame = Frame(np.full((720, 640), 90, np.uint8), "i420", 640, 480, 0.0, 0.0, 0)
    rule = LeftRule("left", np.array(ZONE))
    rule.apply(frames[0], 0.0)
    moments = iter(np.arange(0.0, 1e6, 0.5).tolist())
    watch_ms = float(np.median(times_ms(lambda: rule.watch_small(small_picture(frame), next(moments)), 200)))
    each = ", ".join(
        f"{kind} {1000 * cost:.0f}" for kind, cost in sorted(kinds.items(), key=lambda one: one[1])
    )
    return [
        Row(
            f"ten rules, one of each kind, {OBJECTS} tracks, per frame, p50",
            f"{ten:.2f} ms",
            f"limit {LIMIT_MS} ms",
            f"{ten / LIMIT_MS:.2f}",
        ),
        Row("each kind by itself, p50", f"{each} µs"),
        Row("left: the small picture of 640x480, twice a second, p50", f"{watch_ms:.2f} ms"),
    ]


def _cost_ms(frames: list[Tracks], names: set[str]) -> float:
    duties = [duty for duty in make_duties(SECTIONS, "UTC") if duty.name in names]
    # Of what rules share, each frame's tracks keep a copy: each measurement must begin without.
    fresh = [replace(tracks) for tracks in frames]
    return float(np.median([_apply_ms(duties, tracks, number / FPS) for number, tracks in enumerate(fresh)]))


def _apply_ms(duties: list[Duty], tracks: Tracks, mono_s: float) -> float:
    began = time.perf_counter()
    for duty in duties:
        duty.apply(tracks, mono_s, 1.79e9 + mono_s)
    return (time.perf_counter() - began) * 1000.0


def _frames() -> list[Tracks]:
    rng = np.random.default_rng(0)
    x, y, speed = rng.uniform(0, 1, OBJECTS), rng.uniform(0.35, 0.9, OBJECTS), rng.uniform(-0.1, 0.1, OBJECTS)
    classes, frames, first = rng.integers(0, len(CLASSES), OBJECTS), [], None
    for _ in range(FRAMES):
        x = (x + speed / FPS) % 1.0
        boxes = np.stack([x - 0.03, y - 0.1, x + 0.03, y], axis=1) + rng.normal(0, 0.002, (OBJECTS, 4))
        boxes = boxes.astype(np.float32)
        first = boxes if first is None else first
        scores = np.full(OBJECTS, 0.9, np.float32)
        frames.append(Tracks(np.arange(1, OBJECTS + 1), classes, scores, boxes, first_boxes=first))
    return frames
