"""Many frames at full speed: does memory stay flat, and how much is written to the card in an hour.

The device's own road (mask, view, gate, tracker, six kinds of rules, counts, outbox on a real disk) over
the simulated street's truth of ten minutes, told again and again in place of the model; the clock is the
frames'. The model is loaded all the same, because its memory counts.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from device.firmware.config import parse_config
from device.firmware.eye import Eye, make_eye
from device.firmware.outbox import Outbox, OutboxSettings
from device.models.bundle import load_bundle
from device.models.detections import Detections
from device.models.detector import Detector
from device.models.labels import CLASSES
from hardware.camera.frame import Frame, rgb_to_i420
from hardware.camera.street import Actor, Street
from tests.bench.table import Row

FRAMES: Final = int(os.environ.get("PEHRA_SOAK_FRAMES", "200000"))
FPS: Final = 10.0
SEEN: Final = 40
"""Pictures that are shown again and again, forwards and backwards so that nothing jumps."""
TOLD: Final = 6000
"""Frames after which the street's truth begins again."""
FLUSH_S: Final = 0.25
"""The outbox's group, in the frames' time."""
UTC_S: Final = 1_790_000_000.0
RULES: Final = """\
[device]
id = "bench-01"

[mqtt]
host = "127.0.0.1"

[[camera]]
source = "street"

[[camera.mask]]
name = "window"
points = [[0.0, 0.0], [0.1, 0.0], [0.1, 0.1], [0.0, 0.1]]

[[camera.rule]]
name = "line"
kind = "line"
points = [[0.5, 0.1], [0.5, 1.0]]

[[camera.rule]]
name = "zone"
kind = "zone"
points = [[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]]
events = false

[[camera.rule]]
name = "crowd"
kind = "crowd"
points = [[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]]

[[camera.rule]]
name = "loiter"
kind = "loiter"
points = [[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]]

[[camera.rule]]
name = "stopped"
kind = "stopped"
points = [[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]]

[[camera.rule]]
name = "left"
kind = "left"
points = [[0.0, 0.4], [1.0, 0.4], [1.0, 1.0], [0.0, 1.0]]
"""


class _Told:
    """A detector that tells the street's truth, a little displaced, as a model's boxes are."""

    def __init__(self, street: Street) -> None:
        self._model = Detector(load_bundle("street-2", int8_only=True), threads=1)
        self._told = [_detections(street.truth(number / FPS)) for number in range(min(TOLD, FRAMES))]
        self._random = np.random.default_rng(1)

    def detect(self, frame: Frame) -> Detections:
        if frame.seq == 0:
            self._model.detect(frame)
        told = self._told[frame.seq % TOLD]
        moved = told.boxes + self._random.normal(0.0, 0.002, told.boxes.shape).astype(np.float32)
        return Detections(told.classes, told.scores, np.clip(moved, 0.0, 1.0))


def _detections(actors: list[Actor]) -> Detections:
    seen = [actor for actor in actors if actor.visible > 0.4 and actor.name in CLASSES]
    return Detections(
        np.array([CLASSES.index(actor.name) for actor in seen], np.int64),
        np.full(len(seen), 0.8, np.float32),
        np.array([actor.box for actor in seen], np.float32).reshape(-1, 4),
    )


def measure(data: Path) -> list[Row]:
    """Show the frames; the folder for the outbox is where temporary files lie, which should be a disk."""
    del data
    street = Street(11, 640, 480)
    pixels = [rgb_to_i420(street.render(number / FPS)) for number in range(SEEN)]
    config = parse_config(RULES, Path("soak.toml"))
    process, rss_mb = psutil.Process(), []
    with tempfile.TemporaryDirectory(dir=os.environ.get("PEHRA_SOAK_DIR")) as folder:
        outbox = Outbox(Path(folder) / "outbox.db", OutboxSettings())
        eye = make_eye("bench-01", config.camera[0], _Told(street), outbox, on_news=lambda: None)
        written = 0
        for seq in range(FRAMES):
            if seq % (FRAMES // 10) == 0:
                rss_mb.append(process.memory_info().rss / 2**20)
            if seq == FRAMES // 10:
                written = process.io_counters().write_bytes
            frame = _frame(pixels[_shown(seq)], seq)
            look(eye, frame)
            keep(outbox, frame)
        rss_mb.append(process.memory_info().rss / 2**20)
        outbox.flush()
        written = process.io_counters().write_bytes - written
        made = sum(outbox.tally(channel).made for channel in ("event", "count"))
        outbox.close()
    hours = FRAMES / FPS / 3600
    return [
        Row(
            f"memory over {FRAMES} frames ({hours:.1f} h at {FPS:.0f} fps)",
            f"{rss_mb[1]:.0f} MB after a tenth, {rss_mb[-1]:.0f} MB at the end, {max(rss_mb):.0f} MB at most",
            "limit: 250 MB",
            f"{max(rss_mb) / 250:.2f}",
        ),
        Row(
            "written to the disk, all but the first tenth",
            f"{written / (0.9 * hours) / 1e6:.1f} MB an hour",
            f"{made / hours:.0f} events and counts an hour: {written / 0.9 / made / 1000:.0f} KB each",
        ),
    ]


def _shown(seq: int) -> int:
    """Which picture is shown: 0, 1, ... SEEN - 1, ... 1, 0, 1, ..."""
    turn = seq % (2 * SEEN - 2)
    return min(turn, 2 * SEEN - 2 - turn)


def _frame(pixels: np.ndarray, seq: int) -> Frame:
    # A copy, as a driver gives: masks are painted on the frame.
    return Frame(pixels.copy(), "i420", 640, 480, mono_s=seq / FPS, utc_s=UTC_S + seq / FPS, seq=seq)


def look(eye: Eye, frame: Frame) -> None:
    """Do what the thread that looks does with a frame."""
    taken = eye.intake.take(frame, frame.mono_s)
    if taken is not None:
        eye.watch_view(taken)
        eye.pipeline.step(taken)


def keep(outbox: Outbox, frame: Frame) -> None:
    """Do what the outbox's thread and the fleet do in the time of a frame."""
    if frame.seq % int(FLUSH_S * FPS) == 0:
        if outbox.is_due(frame.mono_s):
            outbox.flush()
        waiting = outbox.after(0, 200)
        if waiting:
            outbox.acknowledge([(waiting[0].seq, waiting[-1].seq)])
