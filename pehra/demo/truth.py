"""What really crossed the line of the simulated street, and how many of these crossings the cameras told.

The truth goes through the same rule as the tracks do, so a crossing is what the rule's words say it is; who
is out of sight for longer than `HIDDEN_S` is somebody new. Nothing is painted, and nothing of this reaches a
camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from device.firmware.rules import LineRule
from device.firmware.tracks import Tracks
from device.models.labels import CLASSES
from hardware.camera.street import Actor, Street

TOLERANCE_S: Final = 1.0
"""An event this far from a crossing may still tell of it."""
HIDDEN_S: Final = 1.5
"""A tracker cannot know anybody again who was hidden for longer (`TrackerSettings.lost_s`)."""

Crossing = tuple[float, str]
"""Moment in seconds, and `in` or `out`."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Crossings that happened beside those that were told.

    Attributes:
        true: crossings that happened.
        counted: of these, told.
        false: told, but they did not happen.
    """

    true: int = 0
    counted: int = 0
    false: int = 0

    @property
    def missed(self) -> int:
        """Crossings that happened and were not told."""
        return self.true - self.counted

    @property
    def counted_share(self) -> float | None:
        """Of those that happened, the share that was told, 0..1; None if nothing happened."""
        return round(self.counted / self.true, 4) if self.true else None

    @property
    def false_share(self) -> float | None:
        """Told without happening, as a share of those that happened, from 0; None if nothing happened."""
        return round(self.false / self.true, 4) if self.true else None

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.true + other.true, self.counted + other.counted, self.false + other.false)


class Witness:
    """Sees all that crosses one line of one street, moment after moment.

    Args:
        street: which street.
        points: two points of the line, 0..1.
        fps: how many moments a second it looks at.
        start_s: from which moment of the street.
    """

    def __init__(
        self, street: Street, points: Sequence[tuple[float, float]], *, fps: float, start_s: float = 0.0
    ) -> None:
        self._street, self._fps, self._start_s = street, fps, start_s
        self._line = LineRule("truth", np.array(points[0]), np.array(points[1]))
        self._looked = 0
        self._seen_s: dict[int, float] = {}
        self.crossings: list[Crossing] = []

    def look_until(self, moment_s: float) -> None:
        """Go on to a moment, in seconds since `start_s`; `crossings` then has all up to it."""
        while self._looked / self._fps <= moment_s:
            at_s = self._looked / self._fps
            actors = self._street.truth(self._start_s + at_s)
            gone = tuple(who for who, seen_s in self._seen_s.items() if at_s - seen_s > HIDDEN_S)
            self._line.apply(as_tracks([], gone), at_s)
            happenings = self._line.apply(as_tracks(actors), at_s)
            self.crossings += [(at_s, str(happening.direction)) for happening in happenings]
            seen = dict.fromkeys((actor.id for actor in actors), at_s)
            self._seen_s = {who: s for who, s in self._seen_s.items() if who not in gone} | seen
            self._looked += 1


def as_tracks(actors: list[Actor], ended: tuple[int, ...] = ()) -> Tracks:
    """Return the street's truth as a tracker without any fault would tell it."""
    return Tracks(
        ids=np.array([actor.id for actor in actors], np.int64),
        classes=np.array([CLASSES.index(actor.name) for actor in actors], np.int64),
        scores=np.ones(len(actors), np.float32),
        boxes=np.array([actor.box for actor in actors], np.float32).reshape(-1, 4),
        ended=ended,
    )


def agreement(happened: list[Crossing], told: list[Crossing], from_s: float, to_s: float) -> Agreement:
    """Match each crossing with at most one event of its direction, the nearest in time first.

    Args:
        happened: crossings, also a little before `from_s` and after `to_s`.
        told: events.
        from_s: since when the camera watched, on the same clock.
        to_s: until when. The first and the last `TOLERANCE_S` do not count: a track takes a moment to be one.
    """
    near = sorted(
        (abs(told_s - real_s), i, j)
        for i, (real_s, real_way) in enumerate(happened)
        for j, (told_s, told_way) in enumerate(told)
        if real_way == told_way and abs(told_s - real_s) <= TOLERANCE_S
    )
    counted: set[int] = set()
    used: set[int] = set()
    for _, i, j in near:
        if i not in counted and j not in used:
            counted.add(i)
            used.add(j)
    first_s, last_s = from_s + TOLERANCE_S, to_s - TOLERANCE_S
    judged = {i for i, (at_s, _) in enumerate(happened) if first_s <= at_s <= last_s}
    return Agreement(len(judged), len(judged & counted), len(told) - len(used))
