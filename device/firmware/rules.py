"""Rules: what a camera is told to notice, applied to tracks.

A rule turns tracks into happenings (an object entered, left, stayed, crossed) and counts. Durations come
from the monotonic stamps of the frames, so a changing frame rate or a jumping clock changes nothing. Rules
read no clock, no pixel and no configuration file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from device.firmware.geometry import Points, bottom_centres, inside_polygon, segments_cross, signed_distances
from device.firmware.tracks import Tracks
from ota.messages.structs import Severity

Direction = Literal["in", "out"]
REARM_BANDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One tracked object at the moment of a happening.

    Attributes:
        track: the track's id.
        cls: index into `device.models.labels.CLASSES`.
        conf: score, 0..1.
        box: left, top, right, bottom in 0..1.
    """

    track: int
    cls: int
    conf: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Happening:
    """A rule that came true.

    Attributes:
        kind: `zone-enter zone-exit dwell line-cross`.
        rule: name of the rule.
        sev: severity that the rule was given.
        seen: the object.
        direction: of a crossing.
        duration_s: how long the object has been inside, for `dwell` and `zone-exit`.
        tally: word under which it is counted (`in out enter exit`), or empty.
        is_event: false when the rule only counts.
    """

    kind: str
    rule: str
    sev: Severity
    seen: Sighting
    direction: Direction | None = None
    duration_s: float | None = None
    tally: str = ""
    is_event: bool = True


class Rule(Protocol):
    """What the pipeline needs of a rule."""

    name: str

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """Return what came true with this frame; called once a looked-at frame, in order of time."""
        ...


@dataclass(slots=True)
class _Stay:
    """One object at one zone."""

    seen: Sighting
    since_s: float
    last_in_s: float
    is_inside: bool = False
    has_dwelt: bool = False


@dataclass(slots=True)
class ZoneRule:
    """A polygon: notices who enters, who leaves and who stays.

    Attributes:
        name: unique on its camera.
        polygon: shape (K, 2), 0..1.
        classes: indices that count; empty means all.
        sev: severity of its events.
        dwell_s: staying this long makes a `dwell` event, once a stay; None for never.
        settle_s: how long an object must be inside (or outside) before it counts, against flicker.
        is_event: false when it only counts.
    """

    name: str
    polygon: Points
    classes: frozenset[int] = frozenset()
    sev: Severity = "low"
    dwell_s: float | None = None
    settle_s: float = 0.4
    is_event: bool = True
    _stays: dict[int, _Stay] = field(default_factory=dict)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        chosen = _of_classes(tracks, self.classes)
        inside = inside_polygon(bottom_centres(tracks.boxes[chosen]), self.polygon)
        happenings: list[Happening] = []
        for row, is_in in zip(chosen, inside, strict=True):
            track = int(tracks.ids[row])
            if is_in:
                happenings += self._noticed_inside(_sighting(tracks, row), mono_s)
            elif track in self._stays:
                happenings += self._noticed_outside(track, mono_s)
        for track in tracks.ended:
            stay = self._stays.pop(track, None)
            if stay is not None and stay.is_inside:
                happenings.append(self._exit(stay))
        return happenings

    def occupancy(self) -> dict[int, int]:
        """Return how many of each class are inside now: class index -> count."""
        counts: dict[int, int] = {}
        for stay in self._stays.values():
            if stay.is_inside:
                counts[stay.seen.cls] = counts.get(stay.seen.cls, 0) + 1
        return counts

    def _noticed_inside(self, seen: Sighting, mono_s: float) -> list[Happening]:
        stay = self._stays.setdefault(seen.track, _Stay(seen, since_s=mono_s, last_in_s=mono_s))
        stay.seen, stay.last_in_s = seen, mono_s
        inside_s = mono_s - stay.since_s
        happenings = []
        if not stay.is_inside and inside_s >= self.settle_s:
            stay.is_inside = True
            happenings.append(self._made("zone-enter", seen, tally="enter"))
        if self.dwell_s is not None and not stay.has_dwelt and inside_s >= self.dwell_s:
            stay.has_dwelt = True
            happenings.append(self._made("dwell", seen, duration_s=inside_s))
        return happenings

    def _noticed_outside(self, track: int, mono_s: float) -> list[Happening]:
        stay = self._stays[track]
        if mono_s - stay.last_in_s < self.settle_s:
            return []
        del self._stays[track]
        return [self._exit(stay)] if stay.is_inside else []

    def _exit(self, stay: _Stay) -> Happening:
        return self._made("zone-exit", stay.seen, duration_s=stay.last_in_s - stay.since_s, tally="exit")

    def _made(
        self, kind: str, seen: Sighting, *, duration_s: float | None = None, tally: str = ""
    ) -> Happening:
        return Happening(
            kind, self.name, self.sev, seen, duration_s=duration_s, tally=tally, is_event=self.is_event
        )


@dataclass(slots=True)
class _Place:
    """Where an object stands to a line.

    Attributes:
        is_right: the side it last stood on, outside the band.
        point: where that was, shape (2,).
        counted_right: the side that its counted crossings have brought it to.
        is_armed: false from a crossing until it is `REARM_BANDS` away: nearer than that it trembles.
    """

    is_right: bool
    point: Points
    counted_right: bool
    is_armed: bool = True


@dataclass(slots=True)
class LineRule:
    """A line of two points: notices who crosses it, and which way.

    `in` is from the left of the line to its right, seen along the line from its first to its second point.
    An object counts once per direction; it must leave a band around the line to have crossed it, so a car
    that stops on the line counts once.

    Attributes:
        name: unique on its camera.
        start: shape (2,), 0..1.
        end: shape (2,), 0..1.
        classes: indices that count; empty means all.
        sev: severity of its events.
        band: half width of the band, share of the picture.
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
    _counted: dict[int, set[Direction]] = field(default_factory=dict)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`; the time plays no part."""
        del mono_s
        chosen = _of_classes(tracks, self.classes)
        feet = bottom_centres(tracks.boxes[chosen])
        distances = signed_distances(feet, self.start, self.end)
        happenings: list[Happening] = []
        for row, foot, distance in zip(chosen, feet, distances, strict=True):
            if abs(distance) < self.band:
                continue
            direction = self._crossed(int(tracks.ids[row]), foot, float(distance))
            if direction is not None:
                seen = _sighting(tracks, row)
                happenings.append(
                    Happening(
                        "line-cross", self.name, self.sev, seen, direction, None, direction, self.is_event
                    )
                )
        for track in tracks.ended:
            self._places.pop(track, None)
            self._counted.pop(track, None)
        return happenings

    def _crossed(self, track: int, foot: Points, distance: float) -> Direction | None:
        is_right, is_clear = distance > 0, abs(distance) >= REARM_BANDS * self.band
        place = self._places.get(track)
        if place is None:
            self._places[track] = _Place(is_right, foot, counted_right=is_right)
            return None
        has_flipped, before = place.is_right != is_right, place.point
        place.is_right, place.point = is_right, foot
        if place.is_armed:
            if has_flipped and segments_cross(before, foot, self.start, self.end):
                place.is_armed, place.counted_right = is_clear, is_right
                return self._once(track, "in" if is_right else "out")
            return None
        place.is_armed = is_clear
        if is_clear and place.counted_right != is_right:
            # It turned round close to the line: the way back counts when it is clearly back.
            place.counted_right = is_right
            return self._once(track, "in" if is_right else "out")
        return None

    def _once(self, track: int, direction: Direction) -> Direction | None:
        counted = self._counted.setdefault(track, set())
        if direction in counted:
            return None
        counted.add(direction)
        return direction


def _of_classes(tracks: Tracks, classes: frozenset[int]) -> npt.NDArray[np.intp]:
    if not classes:
        return np.arange(len(tracks))
    return np.flatnonzero(np.isin(tracks.classes, list(classes)))


def _sighting(tracks: Tracks, row: int) -> Sighting:
    left, top, right, bottom = (float(side) for side in tracks.boxes[row])
    return Sighting(
        int(tracks.ids[row]), int(tracks.classes[row]), float(tracks.scores[row]), (left, top, right, bottom)
    )
