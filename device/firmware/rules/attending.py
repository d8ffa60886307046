"""Who is about: what tracked objects hide, and near whom a thing is not alone. Used by `left`.

Somebody who stands still is easily missed for a while (a still scene is looked at every few seconds, and a
detector misses now and then), so the standing are remembered for longer than those who walk.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import hypot
from typing import Final

import numpy as np

from device.firmware.geometry import Box, Boxes, least_shift
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
NEAR_STANDER: Final = (2.5, 0.5)
"""The same for a standing one: the shadow stands there as well, and the feet are seen badly."""
DOUBT_S: Final = 4.0
"""A person who never moved at all for so long since they appeared is a thing that the detector mistakes."""
FADED: Final = 0.75
SHRUNK: Final = 0.88
FADED_MUCH: Final = 0.55
"""Who walked, and for as long has stood with less than these shares of the score and the height that they
walked with, or with much less of the score, has left a thing there that the detector takes for a person."""
LOOK_S: Final = 3.0
"""Time constant of the mean score and height."""
BEGINNING_S: Final = 10.0
"""Who was there at the beginning or so soon after may have come before: nobody doubts them."""
MOST: Final = 1000
CAME_FROM: Final = 3.0
"""Whoever has walked so many of the own widths is a person and no thing."""
SAME_WIDTH: Final = 0.15
"""A box whose width has changed by no more than this share is as wide as before."""
NARROWEST: Final = 0.002
"""No width is taken for less: a box at the picture's edge may have none."""
MET_WIDTHS: Final = 3.0
MET_S: Final = 1.0
"""Who is found so near to somebody who walks there, or did so long ago, may be that one: tracks mix up..."""
ALIKE: Final = 0.85
"""...if they are as high, and as surely seen: a thing that is taken for a person is not."""
MISSED_S: Final = 60.0
"""Somebody who was lost in the middle of the picture may stand there unseen for so long."""


@dataclass(slots=True)
class _Look:
    """How somebody looks, as a mean of the last seconds: score, and size in shares of the picture."""

    score: float = 0.0
    height: float = 0.0
    width: float = 0.0

    def most(self, other: _Look) -> _Look:
        return _Look(
            max(self.score, other.score), max(self.height, other.height), max(self.width, other.width)
        )


@dataclass(slots=True)
class _Somebody:
    box: Box
    is_person: bool
    place: Box
    since_s: float
    last_s: float
    began_s: float
    look: _Look
    walked: _Look = field(default_factory=_Look)
    came_from: float = 0.0
    has_moved: bool = False

    def is_mistaken(self) -> bool:
        if not self.is_person:
            return False
        if not self.has_moved:
            return self.last_s - self.began_s >= DOUBT_S
        return self.has_faded() and self.last_s - self.since_s >= DOUBT_S

    def has_faded(self) -> bool:
        """Whether it looks much less like a person than it did when it walked."""
        has_shrunk = self.look.height < SHRUNK * self.walked.height
        return self.look.score < self.walked.score * (FADED if has_shrunk else FADED_MUCH)

    def was_somebody(self) -> bool:
        """Whether a person for sure was lost with it: one who came from elsewhere."""
        return self.is_person and self.came_from >= CAME_FROM and not self.has_faded()

    def see(self, box: Box, score: float, mono_s: float) -> None:
        """Take in how it looks now."""
        left, top, right, bottom = box
        width, look = right - left, self.look
        rate = min(1.0, max(0.0, mono_s - self.last_s) / LOOK_S)
        look.score += rate * (score - look.score)
        look.height += rate * (bottom - top - look.height)
        look.width += rate * (width - look.width)
        self.box, self.last_s = box, mono_s
        before = self.place
        gone = hypot((left + right - before[0] - before[2]) / 2, bottom - before[3])
        if gone > width / 2 and not _is_where_it_was(before, box):
            self.came_from += gone / max(width, NARROWEST)
            self.place, self.since_s, self.has_moved = box, mono_s, True
            self.walked = self.walked.most(self.look)

    def may_be(self, new: _Somebody) -> bool:
        """Whether this one walked up just now to where a new one is found that looks much like it."""
        look = self.look
        is_alike = new.look.height >= SHRUNK * look.height and new.look.score >= ALIKE * look.score
        if not is_alike or new.last_s - self.last_s > MET_S or not self.was_somebody():
            return False
        apart = abs(sum(new.box[::2]) - sum(self.box[::2])) / 2
        return apart <= MET_WIDTHS * self.look.width and abs(new.box[3] - self.box[3]) <= self.look.height / 2

    def stands(self) -> bool:
        return self.last_s - self.since_s >= STANDING_S

    def is_there(self, mono_s: float) -> bool:
        return mono_s - self.last_s <= (STANDER_S if self.stands() else WALKER_S)


@dataclass(slots=True)
class Attendance:
    """Everybody in view, and those who were there just now."""

    _known: dict[int, _Somebody] = field(default_factory=dict)
    _missed: list[_Somebody] = field(default_factory=list)
    _began_s: float | None = None

    def follow(self, tracks: Tracks, mono_s: float) -> None:
        """Take in a frame."""
        if self._began_s is None:
            self._began_s = mono_s
        follow_renames(self._known, tracks, _joined)
        sides = zip(*tracks.boxes.T.tolist(), strict=True)
        for (_, track, cls, *_), box, score in zip(
            tracks.standing, sides, tracks.scores.tolist(), strict=True
        ):
            known = self._known.get(track)
            if known is not None:
                known.see(box, score, mono_s)
                continue
            self._known[track] = self._somebody(box, score, mono_s, is_person=cls == PERSON)
        for track in tracks.ended:
            if tracks.reasons.get(track) == "left-frame":
                self._known.pop(track, None)
        lost = [
            track
            for track, known in self._known.items()
            # Most were seen in this very frame.
            if known.last_s != mono_s and not known.is_there(mono_s)
        ]
        self._missed += [gone for gone in map(self._known.pop, lost) if gone.was_somebody()]
        if self._missed:
            self._missed = [gone for gone in self._missed if mono_s - gone.last_s <= MISSED_S][-MOST:]

    def _somebody(self, box: Box, score: float, mono_s: float, *, is_person: bool) -> _Somebody:
        left, top, right, bottom = box
        new = _Somebody(box, is_person, box, mono_s, mono_s, mono_s, _Look(score, bottom - top, right - left))
        new.has_moved = self._began_s is None or mono_s - self._began_s < BEGINNING_S
        met = next((known for known in self._known.values() if is_person and known.may_be(new)), None)
        if met is not None:
            # Which of the two goes on under the old number is anybody's guess.
            new.has_moved, new.came_from, new.walked = True, CAME_FROM, replace(met.look)
        return new

    def everyone(self) -> Boxes:
        """Return the boxes of all who are there, shape (N, 4)."""
        return _boxes([known.box for known in self._known.values() if not known.is_mistaken()])

    def missed(self) -> Boxes:
        """Return where people were last seen who may stand there unseen, shape (N, 4)."""
        return _boxes([gone.box for gone in self._missed])

    def near_people(self) -> Boxes:
        """Return what is near to a person, as boxes of shape (N, 4) that may reach out of the picture."""
        near = []
        for known in self._known.values():
            if known.is_person and not known.is_mistaken():
                left, top, right, bottom = known.box
                across, down = NEAR_STANDER if known.stands() else NEAR_WALKER
                # With the legs together one is half as wide as when walking, and reaches as far.
                side = across * max(right - left, known.walked.width)
                end = down * max(bottom - top, known.walked.height)
                near.append((left - side, top, right + side, bottom + end))
        return _boxes(near)

    def forget(self) -> None:
        """Know nobody."""
        self._known.clear()
        self._missed.clear()
        self._began_s = None


def _is_where_it_was(before: Box, after: Box) -> bool:
    """Whether only feet were lost or found: it is as wide as before, and neither head nor middle has moved.

    Who walks towards the camera keeps both, too, but grows.
    """
    was, width = before[2] - before[0], after[2] - after[0]
    is_as_wide = abs(width - was) <= SAME_WIDTH * was
    return is_as_wide and max(least_shift(before[::2], after[::2]), abs(after[1] - before[1])) <= width / 2


def _joined(old: _Somebody, new: _Somebody) -> _Somebody:
    new.has_moved |= old.has_moved
    new.walked = new.walked.most(old.walked)
    new.came_from += old.came_from
    return new


def _boxes(rows: list[Box]) -> Boxes:
    return np.array(rows[:MOST], np.float32).reshape(-1, 4)
