"""The peers of the tracker, each with its default settings, behind one signature.

They come with `requirements/bench.lock`; where one is missing the bench says so and leaves it out.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from pehra.commands.track_files import Boxes
from pehra.commands.track_paths import PathSettings
from pehra.commands.track_run import Sequence, follow

NEEDED: Final = ("trackers", "norfair", "motmetrics")
NORFAIR_DISTANCE: Final = 0.7
"""Norfair has no default for it; of .3 .5 .7 .9 this gave it the best IDF1 on TUD-Campus."""
ONLINE: Final = "pehra --online"


@dataclass(frozen=True, slots=True)
class Frame:
    """Detections of one frame: its number from 1, boxes (N, 4) in pixels, scores (N,) in 0..1."""

    number: int
    boxes: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, slots=True)
class Tracked:
    """A result: rows of frame, track, left, top, right, bottom; and the milliseconds that each frame took."""

    rows: np.ndarray
    times_ms: np.ndarray


Peer = Callable[[list[Frame]], Tracked]


def missing() -> list[str]:
    """Return the libraries that are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def peers() -> dict[str, Peer]:
    """Return the peers by name."""
    from trackers import ByteTrackTracker, OCSORTTracker, SORTTracker

    return {
        "SORT": _supervised(SORTTracker),
        "ByteTrack": _supervised(ByteTrackTracker),
        "OC-SORT": _supervised(OCSORTTracker),
        "norfair": _norfair,
    }


def ours(frames: list[Frame], fps: float) -> dict[str, np.ndarray]:
    """Return the rows of `pehra track`, completed and as a camera says them."""
    boxes = Boxes(
        np.concatenate([np.full(len(one.boxes), one.number, np.int64) for one in frames]),
        np.concatenate([one.boxes for one in frames]),
        np.concatenate([one.scores for one in frames]),
    )
    sequence = Sequence(boxes, fps)
    return {
        "pehra": np.array(follow(sequence, PathSettings()).rows, np.float64).reshape(-1, 6),
        ONLINE: np.array(follow(sequence, None).rows, np.float64).reshape(-1, 6),
    }


def _supervised(make: Callable[[], Any]) -> Peer:
    def run(frames: list[Frame]) -> Tracked:
        from supervision import Detections

        tracker, rows, took = make(), [], []
        for frame in frames:
            began = time.perf_counter()
            found = Detections(
                xyxy=frame.boxes.astype(np.float32),
                confidence=frame.scores.astype(np.float32),
                class_id=np.zeros(len(frame.boxes), int),
            )
            with warnings.catch_warnings(action="ignore"):
                told = tracker.update(found)
            took.append(time.perf_counter() - began)
            numbers = told.tracker_id if told.tracker_id is not None else []
            rows += [(frame.number, n, *box) for n, box in zip(numbers, told.xyxy, strict=False) if n >= 0]
        return _tracked(rows, took)

    return run


def _norfair(frames: list[Frame]) -> Tracked:
    import norfair

    tracker, rows, took = norfair.Tracker("iou", distance_threshold=NORFAIR_DISTANCE), [], []
    for frame in frames:
        began = time.perf_counter()
        found = [
            norfair.Detection(points=box.reshape(2, 2), scores=np.full(2, score))
            for box, score in zip(frame.boxes, frame.scores, strict=True)
        ]
        told = tracker.update(found)
        took.append(time.perf_counter() - began)
        rows += [(frame.number, one.id, *one.estimate.ravel()) for one in told]
    return _tracked(rows, took)


def _tracked(rows: list[tuple[float, ...]], took_s: list[float]) -> Tracked:
    return Tracked(np.array(rows, np.float64).reshape(-1, 6), 1000.0 * np.array(took_s))
