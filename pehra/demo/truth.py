"""What really crossed the line of the simulated street, and how many of these crossings the cameras told.

The truth knows no tracker and no rule: an actor crosses when the middle of its lower edge passes the line;
who is out of sight for longer than `HIDDEN_S` is somebody new. Nothing is painted, and nothing of this
reaches a camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from device.firmware.geometry import Points, bottom_centres, segments_cross, signed_distances
from hardware.camera.street import Actor, Street

TOLERANCE_S: Final = 1.5
"""An event this far from a crossing may still tell of it."""
CLEAR: Final = 0.01
"""An actor has crossed when the middle of its lower edge is this far beyond the line, 0..1."""
HIDDEN_S: Final = 1.5
"""A tracker cannot know anybody again who was hidden for longer (`TrackerSettings.lost_s`)."""


class Crossing(NamedTuple):
    """One crossing of a line.

    Attributes:
        at_s: when, in seconds of whatever clock.
        direction: `in` or `out`.
        who: number of the actor, or of the track that told it.
    """

    at_s: float
    direction: str
    who: int = 0


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
        self._start, self._end = np.array(points[0]), np.array(points[1])
        self._looked = 0
        self._seen_s: dict[int, float] = {}
        self._stood: dict[int, Points] = {}
        self.crossings: list[Crossing] = []

    def look_until(self, moment_s: float) -> None:
        """Go on to a moment, in seconds since `start_s`; `crossings` then has all up to it."""
        while self._looked / self._fps <= moment_s:
            at_s = self._looked / self._fps
            actors = self._street.truth(self._start_s + at_s)
            for actor in actors:
                if at_s - self._seen_s.get(actor.id, at_s) > HIDDEN_S:
                    self._stood.pop(actor.id, None)
                self._seen_s[actor.id] = at_s
                self._look_at(actor, at_s)
            self._looked += 1

    def _look_at(self, actor: Actor, at_s: float) -> None:
        foot = bottom_centres(np.array([actor.box]))[0]
        distance, before = self._distance(foot), self._stood.get(actor.id)
        if abs(distance) < CLEAR:
            return
        self._stood[actor.id] = foot
        if before is None or (self._distance(before) > 0) == (distance > 0):
            return
        if segments_cross(before, foot, self._start, self._end):
            self.crossings.append(Crossing(at_s, "in" if distance > 0 else "out", actor.id))

    def _distance(self, foot: Points) -> float:
        return float(signed_distances(foot[None], self._start, self._end)[0])


def matches(happened: list[Crossing], told: list[Crossing]) -> dict[int, int]:
    """Match each crossing with at most one event of its direction, the nearest in time first.

    Returns:
        Place in `happened` -> place in `told`.
    """
    near = sorted(
        (abs(event.at_s - real.at_s), i, j)
        for i, real in enumerate(happened)
        for j, event in enumerate(told)
        if real.direction == event.direction and abs(event.at_s - real.at_s) <= TOLERANCE_S
    )
    event_of: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in near:
        if i not in event_of and j not in used:
            event_of[i] = j
            used.add(j)
    return event_of


def agreement(happened: list[Crossing], told: list[Crossing], from_s: float, to_s: float) -> Agreement:
    """Compare what happened with what was told.

    Args:
        happened: crossings, also a little before `from_s` and after `to_s`.
        told: events.
        from_s: since when the camera watched, on the same clock.
        to_s: until when. What happened in the first and the last `TOLERANCE_S` is not judged: a track takes
            a moment to be one.
    """
    event_of = matches(happened, told)
    first_s, last_s = from_s + TOLERANCE_S, to_s - TOLERANCE_S
    judged = {i for i, real in enumerate(happened) if first_s <= real.at_s <= last_s}
    return Agreement(len(judged), len(judged & event_of.keys()), len(told) - len(event_of))
