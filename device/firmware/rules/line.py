"""A line of two points: who crosses it, and which way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from device.firmware.geometry import Points, bottom_centres, segments_cross, signed_distances
from device.firmware.rules.choice import of_classes, sighting
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
        for row in of_classes(tracks, self.classes):
            direction = self._crossed(tracks, row, mono_s)
            if direction is not None:
                seen = sighting(tracks, row)
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
