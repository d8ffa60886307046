"""A crowd: so many in a zone at the same time, for a while; and how many are there now."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from device.firmware.geometry import Points, Polygon
from device.firmware.rules.gathering import UNSEEN_S, Gathering
from device.firmware.rules.happening import NO_TRACK, Happening, Sighting
from device.firmware.tracks import Tracks
from ota.messages.structs import Severity


@dataclass(slots=True)
class CrowdRule:
    """A zone in which not too many should be.

    It is told once when there have been `least` of them for `hold_s`, and can be told again only after there
    were fewer for as long. One missing for less than a second does not count as fewer.

    Attributes:
        name: unique on its camera.
        polygon: shape (K, 2), 0..1.
        classes: indices that count; empty means all.
        sev: severity of its events.
        least: so many are a crowd.
        hold_s: for so long.
        is_event: false when it only counts.
        area: the polygon.
    """

    name: str
    polygon: Points
    classes: frozenset[int] = frozenset()
    sev: Severity = "low"
    least: int = 5
    hold_s: float = 3.0
    is_event: bool = True
    area: Polygon = field(init=False)
    _gathering: Gathering = field(init=False)
    _crowd_since_s: float | None = None
    _fewer_since_s: float | None = None
    _has_told: bool = False

    def __post_init__(self) -> None:
        self.area = Polygon(self.polygon)
        self._gathering = Gathering(self.area, self.classes)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        self._gathering.follow(tracks, mono_s)
        if len(self._gathering) < self.least:
            self._thin_out(mono_s)
            return []
        self._fewer_since_s = None
        if self._crowd_since_s is None:
            self._crowd_since_s = mono_s
        lasted_s = mono_s - self._crowd_since_s
        if self._has_told or lasted_s < self.hold_s or not (inside := self._gathering.seen()):
            return []
        self._has_told = True
        return [self._told(tracks, inside, lasted_s)]

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._gathering.forget()
        self._crowd_since_s, self._fewer_since_s, self._has_told = None, None, False

    def occupancy(self) -> dict[int, int]:
        """Return how many of each class are inside now: class index -> count."""
        return self._gathering.occupancy()

    def _thin_out(self, mono_s: float) -> None:
        """Note that they are fewer; a crowd is over when that lasts."""
        if self._fewer_since_s is None:
            self._fewer_since_s = mono_s
        fewer_s = mono_s - self._fewer_since_s
        if fewer_s >= min(UNSEEN_S, self.hold_s) and not self._has_told:
            self._crowd_since_s = None
        if fewer_s >= self.hold_s:
            self._crowd_since_s, self._has_told = None, False

    def _told(self, tracks: Tracks, inside: list[int], lasted_s: float) -> Happening:
        boxes = tracks.boxes[inside]
        left, top = boxes[:, :2].min(axis=0).tolist()
        right, bottom = boxes[:, 2:].max(axis=0).tolist()
        cls = int(np.bincount(tracks.classes[inside]).argmax())
        conf = float(tracks.scores[inside].mean())
        return Happening(
            "crowd",
            self.name,
            self.sev,
            Sighting(NO_TRACK, cls, conf, (left, top, right, bottom)),
            duration_s=lasted_s,
            tally="crowd",
            is_event=self.is_event,
            number=len(self._gathering),
        )
