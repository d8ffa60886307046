"""A line of two points: who crosses it, and which way."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import hypot
from typing import Final

import numpy as np

from device.firmware.geometry import Boxes, Points, bottom_centres, segments_cross
from device.firmware.rules.choice import follow_renames, of_classes, sighting, take_ended
from device.firmware.rules.happening import Direction, Happening
from device.firmware.tracks import Tracks
from ota.messages.structs import Severity

NEAR_WIDTHS: Final = 0.08
"""An object is clear of a line when it is this share of its width away."""
FAR_BANDS: Final = 4.0
"""After a crossing it must be so many times as far away before a way back is believed at once."""
SETTLE_S: Final = 1.5
"""Who has kept clear of the line for this long is believed to come back from nearer, too."""


@dataclass(slots=True)
class _Place:
    """Where an object stands to a line.

    Attributes:
        is_right: the side it stands on.
        point: where it was last clear of the line, x and y.
        is_settled: false from a crossing until it is far enough away not to tremble back over the line.
        near_s: when it was last near the line, or crossed it.
        has_crossed: whether a crossing of it has been told.
    """

    is_right: bool
    point: tuple[float, float]
    is_settled: bool = True
    near_s: float = 0.0
    has_crossed: bool = False


@dataclass(slots=True)
class LineRule:
    """A line of two points: notices who crosses it, and which way.

    `in` is from the left of the line to its right, seen along the line from its first to its second point.
    An object has crossed when its way, from where it was first seen, leads over the line and it is clear of
    it: a share of its own width away, because a detector trembles with the size of what it sees. Who crosses,
    comes back and crosses again counts three times; who only trembles on the line, or stops on it, once.

    Attributes:
        name: unique on its camera.
        start: shape (2,), 0..1.
        end: shape (2,), 0..1.
        classes: indices that count; empty means all.
        sev: severity of its events.
        band: half width of the band in which nobody is clear of the line, share of the picture.
        is_event: false when it only counts.
    """

    name: str
    start: Points
    end: Points
    classes: frozenset[int] = frozenset()
    sev: Severity = "low"
    band: float = 0.01
    is_event: bool = True
    _places: dict[int, _Place] = field(default_factory=dict)
    _start: tuple[float, float] = field(init=False)
    _along: tuple[float, float] = field(init=False)
    _length: float = field(init=False)

    def __post_init__(self) -> None:
        (x, y), (end_x, end_y) = self.start.tolist(), self.end.tolist()
        self._start, self._along = (x, y), (end_x - x, end_y - y)
        self._length = hypot(*self._along)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        return [
            Happening(
                "line-cross",
                self.name,
                self.sev,
                sighting(tracks, row),
                direction=direction,
                tally=direction,
                is_event=self.is_event,
            )
            for row, direction in self.crossings(tracks, mono_s)
        ]

    def crossings(self, tracks: Tracks, mono_s: float) -> list[tuple[int, Direction]]:
        """Return who has crossed with this frame, as row of the tracks and direction; see `Rule.apply`."""
        follow_renames(self._places, tracks, _joined)
        crossed: list[tuple[int, Direction]] = []
        for row, track, _, x, y, width in of_classes(tracks, self.classes):
            if track not in self._places and tracks.first_boxes is not None:
                self._stand(track, *_stand_of(tracks.first_boxes[row : row + 1]), mono_s)
            direction = self._stand(track, x, y, width, mono_s)
            if direction is not None:
                crossed.append((row, direction))
        take_ended(self._places, tracks)
        return crossed

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._places.clear()

    def _stand(self, track: int, x: float, y: float, width: float, mono_s: float) -> Direction | None:
        """Say where a track stands now; return its direction if that is on the other side."""
        cross = self._along[0] * (y - self._start[1]) - self._along[1] * (x - self._start[0])
        is_right, away = cross > 0, abs(cross) / self._length
        near = max(self.band, NEAR_WIDTHS * width)
        place = self._places.get(track)
        if place is None:
            if away >= self.band:
                self._places[track] = _Place(is_right, (x, y))
            return None
        if away < near:
            place.near_s = mono_s
        place.is_settled |= mono_s - place.near_s >= SETTLE_S
        if away < (near if place.is_settled else FAR_BANDS * near):
            return None
        before, has_flipped = place.point, place.is_right != is_right
        place.point, place.is_right = (x, y), is_right
        if has_flipped:
            place.near_s = mono_s
        place.is_settled = away >= FAR_BANDS * near or not has_flipped
        if has_flipped and segments_cross(np.array(before), np.array((x, y)), self.start, self.end):
            place.has_crossed = True
            return "in" if is_right else "out"
        return None


def _joined(old: _Place, new: _Place) -> _Place:
    """Return where an object stands that came back under another id: its old side, but never told twice."""
    return new if new.has_crossed else old


def _stand_of(box: Boxes) -> tuple[float, float, float]:
    """Return where an object stands (x, y) and how wide it is, of its box in an array of one."""
    (x, y), (width,) = bottom_centres(box)[0].tolist(), (box[:, 2] - box[:, 0]).tolist()
    return x, y, width
