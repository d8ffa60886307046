"""Who is in a zone now, seen or not. Used by `crowd`.

Nobody vanishes in the middle of a zone: who walked in and is lost there is believed to stand there for a
while. Two boxes that stay at one place are round one object, and what never moved and is not seen surely is
nobody. Pure; times are monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import hypot
from typing import Final

import numpy as np
import numpy.typing as npt

from device.firmware.geometry import Polygon
from device.firmware.rules.choice import follow_renames, of_classes
from device.firmware.tracks import Tracks

UNSEEN_S: Final = 1.0
"""Who is hidden for less than this still counts; who stands unseen, for as long as the tracker remembers."""
MISSED_S: Final = 10.0
"""Who walked in and was lost inside still counts for so long: many a detector misses those who stand."""
WALKED: Final = 1.0
"""Who has walked so many of the own heights since they were first seen is somebody for sure..."""
SURE: Final = 0.5
"""...and so is who is detected with this score, as a mean: what a detector mistakes stays below."""
BORDER: Final = (0.05, 0.05)
"""Who was inside still is, so many heights (across, down) beyond the border: boxes tremble as much."""
DEEP: Final = (0.3, 0.04)
"""Who was lost farther inside than this, in heights across and down the picture, has not gone out unseen."""
SAME: Final = 1.0
"""A track that begins within so many heights of where somebody was lost is that one."""
NO_HEIGHT: Final = 0.002
"""No height is taken for less: a box at the picture's edge may have none."""
ONE_PLACE: Final = (0.2, 0.12)
"""Two do not stand so near to one another, in heights of the taller across and down the picture..."""
PASSING_S: Final = 1.5
"""...for so long: then they are one in two boxes."""


@dataclass(slots=True)
class _Member:
    """One who is inside: where and how high they were seen last, and what was seen of them before."""

    cls: int
    began: tuple[float, float] | None
    x: float = 0.0
    y: float = 0.0
    height: float = 0.0
    last_s: float = 0.0
    looks: int = 0
    score_sum: float = 0.0
    has_walked: bool = False
    has_stood: bool = False
    is_missed: bool = False
    beside_s: float | None = None
    is_double: bool = False

    @property
    def counts(self) -> bool:
        is_sure = self.has_walked or self.score_sum >= SURE * self.looks
        return is_sure and not self.is_double

    def see(self, x: float, y: float, height: float, score: float, mono_s: float) -> None:
        """Take in where and how it looks now."""
        self.x, self.y, self.height, self.last_s, self.is_missed = x, y, height, mono_s, False
        self.looks += 1
        self.score_sum += score
        if not self.has_walked and self.began is not None:
            self.has_walked = hypot(x - self.began[0], y - self.began[1]) >= WALKED * height


@dataclass(slots=True)
class Gathering:
    """Everybody in a zone.

    Attributes:
        area: the zone.
        classes: indices that count; empty means all.
    """

    area: Polygon
    classes: frozenset[int] = frozenset()
    _members: dict[int, _Member] = field(default_factory=dict)
    _seen: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many are inside now."""
        return sum(member.counts for member in self._members.values())

    def occupancy(self) -> dict[int, int]:
        """Return how many of each class are inside now: class index -> count."""
        return dict(Counter(member.cls for member in self._members.values() if member.counts))

    def forget(self) -> None:
        """Know nobody."""
        self._members.clear()
        self._seen.clear()

    def follow(self, tracks: Tracks, mono_s: float) -> None:
        """Take in a frame."""
        follow_renames(self._members, tracks, _joined)
        seen = self._see(tracks, mono_s)
        for track in tracks.remembered:
            if track in self._members:
                self._members[track].last_s, self._members[track].is_missed = mono_s, False
        self._find_again(tracks, seen, mono_s)
        self._note_doubles(mono_s)
        self._lose(tracks.ended, mono_s)
        self._seen = seen

    def seen(self) -> list[int]:
        """Return the rows of those who count and are seen in the latest frame."""
        known = self._members
        return [row for track, row in self._seen.items() if track in known and known[track].counts]

    def _see(self, tracks: Tracks, mono_s: float) -> dict[int, int]:
        """Bring those who are seen up to date; return track -> row of who is inside."""
        inside = tracks.inside(self.area)
        scores, boxes = tracks.scores.tolist(), tracks.boxes.tolist()
        still = [False] * len(tracks) if tracks.still is None else tracks.still.tolist()
        seen = {}
        for row, track, cls, x, y, _ in of_classes(tracks, self.classes):
            is_in, height = inside[row], max(NO_HEIGHT, boxes[row][3] - boxes[row][1])
            member = self._members.get(track)
            if not is_in and not (member and self._around(x, y, BORDER, height).any()):
                self._members.pop(track, None)
                continue
            if member is None:
                member = self._members[track] = _Member(cls, _first_foot(tracks, row))
            member.see(x, y, height, scores[row], mono_s)
            member.cls, member.has_stood = cls, member.has_stood or still[row]
            seen[track] = row
        return seen

    def _around(
        self, x: float, y: float, shares: tuple[float, float], height: float
    ) -> npt.NDArray[np.bool_]:
        """Tell which of the points left, right, above and below a place are inside."""
        across, down = shares[0] * height, shares[1] * height
        return self.area.holds(np.array([(x - across, y), (x + across, y), (x, y - down), (x, y + down)]))

    def _find_again(self, tracks: Tracks, seen: dict[int, int], mono_s: float) -> None:
        """Let who has just begun in the middle of the zone go on as the one who was lost there."""
        if tracks.first_s is None:
            return
        for track, row in seen.items():
            member = self._members[track]
            if member.looks == 1 and member.began is not None:
                # The lost one may be taken for another for a moment after its new track has begun.
                until_s = min(mono_s, float(tracks.first_s[row]) + UNSEEN_S)
                lost = self._nearest_lost(*member.began, until_s)
                if lost is not None:
                    self._members[track] = _joined(self._members.pop(lost), member)

    def _nearest_lost(self, x: float, y: float, until_s: float) -> int | None:
        """Who is not seen any more since before `until_s`, and was seen last near a place."""
        away = {
            track: hypot(member.x - x, member.y - y) / member.height
            for track, member in self._members.items()
            if member.last_s < until_s
        }
        nearest = min(away, key=lambda track: away[track], default=None)
        return nearest if nearest is not None and away[nearest] <= SAME else None

    def _note_doubles(self, mono_s: float) -> None:
        """Note who is at the place of another, of each pair the one that is missed or came later."""
        known = [(member, track) for track, member in self._members.items()]
        members = sorted(known, key=lambda one: one[0].x)
        tallest = max((member.height for member, _ in members), default=0.0)
        beside: set[int] = set()
        for index, (member, track) in enumerate(members):
            for other, younger in members[index + 1 :]:
                apart = other.x - member.x
                if apart >= ONE_PLACE[0] * tallest:
                    break
                height = max(member.height, other.height)
                if apart < ONE_PLACE[0] * height and abs(other.y - member.y) < ONE_PLACE[1] * height:
                    # Who is seen is told of; of two that are alike the one that came later is the double.
                    beside.add(max((member.is_missed, track), (other.is_missed, younger))[1])
        for member, track in members:
            if track not in beside:
                member.beside_s = None
            elif member.beside_s is None:
                member.beside_s = mono_s
            member.is_double = member.beside_s is not None and mono_s - member.beside_s >= PASSING_S

    def _lose(self, ended: Iterable[int], mono_s: float) -> None:
        """Drop who is gone, and note who is missed."""
        gone = set(ended)
        for track, member in list(self._members.items()):
            unseen_s = mono_s - member.last_s
            if not member.is_missed and (unseen_s >= UNSEEN_S or track in gone):
                member.is_missed = self._must_be_there(member)
            patience_s = MISSED_S if member.is_missed else UNSEEN_S
            if unseen_s >= patience_s or (track in gone and not member.is_missed):
                del self._members[track]
        if all(member.is_missed for member in self._members.values()):
            self._members.clear()

    def _must_be_there(self, member: _Member) -> bool:
        """Whether one who is lost cannot have gone. Who has stood is the tracker's to remember."""
        if not member.has_walked or member.has_stood or member.beside_s is not None:
            return False
        return bool(self._around(member.x, member.y, DEEP, member.height).all())


def _first_foot(tracks: Tracks, row: int) -> tuple[float, float] | None:
    """Where an object stood when it was first seen at all; None if unknown."""
    if tracks.first_boxes is None:
        return None
    left, _, right, bottom = tracks.first_boxes[row].tolist()
    return (left + right) / 2, bottom


def _joined(old: _Member, new: _Member) -> _Member:
    """Return what is known of one who goes on under another id."""
    new.score_sum += old.score_sum
    new.looks += old.looks
    new.has_walked |= old.has_walked
    new.has_stood |= old.has_stood
    return new
