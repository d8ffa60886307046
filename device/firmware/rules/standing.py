"""Standing still: since when an object has stood where it stands. Used by `stopped` and `left`."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import hypot
from typing import Final

from device.firmware.geometry import Box, Polygon, least_shift
from device.firmware.rules.choice import box_of, follow_renames, of_classes
from device.firmware.tracks import Standing, Tracks

TREMBLE: Final = 0.012
"""Share of the picture that the box of a thing that stands moves about."""
TREMBLE_WIDTHS: Final = 0.15
"""The same as a share of the thing's own width; the larger of both counts..."""
MOST_TREMBLE: Final = 0.05
"""...but no more than this: a bus that fills the picture has not stopped before it stops."""
SETTLE_S: Final = 1.5
"""Where a thing is so long after it began to stand is its place: the last metre of braking is behind it."""
STIR_S: Final = 0.6
"""A thing must be away from its place for so long to have left it: single boxes are wrong."""
SHIFT_WIDTHS: Final = 0.5
SHIFT_S: Final = 3.0
"""The same for one that has stood as long and is away by less than this share of its width: boxes of what is
half hidden are wrong for longer."""
SAME_PLACE_S: Final = 10.0
"""A track that begins where one that stood was lost so short a time ago goes on standing."""
HIDDEN_WIDTHS: Final = 0.35
"""So many of its widths the middle of a box is off when more than half of a thing is hidden."""
MOST_LOST: Final = 64


@dataclass(slots=True)
class Stand:
    """One object that stands, or has just begun to.

    Attributes:
        place: its box there.
        since_s: since when it stands there.
        first_s: when it was first seen in the zone at all.
        seen: tracks of the latest frame with it, and its row there.
        home_s: when it was last at its place.
        away_s: since when it has been seen elsewhere; None while it is at its place.
        has_settled: its place is where it came to rest, and no more where it began to.
        has_told: for the rule: it has been told.
        alone_s: for the rule: for how long nobody was near it.
    """

    place: Box
    since_s: float
    first_s: float
    seen: tuple[Tracks, int]
    home_s: float
    away_s: float | None = None
    has_settled: bool = False
    has_told: bool = False
    alone_s: float = 0.0

    def away(self, x: float, y: float, width: float) -> float:
        """Return how far off its place a box is, in shares of the picture.

        One side that has stayed is enough, but only for as much as a thing may be hidden.
        """
        left, _, right, bottom = self.place
        across = abs(x - (left + right) / 2.0)
        if across <= HIDDEN_WIDTHS * (right - left):
            across = least_shift((left, right), (x - width / 2.0, x + width / 2.0))
        return hypot(across, y - bottom)

    def patience_s(self, away: float, width: float) -> float:
        """Return how long it must be so far away to have left its place."""
        has_stood = self.home_s - self.since_s >= SHIFT_S
        return SHIFT_S if has_stood and away <= SHIFT_WIDTHS * width else STIR_S


@dataclass(slots=True)
class Standers:
    """Everything that stands in a zone.

    Attributes:
        area: the zone.
        classes: indices that are followed; empty means all.
        border: what is so many of its own heights below the zone is taken for in it, too.
        by_track: what is followed now.
    """

    area: Polygon
    classes: frozenset[int]
    border: float = 0.0
    by_track: dict[int, Stand] = field(default_factory=dict)
    _lost: list[tuple[float, Stand]] = field(default_factory=list)

    def follow(self, tracks: Tracks, mono_s: float) -> list[Stand]:
        """Take in a frame; return those that have just left the place where they stood, as they stood."""
        follow_renames(self.by_track, tracks, lambda old, _: old)
        if self._lost:
            self._lost = [(at_s, stand) for at_s, stand in self._lost if mono_s - at_s < SAME_PLACE_S]
        chosen, left = of_classes(tracks, self.classes), []
        inside = self._inside(tracks, chosen)
        for row, track, _, x, y, width in chosen:
            near = min(max(TREMBLE, TREMBLE_WIDTHS * width), MOST_TREMBLE)
            stand = self.by_track.get(track)
            if stand is None:
                if inside[row]:
                    self.by_track[track] = self._began(tracks, row, near, mono_s)
                continue
            away = stand.away(x, y, width)
            if away <= near:
                stand.home_s, stand.away_s, stand.seen = mono_s, None, (tracks, row)
                if not stand.has_settled and mono_s - stand.since_s >= SETTLE_S:
                    stand.place, stand.has_settled = box_of(tracks, row), True
                continue
            # Frames in which nothing moved were skipped, and in them it was at home.
            stand.away_s = mono_s if stand.away_s is None else stand.away_s
            if mono_s - stand.away_s >= stand.patience_s(away, width):
                left.append(stand)
                del self.by_track[track]
                if inside[row]:
                    self.by_track[track] = Stand(
                        box_of(tracks, row), mono_s, stand.first_s, (tracks, row), mono_s
                    )
        return left

    def end(self, tracks: Tracks, mono_s: float) -> list[Stand]:
        """Forget the tracks that ended; return those that were seen to be gone."""
        gone = []
        for track in tracks.ended:
            stand = self.by_track.pop(track, None)
            if stand is None:
                continue
            if tracks.reasons.get(track) == "gone":
                gone.append(stand)
            else:
                self._lost = [*self._lost, (mono_s, stand)][-MOST_LOST:]
        return gone

    def forget(self) -> None:
        """Forget all."""
        self.by_track.clear()
        self._lost.clear()

    def _inside(self, tracks: Tracks, chosen: list[Standing]) -> list[bool]:
        """Return which rows are in the zone; of those at its border only the ones that are not known yet.

        One at the border that leaves its place is new again with the next frame.
        """
        inside = tracks.inside(self.area)
        if not self.border:
            return inside
        unknown = [row for row, track, *_ in chosen if not inside[row] and track not in self.by_track]
        if not unknown:
            return inside
        heights = tracks.boxes[unknown, 3] - tracks.boxes[unknown, 1]
        raised = tracks.feet[unknown]
        raised[:, 1] -= self.border * heights
        is_near = self.area.holds(raised)
        beside = {row for row, near in zip(unknown, is_near.tolist(), strict=True) if near}
        return [held or row in beside for row, held in enumerate(inside)]

    def _began(self, tracks: Tracks, row: int, near: float, mono_s: float) -> Stand:
        before = self._missed(tracks, row, near, mono_s)
        if before is None:
            return Stand(box_of(tracks, row), mono_s, mono_s, (tracks, row), mono_s)
        before.seen, before.home_s = (tracks, row), mono_s
        return before

    def _missed(self, tracks: Tracks, row: int, near: float, mono_s: float) -> Stand | None:
        """Take out what stood at the place of a box and is not seen there any more, ended or not."""
        _, _, _, x, y, width = tracks.standing[row]
        for index, (_, stand) in enumerate(self._lost):
            if stand.away(x, y, width) <= near:
                del self._lost[index]
                return stand
        seen = set(tracks.ids.tolist())
        for track, stand in self.by_track.items():
            is_missed = track not in seen and mono_s - stand.home_s < SAME_PLACE_S
            if is_missed and stand.away(x, y, width) <= near:
                return self.by_track.pop(track)
        return None
