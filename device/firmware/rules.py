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
NEAR_WIDTHS: Final = 0.08
"""An object is clear of a line when it is this share of its width away."""
FAR_BANDS: Final = 4.0
"""After a crossing it must be so many times as far away before a way back is believed at once."""
SETTLE_S: Final = 1.5
"""Who has kept clear of the line for this long is believed to come back from nearer, too."""


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
        is_right: the side it stands on.
        point: where it was last clear of the line, shape (2,).
        is_settled: false from a crossing until it is far enough away not to tremble back over the line.
        near_s: when it was last near the line, or crossed it.
    """

    is_right: bool
    point: Points
    is_settled: bool = True
    near_s: float = 0.0


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

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        happenings: list[Happening] = []
        for row in _of_classes(tracks, self.classes):
            direction = self._crossed(tracks, row, mono_s)
            if direction is not None:
                seen = _sighting(tracks, row)
                happenings.append(
                    Happening(
                        "line-cross", self.name, self.sev, seen, direction, None, direction, self.is_event
                    )
                )
        for track in tracks.ended:
            self._places.pop(track, None)
        return happenings

    def _crossed(self, tracks: Tracks, row: np.intp, mono_s: float) -> Direction | None:
        track = int(tracks.ids[row])
        if track not in self._places and tracks.first_boxes is not None:
            self._stand(track, tracks.first_boxes[row], mono_s)
        return self._stand(track, tracks.boxes[row], mono_s)

    def _stand(self, track: int, box: npt.NDArray[np.float32], mono_s: float) -> Direction | None:
        """Say where a track stands now; return its direction if that is on the other side."""
        foot = bottom_centres(box[None])
        distance = float(signed_distances(foot, self.start, self.end)[0])
        is_right, away = distance > 0, abs(distance)
        near = max(self.band, NEAR_WIDTHS * float(box[2] - box[0]))
        place = self._places.get(track)
        if place is None:
            if away >= self.band:
                self._places[track] = _Place(is_right, foot[0])
            return None
        if away < near:
            place.near_s = mono_s
        place.is_settled |= mono_s - place.near_s >= SETTLE_S
        if away < (near if place.is_settled else FAR_BANDS * near):
            return None
        before, has_flipped = place.point, place.is_right != is_right
        place.point, place.is_right = foot[0], is_right
        if has_flipped:
            place.near_s = mono_s
        place.is_settled = away >= FAR_BANDS * near or not has_flipped
        if has_flipped and segments_cross(before, foot[0], self.start, self.end):
            return "in" if is_right else "out"
        return None


def _of_classes(tracks: Tracks, classes: frozenset[int]) -> npt.NDArray[np.intp]:
    if not classes:
        return np.arange(len(tracks))
    return np.flatnonzero(np.isin(tracks.classes, list(classes)))


def _sighting(tracks: Tracks, row: int) -> Sighting:
    left, top, right, bottom = (float(side) for side in tracks.boxes[row])
    return Sighting(
        int(tracks.ids[row]), int(tracks.classes[row]), float(tracks.scores[row]), (left, top, right, bottom)
    )
