"""A polygon: who enters, who leaves, who stays, and how many are inside."""

from __future__ import annotations

from dataclasses import dataclass, field

from device.firmware.geometry import Points, Polygon
from device.firmware.rules.choice import follow_renames, of_classes, sighting, take_ended
from device.firmware.rules.happening import Happening
from device.firmware.tracks import Tracks
from ota.messages.structs import Severity


@dataclass(slots=True)
class _Stay:
    """One object at one zone; `seen` is where it was inside last: the tracks of that frame and its row."""

    seen: tuple[Tracks, int]
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
        area: the polygon.
    """

    name: str
    polygon: Points
    classes: frozenset[int] = frozenset()
    sev: Severity = "low"
    dwell_s: float | None = None
    settle_s: float = 0.4
    is_event: bool = True
    area: Polygon = field(init=False)
    _stays: dict[int, _Stay] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.area = Polygon(self.polygon)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        follow_renames(self._stays, tracks, _joined)
        inside = tracks.inside(self.area)
        happenings: list[Happening] = []
        for row, track, *_ in of_classes(tracks, self.classes):
            stay = self._stays.get(track)
            if not inside[row]:
                if stay is not None:
                    happenings += self._noticed_outside(stay, tracks, row, mono_s)
                continue
            if stay is None:
                stay = self._stays[track] = _Stay((tracks, row), since_s=mono_s, last_in_s=mono_s)
            stay.seen, stay.last_in_s = (tracks, row), mono_s
            if not stay.is_inside or (self.dwell_s is not None and not stay.has_dwelt):
                happenings += self._noticed_inside(stay, mono_s)
        happenings += [self._exit(stay) for stay in take_ended(self._stays, tracks) if stay.is_inside]
        return happenings

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._stays.clear()

    def occupancy(self) -> dict[int, int]:
        """Return how many of each class are inside now: class index -> count."""
        counts: dict[int, int] = {}
        for stay in self._stays.values():
            if stay.is_inside:
                cls = int(stay.seen[0].classes[stay.seen[1]])
                counts[cls] = counts.get(cls, 0) + 1
        return counts

    def _noticed_inside(self, stay: _Stay, mono_s: float) -> list[Happening]:
        """Return what comes true by being inside for as long as now: that it counts, that it dwells."""
        inside_s, happenings = mono_s - stay.since_s, []
        if not stay.is_inside and inside_s >= self.settle_s:
            stay.is_inside = True
            happenings.append(self._made("zone-enter", stay, tally="enter"))
        if self.dwell_s is not None and not stay.has_dwelt and inside_s >= self.dwell_s:
            stay.has_dwelt = True
            happenings.append(self._made("dwell", stay, duration_s=inside_s))
        return happenings

    def _noticed_outside(self, stay: _Stay, tracks: Tracks, row: int, mono_s: float) -> list[Happening]:
        """Return what comes true by being outside for as long as now."""
        stay.seen = (tracks, row)
        if mono_s - stay.last_in_s < self.settle_s:
            return []
        del self._stays[int(tracks.ids[row])]
        return [self._exit(stay)] if stay.is_inside else []

    def _exit(self, stay: _Stay) -> Happening:
        return self._made("zone-exit", stay, duration_s=stay.last_in_s - stay.since_s, tally="exit")

    def _made(self, kind: str, stay: _Stay, *, duration_s: float | None = None, tally: str = "") -> Happening:
        seen = sighting(*stay.seen)
        return Happening(
            kind, self.name, self.sev, seen, duration_s=duration_s, tally=tally, is_event=self.is_event
        )


def _joined(old: _Stay, new: _Stay) -> _Stay:
    """Return the stay of an object that came back under another id: it never left."""
    return _Stay(
        new.seen, old.since_s, new.last_in_s, old.is_inside or new.is_inside, old.has_dwelt or new.has_dwelt
    )
