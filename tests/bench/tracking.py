"""Tracks beside the peers' on the same detections: MOTA, IDF1 and switches, then the time of a frame.

Scored by motmetrics at an IoU of .5. `pehra` is what `pehra track` writes by default, which looks ahead; the
peers answer at once, and so does `pehra --online`. Where no truth is known, how many objects each tells of
stands beside the time: a hint, not a score.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from device.firmware.geometry import overlaps
from device.firmware.tracker import Tracker
from device.models.detections import Detections
from tests.bench.table import Row
from tests.bench.tracking_peers import ONLINE, Frame, missing, ours, peers
from tests.bench.tracking_sequences import Detected, Known, sequences, unknown

OBJECTS: Final = (10, 40, 100)
TIMED_FRAMES: Final = 300
PIXELS: Final = 1000.0


class Score(NamedTuple):
    """Of one tracker on one sequence."""

    mota: float
    idf1: float
    switches: int

    def __str__(self) -> str:
        """As it stands in the table."""
        return f"{self.mota:.3f} / {self.idf1:.3f} / {self.switches}"


def measure(data: Path) -> list[Row]:
    """Score and time the tracker beside its peers."""
    if absent := missing():
        return [
            Row("tracking", "not measured", f"{', '.join(absent)} not installed: `make bench` brings them")
        ]
    return [
        *(row for known in sequences(data) for row in _scored(known)),
        *(_counted(detected) for detected in unknown(data)),
        *(_timed(objects) for objects in OBJECTS),
    ]


def _scored(known: Known) -> list[Row]:
    theirs = {name: score(known, run(known.frames).rows) for name, run in peers().items()}
    own = {name: score(known, rows) for name, rows in ours(known.frames, known.fps).items()}
    beside = ", ".join(f"{name} {one}" for name, one in theirs.items())
    best = Score(*(max(one[i] for one in theirs.values()) for i in range(2)), 0)
    return [
        Row(
            f"tracks of {known.name}: MOTA / IDF1 / switches{' (online)' if name == ONLINE else ''}",
            str(one),
            beside if name != ONLINE else "as above",
            f"{one.mota / best.mota:.2f} / {one.idf1 / best.idf1:.2f} of the best of each",
        )
        for name, one in own.items()
    ]


def score(known: Known, rows: np.ndarray) -> Score:
    """Return what motmetrics says of rows of frame, track, left, top, right, bottom."""
    import motmetrics

    tally = motmetrics.MOTAccumulator()
    for frame in known.frames:
        truth, told = (table[table[:, 0] == frame.number] for table in (known.truth, rows))
        apart = 1.0 - overlaps(truth[:, 2:].astype(np.float32), told[:, 2:].astype(np.float32))
        tally.update(truth[:, 1], told[:, 1], np.where(apart > 0.5, np.nan, apart), frameid=frame.number)
    with warnings.catch_warnings(action="ignore"):
        table = motmetrics.metrics.create().compute(tally, metrics=["mota", "idf1", "num_switches"])
    mota, idf1, switches = table.iloc[0]
    return Score(float(mota), float(idf1), int(switches))


def _counted(detected: Detected) -> Row:
    """How many objects each tracker tells of, nobody knowing how many there are, and what a frame costs."""
    own, theirs = _best_of_three(detected.frames, detected.fps)
    told = ours(detected.frames, detected.fps)
    completed, online = (_objects(told[name]) for name in ("pehra", ONLINE))
    beside = [
        f"{name} {_objects(run(detected.frames).rows)} / {theirs[name]:.2f}" for name, run in peers().items()
    ]
    return Row(
        f"tracks of {detected.name}, no truth: objects / ms a frame, best median of three turns",
        f"{completed} ({online} online) / {own:.2f} ms",
        ", ".join(beside),
        f"{own / theirs['ByteTrack']:.2f} of ByteTrack",
    )


def _objects(rows: np.ndarray) -> int:
    return len(np.unique(rows[:, 1]))


def _timed(objects: int) -> Row:
    own, theirs = _best_of_three(wandering(objects), 30.0)
    return Row(
        f"tracker, {objects} objects, ms a frame, best median of three turns",
        f"{own:.2f} ms",
        ", ".join(f"{name} {one:.2f}" for name, one in theirs.items()),
        f"{own / theirs['ByteTrack']:.2f} of ByteTrack",
    )


def _best_of_three(frames: list[Frame], fps: float) -> tuple[float, dict[str, float]]:
    """Return our milliseconds a frame and the peers'.

    Trackers take turns, so that a busy moment of the machine hits all.
    """
    own, theirs = [], []
    for _ in range(3):
        own.append(float(np.median(_times_ms(frames, fps))))
        theirs.append({name: float(np.median(run(frames).times_ms)) for name, run in peers().items()})
    return min(own), {name: min(turn[name] for turn in theirs) for name in theirs[0]}


def _times_ms(frames: list[Frame], fps: float) -> np.ndarray:
    side = max(PIXELS, *(frame.boxes.max(initial=0.0) for frame in frames))
    tracker, took = Tracker(), []
    for frame in frames:
        found = Detections(
            np.zeros(len(frame.scores), np.int64),
            frame.scores.astype(np.float32),
            (frame.boxes / side).astype(np.float32),
        )
        began = time.perf_counter()
        tracker.update(found, frame.number / fps)
        took.append(time.perf_counter() - began)
    return 1000.0 * np.array(took)


def wandering(objects: int) -> list[Frame]:
    """Return frames in which so many objects go to and fro, one in twenty unseen; PIXELS wide and high."""
    rng = np.random.default_rng(objects)
    corner, speed = rng.random((objects, 2)) * 0.9, rng.normal(0, 0.003, (objects, 2))
    size, frames = rng.uniform(0.02, 0.1, (objects, 2)), []
    for number in range(1, TIMED_FRAMES + 1):
        corner = corner + speed
        speed = np.where((corner < 0) | (corner > 0.9), -speed, speed)
        corner = corner.clip(0, 0.9)
        seen = rng.random(objects) > 0.05
        shaken = corner + rng.normal(0, 0.001, corner.shape)
        boxes = np.concatenate([shaken, shaken + size], axis=1).clip(0, 1)[seen] * PIXELS
        frames.append(Frame(number, boxes, rng.uniform(0.5, 0.95, len(boxes))))
    return frames
