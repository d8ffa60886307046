"""Wrong way: what moves against the direction that is right in a zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import cos, hypot, radians, sin
from typing import Final

from device.firmware.geometry import Points, Polygon
from device.firmware.rules.choice import follow_renames, of_classes, sighting, take_ended
from device.firmware.rules.happening import Happening
from device.firmware.tracks import Tracks
from ota.messages.structs import Severity

LEAST_TRAVEL: Final = 0.05
"""Share of the picture that must be gone backwards: boxes tremble."""
TRAVEL_WIDTHS: Final = 0.5
"""The same as a share of the object's own width; the larger of both counts."""
OUT_S: Final = 1.0
"""Who was outside for a shorter time was not: the box of a bus ends now in the zone and now below it."""
WIDEST_DEG: Final = 60.0
"""Going backwards is within this angle of the opposite direction; else it is going across."""


@dataclass(slots=True)
class _Way:
    """The farthest that an object got in the right direction: how far it went back is measured from there.

    `in_s` is when it was inside last.
    """

    at_s: float
    along: float
    across: float
    has_told: bool = False
    in_s: float = 0.0


@dataclass(slots=True)
class WrongWayRule:
    """A zone with a direction.

    An object is told when it went back from the farthest point that it had reached: at least half its own
    width (and a twentieth of the picture), for `hold_s`, and more backwards than across. It is told again
    only after it went the right way as far as that, or was out of the zone for `OUT_S`.

    Attributes:
        name: unique on its camera.
        polygon: shape (K, 2), 0..1.
        direction: the way that is right, as (x, y) in shares of the picture; any length but zero.
        classes: indices that count; empty means all.
        sev: severity of its events.
        hold_s: it must go backwards at least this long.
        is_event: false when it only counts.
        area: the polygon.
    """

    name: str
    polygon: Points
    direction: tuple[float, float]
    classes: frozenset[int] = frozenset()
    sev: Severity = "low"
    hold_s: float = 0.5
    is_event: bool = True
    area: Polygon = field(init=False)
    _unit: tuple[float, float] = field(init=False)
    _ways: dict[int, _Way] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.area = Polygon(self.polygon)
        length = hypot(*self.direction)
        self._unit = (self.direction[0] / length, self.direction[1] / length)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        follow_renames(self._ways, tracks)
        inside, happenings = tracks.inside(self.area), []
        for row, track, _, *stand in of_classes(tracks, self.classes):
            if inside[row]:
                if self._goes_back(track, stand, mono_s):
                    happenings.append(self._told(tracks, row))
                self._ways[track].in_s = mono_s
            elif track in self._ways and mono_s - self._ways[track].in_s >= OUT_S:
                del self._ways[track]
        take_ended(self._ways, tracks)
        return happenings

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._ways.clear()

    def _goes_back(self, track: int, stand: Sequence[float], mono_s: float) -> bool:
        """Follow one object (x, y, width); return whether it has just gone far enough the wrong way."""
        x, y, width = stand
        (ux, uy), far = self._unit, max(LEAST_TRAVEL, TRAVEL_WIDTHS * width)
        along, across = x * ux + y * uy, y * ux - x * uy
        way = self._ways.get(track)
        if way is None:
            self._ways[track] = _Way(mono_s, along, across)
            return False
        if way.has_told:
            # Now the farthest point back is kept, and the right way measured from it.
            way.along = min(way.along, along)
            if along - way.along >= far:
                self._ways[track] = _Way(mono_s, along, across)
            return False
        if along >= way.along:
            way.at_s, way.along, way.across = mono_s, along, across
            return False
        back = way.along - along
        is_backwards = back >= cos(radians(WIDEST_DEG)) * hypot(back, across - way.across)
        if back < far or mono_s - way.at_s < self.hold_s or not is_backwards:
            return False
        way.along, way.has_told = along, True
        return True

    def _told(self, tracks: Tracks, row: int) -> Happening:
        seen = sighting(tracks, row)
        return Happening("wrong-way", self.name, self.sev, seen, tally="wrong-way", is_event=self.is_event)


def arrow_of(direction: float | list[tuple[float, float]]) -> tuple[float, float]:
    """Return a direction as (x, y): from degrees clockwise (0 right, 90 down) or an arrow of two points."""
    if isinstance(direction, list):
        (from_x, from_y), (to_x, to_y) = direction
        return to_x - from_x, to_y - from_y
    return cos(radians(direction)), sin(radians(direction))
