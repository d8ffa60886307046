"""Stopped: a vehicle that stands where it should not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from device.firmware.geometry import Points, Polygon
from device.firmware.rules.choice import sighting
from device.firmware.rules.happening import Happening
from device.firmware.rules.standing import Stand, Standers
from device.firmware.tracks import Tracks
from device.models.labels import CLASSES
from ota.messages.structs import Severity

BORDER: Final = 0.05
"""The box of a large vehicle ends so many of its heights below its wheels, in its shadow."""
VEHICLES: Final = frozenset(CLASSES.index(name) for name in ("motorcycle", "car", "bus", "truck"))


@dataclass(slots=True)
class StoppedRule:
    """A zone in which nothing should stand; told once for each time that something stands there.

    Attributes:
        name: unique on its camera.
        polygon: shape (K, 2), 0..1.
        classes: indices that count; empty means the vehicles.
        sev: severity of its events.
        dwell_s: standing this long is told.
        is_event: false when it only counts.
        area: the polygon.
    """

    name: str
    polygon: Points
    classes: frozenset[int] = frozenset()
    sev: Severity = "low"
    dwell_s: float = 15.0
    is_event: bool = True
    area: Polygon = field(init=False)
    _standers: Standers = field(init=False)

    def __post_init__(self) -> None:
        self.area = Polygon(self.polygon)
        self._standers = Standers(self.area, self.classes or VEHICLES, border=BORDER)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        self._standers.follow(tracks, mono_s)
        happenings = []
        for stand in self._standers.by_track.values():
            # Only who is seen at its place now: a hidden one may have driven off.
            if stand.home_s == mono_s and not stand.has_told and mono_s - stand.since_s >= self.dwell_s:
                stand.has_told = True
                happenings.append(self._told(stand, mono_s))
        self._standers.end(tracks, mono_s)
        return happenings

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._standers.forget()

    def _told(self, stand: Stand, mono_s: float) -> Happening:
        return Happening(
            "stopped",
            self.name,
            self.sev,
            sighting(*stand.seen),
            duration_s=mono_s - stand.since_s,
            tally="stopped",
            is_event=self.is_event,
        )
