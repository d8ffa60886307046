"""Left and removed: a thing that stays although nobody is near it, and one that is not there any more.

Things that the model has a class for are followed as tracks. For the others there is a learnt background of
the picture (`background.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from device.firmware.geometry import Box, Boxes, Points, Polygon, bottom_centres, overlaps
from device.firmware.rules.attending import PERSON, Attendance
from device.firmware.rules.background import Background, Change
from device.firmware.rules.choice import sighting
from device.firmware.rules.happening import A_THING, NO_TRACK, Happening, Sighting, Small
from device.firmware.rules.standing import Stand, Standers
from device.firmware.tracks import Tracks
from device.models.labels import CLASSES
from ota.messages.structs import Severity

ALL_BUT_PEOPLE: Final = frozenset(range(len(CLASSES))) - {PERSON}
THERE_BEFORE_S: Final = 10.0
"""What stands when the rule begins, or is found so soon after, was there before."""
LONGEST_STEP_S: Final = 5.0
MISSED_S: Final = 2.0
"""A thing that was not found for so long is not known to be there: its time alone stands still."""
SETTLED_S: Final = 1.0
"""What has stood shorter than this may be moving: it is not asked yet who is near."""
NOBODY: Final = np.empty((0, 4), np.float32)
SAME_THING: Final = 0.3
"""A change of the picture that overlaps a tracked thing more than this is that thing."""
HELD_PERSON: Final = 0.75
"""A change that holds this share of where somebody was lost is them: who stands still is missed often."""


@dataclass(slots=True)
class LeftRule:
    """A zone in which nothing should be left, and from which nothing should be taken.

    Attributes:
        name: unique on its camera.
        polygon: shape (K, 2), 0..1.
        classes: indices of the things that are followed as tracks; empty means all but people.
        sev: severity of its events.
        dwell_s: a thing must stand so long with nobody near.
        is_looking: also look for things that the model has no class for.
        is_event: false when it only counts.
        area: the polygon.
    """

    name: str
    polygon: Points
    classes: frozenset[int] = frozenset()
    sev: Severity = "low"
    dwell_s: float = 30.0
    is_looking: bool = True
    is_event: bool = True
    area: Polygon = field(init=False)
    _standers: Standers = field(init=False)
    _background: Background = field(init=False)
    _about: Attendance = field(default_factory=Attendance)
    _began_s: float | None = None
    _last_s: float = 0.0

    def __post_init__(self) -> None:
        self.area = Polygon(self.polygon)
        self._standers = Standers(self.area, self.classes or ALL_BUT_PEOPLE)
        self._background = Background(self.dwell_s, self._is_ours)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        if self._began_s is None:
            self._began_s = self._last_s = mono_s
        step_s = min(max(0.0, mono_s - self._last_s), LONGEST_STEP_S)
        self._last_s = mono_s
        self._about.follow(tracks, mono_s)
        gone = self._standers.follow(tracks, mono_s)
        standing = self._standers.by_track.values()
        near = self._about.near_people() if standing else NOBODY
        left = [stand for stand in standing if self._is_left(stand, near, mono_s, step_s)]
        gone += self._standers.end(tracks, mono_s)
        removed = [stand for stand in gone if self._was_a_thing(stand)]
        return [self._of_track("object-left", stand, mono_s) for stand in left] + [
            self._of_track("object-removed", stand, mono_s) for stand in removed
        ]

    def watch_small(self, small: Small, mono_s: float) -> list[Happening]:
        """See `Watcher.watch_small`."""
        if not self.is_looking or self._began_s is None:
            return []
        changes = self._background.watch(small, self._about.everyone(), self._about.near_people(), mono_s)
        return [self._of_change(change) for change in changes]

    def forget(self) -> None:
        """See `Rule.forget`; the background is learnt anew, too."""
        self._standers.forget()
        self._background.forget()
        self._about.forget()
        self._began_s = None

    def _is_left(self, stand: Stand, near: Boxes, mono_s: float, step_s: float) -> bool:
        """Let a thing be alone a little longer; return whether it has just become one to tell."""
        if stand.has_told or mono_s - stand.home_s > MISSED_S:
            return False
        if stand.first_s - (self._began_s or 0.0) <= THERE_BEFORE_S and stand.first_s == stand.since_s:
            stand.has_told = True  # it is known, and not news
            return False
        if mono_s - stand.since_s >= SETTLED_S and not _is_attended(stand, near):
            stand.alone_s += step_s
        stand.has_told = stand.alone_s >= self.dwell_s and stand.home_s == mono_s
        return stand.has_told

    def _was_a_thing(self, stand: Stand) -> bool:
        """Whether what has gone was told, or had stood there before for long enough."""
        return stand.has_told and stand.home_s - stand.since_s >= self.dwell_s

    def _is_ours(self, box: Box) -> bool:
        """Whether a change of the picture lies in the zone and is nothing that is or was followed."""
        boxes = np.array([box], np.float32)
        # Its shadow is a part of it and may fall out of the zone: the middle is asked as well.
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2.0
        if not self.area.holds(np.vstack([bottom_centres(boxes), middle])).any():
            return False
        if bool((_held_share(self._about.missed(), boxes[0]) > HELD_PERSON).any()):
            return False
        return float(overlaps(boxes, self._about.everyone()).max(initial=0.0)) <= SAME_THING

    def _of_track(self, kind: str, stand: Stand, mono_s: float) -> Happening:
        lasted_s = mono_s - stand.since_s
        return self._made(kind, sighting(*stand.seen), lasted_s)

    def _of_change(self, change: Change) -> Happening:
        kind = "object-left" if change.is_left else "object-removed"
        return self._made(kind, Sighting(NO_TRACK, A_THING, 1.0, change.box), change.age_s)

    def _made(self, kind: str, seen: Sighting, lasted_s: float) -> Happening:
        return Happening(
            kind, self.name, self.sev, seen, duration_s=lasted_s, tally=kind, is_event=self.is_event
        )


def _held_share(boxes: Boxes, around: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return which share of each box lies in another, 0..1."""
    size = np.minimum(boxes[:, 2:], around[2:]) - np.maximum(boxes[:, :2], around[:2])
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    share: npt.NDArray[np.float32] = size.clip(0.0).prod(axis=1) / np.maximum(whole, 1e-9)
    return share


def _is_attended(stand: Stand, near: Boxes) -> bool:
    """Whether a thing lies in what is near to a person."""
    tracks, row = stand.seen
    left, top, right, bottom = tracks.boxes[row].tolist()
    meets = (near[:, 0] < right) & (near[:, 2] > left) & (near[:, 1] < bottom) & (near[:, 3] > top)
    return bool(meets.any())
