"""Speed on the ground, in metres per second, and who is too fast.

The way of an object's bottom centre is taken to metres by four measured points (`ground.py`); its speed is
the Theil-Sen slope of that way over a window, for each axis: the median of the slopes between all pairs of
points, which up to about 29 % of wrong points do not move. Source: P. K. Sen, "Estimates of the regression
coefficient based on Kendall's tau", Journal of the American Statistical Association 63, 1968.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import hypot
from typing import Final

import numpy as np

from device.firmware.geometry import Boxes, Points, Polygon
from device.firmware.rules.choice import follow_renames, of_classes, sighting, take_ended
from device.firmware.rules.ground import Ground
from device.firmware.rules.happening import Happening
from device.firmware.tracks import Tracks
from ota.messages.structs import Severity

WINDOW_S: Final = 1.5
SHORTEST: Final = ((0.5, 5), (0.8, 3))
"""A way must be seen at least so many seconds, in at least so many places: either will do."""
LONGEST_GAP_S: Final = 1.5
STEP_S: Final = 0.05
"""Places nearer in time than this are left out: a window holds at most 31."""
REPEAT_S: Final = 0.2
"""An object is told when it was too fast twice, so far apart."""
WORTH: Final = 0.8
"""Whose ends of the way are slower than this share of the limit needs no exact look."""
EDGE: Final = 0.004
"""A box nearer to the picture's edge than this is cut off: its bottom centre is not where it stands."""


@dataclass(slots=True)
class _Way:
    """Where an object was (time, x and y in metres), and how fast it was when it was first too fast."""

    places: deque[tuple[float, float, float]]
    fast: tuple[float, float] | None = None
    has_told: bool = False


@dataclass(slots=True)
class SpeedRule:
    """A measured piece of road with a limit; each object is told once.

    Attributes:
        name: unique on its camera.
        corners: shape (4, 2), 0..1; speed is measured between them.
        metres: shape (4, 2), where the corners lie on the ground.
        limit_mps: faster than this is told, metres per second.
        classes: indices that count; empty means all.
        sev: severity of its events.
        is_event: false when it only counts.
        area: the polygon.
    """

    name: str
    corners: Points
    metres: Points
    limit_mps: float
    classes: frozenset[int] = frozenset()
    sev: Severity = "low"
    is_event: bool = True
    area: Polygon = field(init=False)
    _ground: Ground = field(init=False)
    _ways: dict[int, _Way] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.area = Polygon(self.corners)
        self._ground = Ground(self.corners, self.metres)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        follow_renames(self._ways, tracks)
        inside, whole = tracks.inside(self.area), _is_whole(tracks.boxes).tolist()
        places = self._ground.metres(tracks.feet).tolist()
        happenings = []
        for row, track, *_ in of_classes(tracks, self.classes):
            if inside[row] and whole[row]:
                way = self._ways.get(track)
                if way is None:
                    way = self._ways[track] = _Way(deque())
                speed_mps = self._too_fast(way, (mono_s, *places[row]))
                if speed_mps is not None:
                    happenings.append(self._told(tracks, row, speed_mps))
        take_ended(self._ways, tracks)
        return happenings

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._ways.clear()

    def speed_of(self, track: int) -> float | None:
        """Return how fast a track was when it was seen last, metres per second; None if that is not known."""
        way = self._ways.get(track)
        return None if way is None or not _is_long(way.places) else speed_along(list(way.places))

    def _too_fast(self, way: _Way, place: tuple[float, float, float]) -> float | None:
        """Add a place to a way; return its speed if it has just become one to tell."""
        places, now_s = way.places, place[0]
        if places and now_s - places[-1][0] > LONGEST_GAP_S:
            places.clear()
        if not places or now_s - places[-1][0] >= STEP_S:
            places.append(place)
        while now_s - places[0][0] > WINDOW_S and len(places) > 3:
            places.popleft()
        if way.has_told or not _is_long(places) or _end_speed(places) < WORTH * self.limit_mps:
            return None
        if way.fast is not None and now_s - way.fast[0] < REPEAT_S:
            return None
        speed_mps = speed_along(list(places))
        if speed_mps <= self.limit_mps:
            way.fast = None
            return None
        if way.fast is None:
            way.fast = (now_s, speed_mps)
            return None
        way.has_told = True
        return (speed_mps + way.fast[1]) / 2.0

    def _told(self, tracks: Tracks, row: int, speed_mps: float) -> Happening:
        return Happening(
            "speeding",
            self.name,
            self.sev,
            sighting(tracks, row),
            tally="speeding",
            is_event=self.is_event,
            speed_mps=speed_mps,
        )


def speed_along(places: list[tuple[float, float, float]]) -> float:
    """Return the speed of a way, metres per second, by the Theil-Sen slope of each axis.

    Args:
        places: (seconds, x in metres, y in metres), times rising, at least two.
    """
    way = np.array(places)
    first, second = np.triu_indices(len(way), k=1)
    passed = way[second] - way[first]
    slope_x, slope_y = np.median(passed[:, 1:] / passed[:, :1], axis=0).tolist()
    return hypot(slope_x, slope_y)


def _is_long(places: deque[tuple[float, float, float]]) -> bool:
    seen_s = places[-1][0] - places[0][0]
    return any(seen_s >= least_s and len(places) >= least for least_s, least in SHORTEST)


def _end_speed(places: deque[tuple[float, float, float]]) -> float:
    (from_s, from_x, from_y), (to_s, to_x, to_y) = places[0], places[-1]
    return hypot(to_x - from_x, to_y - from_y) / (to_s - from_s)


def _is_whole(boxes: Boxes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    whole: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
        (boxes[:, 0] > EDGE) & (boxes[:, 2] < 1.0 - EDGE) & (boxes[:, 3] < 1.0 - EDGE)
    )
    return whole
