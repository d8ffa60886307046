"""A polygon: who enters, who leaves, who stays, and how many are inside."""

from __future__ import annotations

from dataclasses import dataclass, field

from device.firmware.geometry import Points, bottom_centres, inside_polygon
from device.firmware.rules.choice import of_classes, sighting
from device.firmware.rules.happening import Happening, Sighting
from device.firmware.tracks import Tracks
from ota.messages.structs import Severity


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
        chosen = of_classes(tracks, self.classes)
        inside = inside_polygon(bottom_centres(tracks.boxes[chosen]), self.polygon)
        happenings: list[Happening] = []
        for row, is_in in zip(chosen, inside, strict=True):
            track = int(tracks.ids[row])
            if is_in:
                happenings += self._noticed_inside(sighting(tracks, row), mono_s)
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
