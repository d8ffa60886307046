"""Who is about: what tracked objects hide, and near whom a thing is not alone. Used by `left`.

Somebody who stands still is easily missed for a while (a still scene is looked at every few seconds, and a
detector misses now and then), so the standing are remembered for longer than those who walk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import hypot
from typing import Final

import numpy as np

from device.firmware.geometry import Boxes
from device.firmware.rules.choice import follow_renames
from device.firmware.tracks import Tracks
from device.models.labels import CLASSES

PERSON: Final = CLASSES.index("person")
STANDING_S: Final = 2.0
"""Who has not moved by half the own width for so long stands."""
WALKER_S: Final = 4.0
"""So long after it was seen last, one that moved is believed to be where it was."""
STANDER_S: Final = 6.0
"""The same for one that stood."""
NEAR_WALKER: Final = (1.2, 0.1)
"""Near to a walking person is within these shares of the own width on each side, and of the height below."""
NEAR_STANDER: Final = (2.5, 0.35)
"""The same for a standing one: the shadow stands there as well, and the feet are seen badly."""
DOUBT_S: Final = 4.0
"""A person who never moved at all for so long since they appeared is a thing that the detector mistakes."""
BEGINNING_S: Final = 10.0
"""Who was there at the beginning or so soon after may have come before: nobody doubts them."""
MOST: Final = 1000


@dataclass(slots=True)
class _Somebody:
    box: tuple[float, float, float, float]
    is_person: bool
    x: float
    y: float
    since_s: float
    last_s: float
    began_s: float
    has_moved: bool = False

    def is_mistaken(self) -> bool:
        return self.is_person and not self.has_moved and self.last_s - self.began_s >= DOUBT_S

    def stands(self) -> bool:
        return self.last_s - self.since_s >= STANDING_S

    def is_there(self, mono_s: float) -> bool:
        return mono_s - self.last_s <= (STANDER_S if self.stands() else WALKER_S)


@dataclass(slots=True)
class Attendance:
    """Everybody in view, and those who were there just now."""

    _known: dict[int, _Somebody] = field(default_factory=dict)
    _began_s: float | None = None

    def follow(self, tracks: Tracks, mono_s: float) -> None:
        """Take in a frame."""
        if self._began_s is None:
            self._began_s = mono_s
        follow_renames(self._known, tracks, _joined)
        ids, classes, boxes = tracks.ids.tolist(), tracks.classes.tolist(), tracks.boxes.tolist()
        for track, cls, (left, top, right, bottom) in zip(ids, classes, boxes, strict=True):
            x, box = (left + right) / 2, (left, top, right, bottom)
            known = self._known.get(track)
            if known is None:
                is_old = mono_s - self._began_s < BEGINNING_S
                self._known[track] = _Somebody(
                    box, cls == PERSON, x, bottom, mono_s, mono_s, mono_s, has_moved=is_old
                )
                continue
            known.box, known.last_s = box, mono_s
            if hypot(x - known.x, bottom - known.y) > (right - left) / 2:
                known.x, known.y, known.since_s, known.has_moved = x, bottom, mono_s, True
        for track in tracks.ended:
            if tracks.reasons.get(track) == "left-frame":
                self._known.pop(track, None)
        self._known = {t: known for t, known in self._known.items() if known.is_there(mono_s)}

    def everyone(self) -> Boxes:
        """Return the boxes of all who are there, shape (N, 4)."""
        return _boxes([known.box for known in self._known.values() if not known.is_mistaken()])

    def near_people(self) -> Boxes:
        """Return what is near to a person, as boxes of shape (N, 4) that may reach out of the picture."""
        near = []
        for known in self._known.values():
            if known.is_person and not known.is_mistaken():
                left, top, right, bottom = known.box
                across, down = NEAR_STANDER if known.stands() else NEAR_WALKER
                side, end = across * (right - left), down * (bottom - top)
                near.append((left - side, top, right + side, bottom + end))
        return _boxes(near)

    def forget(self) -> None:
        """Know nobody."""
        self._known.clear()
        self._began_s = None


def _joined(old: _Somebody, new: _Somebody) -> _Somebody:
    new.has_moved |= old.has_moved
    return new


def _boxes(rows: list[tuple[float, float, float, float]]) -> Boxes:
    return np.array(rows[:MOST], np.float32).reshape(-1, 4)
