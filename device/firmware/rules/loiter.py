"""Loitering: who stays about the same place for long, whatever it does there.

Unlike the dwell of a zone it forgives short absences, and it does not take somebody who walks through a large
zone slowly for a loiterer. A stay belongs to a place: when who passes a loiterer seems to stop there and the
loiterer to walk on, the tracker has taken one for the other, and the stay goes on where it was.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from math import hypot
from typing import Final

from device.firmware.geometry import Points, Polygon
from device.firmware.rules.choice import follow_renames, of_classes, sighting
from device.firmware.rules.happening import Happening
from device.firmware.tracks import Standing, Tracks
from ota.messages.structs import Severity

SAMPLES: Final = 24
"""How many points a stay is remembered by."""
PLACE_WIDTHS: Final = 1.0
"""Who is within this many of their own widths of a place is at it."""
MOVED_S: Final = 2.0
"""Who has been away from their place for so long has another."""
KEPT_S: Final = 1.2
"""A place that was kept to for a shorter time is one that somebody passed."""
SWAP_S: Final = 3.0
"""Who comes to a place about so long before or after another leaves it may be that other."""
Way = deque[tuple[float, float, float]]
"""Second, x and y of some points of a stay."""


@dataclass(slots=True)
class _Place:
    """Where one keeps to.

    Attributes:
        point: x and y.
        width: of who is there.
        came_s: since when.
        last_s: when they were last at it.
    """

    point: tuple[float, float]
    width: float
    came_s: float
    last_s: float

    def is_near(self, point: tuple[float, float]) -> bool:
        return hypot(point[0] - self.point[0], point[1] - self.point[1]) <= PLACE_WIDTHS * self.width


@dataclass(slots=True)
class _Stay:
    since_s: float
    last_in_s: float
    way: Way
    has_told: bool = False
    place: _Place | None = None
    point: tuple[float, float] = (0.0, 0.0)

    def stand(self, x: float, y: float, width: float, mono_s: float) -> _Place | None:
        """Note where one is now; return the place that was left with this, if one was."""
        self.point = (x, y)
        left = self.place
        if left is not None and left.is_near(self.point):
            left.last_s = mono_s
            return None
        if left is not None and mono_s - left.last_s < MOVED_S:
            return None
        self.place = _Place(self.point, width, mono_s, mono_s)
        return left

    def spread(self, from_s: float) -> float:
        """Return the radius of the circle around all places since a moment; a little more, never less."""
        while self.way and self.way[0][0] < from_s:
            self.way.popleft()
        xs, ys = [x for _, x, _ in self.way], [y for _, _, y in self.way]
        return hypot(max(xs) - min(xs), max(ys) - min(ys)) / 2.0 if xs else 0.0


@dataclass(slots=True)
class LoiterRule:
    """A zone in which nobody should stay about.

    Attributes:
        name: unique on its camera.
        polygon: shape (K, 2), 0..1.
        classes: indices that count; empty means all.
        sev: severity of its events.
        dwell_s: staying this long is told, once a stay.
        reach: radius of the circle in which one must have stayed meanwhile, share of the picture.
        grace_s: being outside (or unseen) for less than this does not end a stay.
        is_event: false when it only counts.
        area: the polygon.
    """

    name: str
    polygon: Points
    classes: frozenset[int] = frozenset()
    sev: Severity = "low"
    dwell_s: float = 30.0
    reach: float = 0.25
    grace_s: float = 3.0
    is_event: bool = True
    area: Polygon = field(init=False)
    _stays: dict[int, _Stay] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.area = Polygon(self.polygon)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        follow_renames(self._stays, tracks, _joined)
        chosen, inside = of_classes(tracks, self.classes), tracks.inside(self.area)
        self._stand(tracks, chosen, mono_s)
        happenings = []
        for row, track, _, x, y, _ in chosen:
            stay = self._stays.get(track)
            if not inside[row]:
                if stay is not None and mono_s - stay.last_in_s >= self.grace_s:
                    del self._stays[track]
                continue
            if stay is None:
                stay = self._stays[track] = _Stay(mono_s, mono_s, deque())
            if self._lingers(stay, x, y, mono_s):
                happenings.append(self._told(tracks, row, mono_s - stay.since_s))
        return happenings

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._stays.clear()

    def _stand(self, tracks: Tracks, chosen: list[Standing], mono_s: float) -> None:
        """Note where those who stay are; who seems to have left a place to another has not."""
        for _, track, _, x, y, width in chosen:
            stay = self._stays.get(track)
            left = stay.stand(x, y, width, mono_s) if stay is not None else None
            if stay is not None and left is not None and (other := self._who_is_at(left, track)):
                self._stays[other], self._stays[track] = _handed_over(stay, self._stays[other])
        for track in tracks.ended:
            gone = self._stays.pop(track, None)
            if gone is not None and gone.place is not None and (other := self._who_is_at(gone.place, track)):
                self._stays[other], _ = _handed_over(gone, self._stays[other])

    def _who_is_at(self, place: _Place, but: int) -> int | None:
        """Return the track that came to this place about when it was left, if it was kept to for a while."""
        if place.last_s - place.came_s < KEPT_S:
            return None
        for track, stay in self._stays.items():
            if track == but or stay.place is None or not place.is_near(stay.point):
                continue
            if abs(stay.place.came_s - place.last_s) <= SWAP_S:
                return track
        return None

    def _lingers(self, stay: _Stay, x: float, y: float, mono_s: float) -> bool:
        """Add a place to a stay; return whether it has just become one to tell."""
        stay.last_in_s = mono_s
        if stay.has_told:
            return False
        if not stay.way or mono_s - stay.way[-1][0] >= self.dwell_s / SAMPLES:
            stay.way.append((mono_s, x, y))
        is_long = mono_s - stay.since_s >= self.dwell_s
        stay.has_told = is_long and stay.spread(mono_s - self.dwell_s) <= self.reach
        return stay.has_told

    def _told(self, tracks: Tracks, row: int, duration_s: float) -> Happening:
        return Happening(
            "loitering",
            self.name,
            self.sev,
            sighting(tracks, row),
            duration_s=duration_s,
            tally="loitering",
            is_event=self.is_event,
        )


def _handed_over(leaving: _Stay, staying: _Stay) -> tuple[_Stay, _Stay]:
    """Return the stays of who is at the place now and of who walks on, when one was taken for the other."""
    walks = replace(leaving, since_s=staying.since_s, way=staying.way, has_told=staying.has_told)
    return _joined(leaving, staying), walks


def _joined(old: _Stay, new: _Stay) -> _Stay:
    way = _merged(old.way, new.way)
    return replace(new, since_s=old.since_s, way=way, has_told=old.has_told or new.has_told)


def _merged(old: Way, new: Way) -> Way:
    """Return both ways in the order of time, the latest points of them."""
    return deque(sorted([*old, *new])[-2 * SAMPLES :])
