"""Runs the cameras' tracker over the detections of a whole sequence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from device.firmware.tracker import Tracker, TrackerSettings
from device.firmware.tracks import Tracks
from device.models.detections import Detections
from pehra.commands.track_files import Boxes, Row
from pehra.commands.track_paths import Path, PathSettings, complete

Float = npt.NDArray[np.float64]


FILE_SETTINGS: Final = TrackerSettings(
    gate=2.0, lost_s=1.5, weigh_absence=0.05, push_place=0.8, reach_speed=0.6, reach_lead=0.1
)
"""A file has all its frames, evenly spaced: what is expected may be believed more than on a busy camera."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """What is to be followed.

    Attributes:
        boxes: the detections.
        fps: frames a second.
        min_conf: detections with less are left out, in the file's own range; None for all.
        size: width and height of the picture in pixels, at whose edges boxes are cut; None for no cutting.
    """

    boxes: Boxes
    fps: float
    min_conf: float | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """The result: rows, how many objects they tell of, and how many frames had detections."""

    rows: list[Row]
    objects: int
    frames: int


def follow(sequence: Sequence, completion: PathSettings | None) -> Followed:
    """Follow a sequence's objects.

    Args:
        sequence: the detections.
        completion: how the tracker's answers are completed afterwards; None leaves them as they are.
    """
    paths: dict[int, Path] = {}
    rows: list[Row] = []
    frames = 0
    for frame, tracks, to_pixels in _answers(sequence):
        frames += 1
        boxes = to_pixels.apply(tracks.boxes)
        rows += [Row(frame, int(i), *map(float, box)) for i, box in zip(tracks.ids, boxes, strict=True)]
        if completion is not None:
            _extend(paths, tracks, frame, boxes, to_pixels, sequence.fps)
    if completion is not None:
        rows = complete(paths, sequence.fps, completion)
    rows = _cut(rows, sequence.size)
    numbers = {track: n for n, track in enumerate(dict.fromkeys(row.track for row in sorted(rows)), start=1)}
    return Followed([row._replace(track=numbers[row.track]) for row in rows], len(numbers), frames)


@dataclass(frozen=True, slots=True)
class _ToPixels:
    """Lays the tracker's square of 0..1 round all boxes of a sequence, so that no picture size is needed."""

    origin: Float
    side: float

    def apply(self, boxes: npt.NDArray[np.float32]) -> Float:
        scaled: Float = boxes.astype(np.float64) * self.side + self.origin
        return scaled

    def undo(self, boxes: Float) -> npt.NDArray[np.float32]:
        square: npt.NDArray[np.float32] = ((boxes - self.origin) / self.side).astype(np.float32)
        return square


def _answers(sequence: Sequence) -> Iterator[tuple[int, Tracks, _ToPixels]]:
    """Yield the tracker's answer to each frame that has detections."""
    boxes = sequence.boxes
    if not len(boxes):
        return
    corner = boxes.boxes.min(axis=0)[:2]
    square = _ToPixels(np.tile(corner, 2), float((boxes.boxes.max(axis=0)[2:] - corner).max()))
    settings = FILE_SETTINGS
    scores = even_scores(boxes.scores, settings)
    is_used = (
        np.ones(len(boxes), np.bool_) if sequence.min_conf is None else boxes.scores >= sequence.min_conf
    )
    tracker, forget_frames = Tracker(settings), math.ceil(settings.remember_s * sequence.fps) + 1
    numbers, starts = np.unique(boxes.frames, return_index=True)
    before = int(numbers[0])
    for frame, rows in zip(numbers.tolist(), np.split(np.arange(len(boxes)), starts[1:]), strict=True):
        # Nothing was detected in the frames between; of many, those until everything is forgotten are enough.
        for empty in range(before + 1, min(frame, before + 1 + forget_frames)):
            tracker.update(Detections.none(), empty / sequence.fps)
        used = rows[is_used[rows]]
        found = Detections(
            np.zeros(len(used), np.int64), scores[used].astype(np.float32), square.undo(boxes.boxes[used])
        )
        yield frame, tracker.update(found, frame / sequence.fps), square
        before = frame


def even_scores(scores: Float, settings: TrackerSettings) -> Float:
    """Return confidences of any range as scores in 0..1.

    Probabilities stay as they are. Of others, and where hardly any could start a track, only the order is
    believed: the surest gets .95 and the least sure .2, so that a fifth may only continue tracks.
    """
    if not len(scores) or scores.min() == scores.max():
        return np.full(len(scores), 0.9)
    is_probability = scores.min() >= 0.0 and scores.max() <= 1.0
    if is_probability and np.quantile(scores, 0.9) >= settings.high:
        return scores
    ranks = np.searchsorted(np.sort(scores), scores, side="right") / len(scores)
    even: Float = 0.2 + 0.75 * ranks
    return even


def _extend(
    paths: dict[int, Path], tracks: Tracks, frame: int, boxes: Float, to_pixels: _ToPixels, fps: float
) -> None:
    """Add a frame's answer to the paths; a lost object's path goes on under its new number."""
    for before, after in tracks.renames:
        paths.setdefault(after, Path()).boxes.update(paths.pop(before, Path()).boxes)
    assert tracks.first_boxes is not None
    assert tracks.first_s is not None
    firsts = to_pixels.apply(tracks.first_boxes)
    for number, box, first, first_s in zip(tracks.ids.tolist(), boxes, firsts, tracks.first_s, strict=True):
        path = paths.setdefault(number, Path({round(float(first_s) * fps): tuple(map(float, first))}))
        path.boxes[frame] = tuple(map(float, box))


def _cut(rows: list[Row], size: tuple[int, int] | None) -> list[Row]:
    if size is None:
        return rows
    width, height = size
    cut = [
        row._replace(
            left=max(0.0, row.left), top=max(0.0, row.top),
            right=min(float(width), row.right), bottom=min(float(height), row.bottom),
        )
        for row in rows
    ]  # fmt: skip
    return [row for row in cut if row.right > row.left and row.bottom > row.top]
