"""Sequences: MOTChallenge folders with and without ground truth, and simulated streets, which have one.

The street's actors are known exactly; a detector is played that misses who is hidden or unlucky, trembles
with the size of what it sees and sees what is not there. Nothing is drawn. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hardware.camera.street import Street
from pehra.commands.track_files import read_boxes
from tests.bench.tracking_peers import Frame

MOT_FPS: Final = {"ADL-Rundle-6": 30.0, "KITTI-17": 10.0, "PETS09-S2L1": 7.0, "TUD-Campus": 25.0}
"""From the sequences' seqinfo (MOT15); others are taken for 25."""
LED_S: Final = 1.5
"""An actor hidden for no longer stays in the truth, as MOTChallenge's annotators do."""


@dataclass(frozen=True, slots=True)
class Detected:
    """A sequence of which only the detections are known.

    Attributes:
        name: for the table.
        fps: frames a second.
        frames: the detections of every frame.
    """

    name: str
    fps: float
    frames: list[Frame]


@dataclass(frozen=True, slots=True)
class Known(Detected):
    """A sequence whose truth is known.

    Attributes:
        truth: rows of frame, object, left, top, right, bottom.
    """

    truth: np.ndarray


@dataclass(frozen=True, slots=True)
class Eye:
    """How well the played detector sees: recall in full view, trembling in box sizes, false boxes a frame."""

    recall: float
    tremble: float
    false: float


GOOD: Final = Eye(0.92, 0.06, 0.15)
POOR: Final = Eye(0.85, 0.09, 0.3)
STREETS: Final = (
    (0, 10.0, GOOD),
    (1, 8.0, GOOD),
    (2, 25.0, GOOD),
    (1003, 15.0, GOOD),
    (10, 10.0, POOR),
    (1011, 10.0, POOR),
)
"""Seed, frames a second, detector."""


def sequences(data: Path) -> Iterator[Known]:
    """Yield the MOTChallenge sequences that have a truth, then the streets."""
    for truth in sorted(data.glob("mot/*/gt/gt.txt")):
        yield _mot(truth.parents[1])
    for seed, fps, eye in STREETS:
        yield _street(seed, fps, eye, seconds=30.0)


def unknown(data: Path) -> Iterator[Detected]:
    """Yield the MOTChallenge sequences that have no truth."""
    for found in sorted(data.glob("mot/*/det/det.txt")):
        folder = found.parents[1]
        if not (folder / "gt/gt.txt").exists():
            yield _detected(folder)


def _mot(folder: Path) -> Known:
    table = np.loadtxt(folder / "gt/gt.txt", delimiter=",", ndmin=2)
    table = table[table[:, 6] != 0]
    truth = np.concatenate([table[:, :4], table[:, 2:4] + table[:, 4:6]], axis=1)
    detected = _detected(folder, last=int(truth[:, 0].max()))
    return Known(detected.name, detected.fps, detected.frames, truth)


def _detected(folder: Path, last: int = 1) -> Detected:
    found = read_boxes((folder / "det/det.txt").read_text("utf-8").splitlines())
    frames = [
        Frame(number, found.boxes[found.frames == number], found.scores[found.frames == number])
        for number in range(1, max(last, int(found.frames.max())) + 1)
    ]
    return Detected(folder.name, MOT_FPS.get(folder.name, 25.0), frames)


def _street(seed: int, fps: float, eye: Eye, *, seconds: float) -> Known:
    street, rng = Street(seed), np.random.default_rng([seed, 77])
    size = np.array([street.width, street.height, street.width, street.height])
    tremor: dict[int, np.ndarray] = {}
    frames, rows = [], []
    for number in range(1, int(seconds * fps) + 1):
        boxes, scores = [], []
        for actor in street.truth((number - 1) / fps):
            box = np.array(actor.box) * size
            rows.append((number, actor.id, *box))
            before = tremor.get(actor.id, np.zeros(4))
            tremor[actor.id] = 0.8 * before + rng.normal(0, 0.5 * eye.tremble, 4)
            chance = eye.recall * min(1.0, (actor.visible - 0.2) / 0.5)
            if rng.random() < chance:
                scale = np.tile(box[2:] - box[:2], 2)
                boxes.append(box + (tremor[actor.id] + rng.normal(0, 0.5 * eye.tremble, 4)) * scale)
                scores.append(np.clip(rng.normal(0.9, 0.08) - 0.25 * (1.0 - actor.visible), 0.5, 1.0))
        for _ in range(rng.poisson(eye.false)):
            corner, height = rng.random(2) * size[:2] * 0.7, rng.uniform(30, 150)
            boxes.append(np.concatenate([corner, corner + np.array([0.4, 1.0]) * height]))
            scores.append(rng.uniform(0.5, 0.8))
        frames.append(Frame(number, np.array(boxes).reshape(-1, 4), np.array(scores)))
    what = "a good eye" if eye is GOOD else "a poor eye"
    return Known(f"street {seed}, {fps:.0f} fps, {what}", fps, frames, _led_through(np.array(rows), fps))


def _led_through(rows: np.ndarray, fps: float) -> np.ndarray:
    """Keep actors in the truth while they are hidden for a moment."""
    whole = []
    for actor in np.unique(rows[:, 1]):
        own = rows[rows[:, 1] == actor]
        at = np.arange(own[0, 0], own[-1, 0] + 1)
        after = np.searchsorted(own[:, 0], at)
        hidden = own[after, 0] - own[np.maximum(after - 1, 0), 0]
        at = at[(own[after, 0] == at) | (hidden <= LED_S * fps)]
        sides = [np.interp(at, own[:, 0], own[:, side]) for side in range(2, 6)]
        whole.append(np.stack([at, np.full(len(at), actor), *sides], axis=1))
    return np.concatenate(whole)
