"""From detections to tracks: the same object over time, by seconds and never by frame counts.

Association in stages after ByteTrack (Zhang et al., ECCV 2022): confident detections for the tracks that
count, then weak ones for those that are left, then what is confident still for young tracks. A lost object
that comes back goes on under its number. What stands still is remembered for as long as nothing moves where
it stands. The tracker never looks at pixels and never keeps one; docs/tracking.md tells how it works.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from device.firmware.geometry import CUT_OFF, overlaps
from device.firmware.tracker_kalman import TO_CORNERED, BoxFilter, centred, cornered
from device.firmware.tracker_match import compare, newcomers, round_one
from device.firmware.tracker_memory import moving_share, same_objects
from device.firmware.tracker_settings import TrackerSettings
from device.firmware.tracker_table import Float, Mask, Rows, Table
from device.firmware.tracks import EndReason, Tracks
from device.models.detections import Detections
from device.models.labels import CLASSES

__all__ = ["Tracker", "TrackerSettings"]

_NO_ROWS = np.empty(0, np.intp)
_VOTES_KEPT = 0.98
"""What an older detection's word on the class is worth beside the next one's."""


class Tracker:
    """One camera's tracker.

    `update` takes the detections of a frame; `hold` says that a frame was skipped because nothing moved.
    Memory is bounded: no more than `max_tracks` rows, whatever comes and however long.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()
        self._filter = BoxFilter(self._settings)
        self._table = Table.empty()
        self._now_s: float | None = None
        self._next_id = 1
        self.confirmed_total = 0

    def __len__(self) -> int:
        """How many objects are remembered, those that do not count yet included."""
        return len(self._table)

    def hold(self, mono_s: float) -> None:
        """Carry all tracks over a skipped frame: nothing moved, so what was there is there."""
        before_s = self._now_s if self._now_s is not None else mono_s
        elapsed_s = self._advance(mono_s)
        table = self._table
        fresh = table.seen_s >= before_s - self._settings.new_lost_s
        table.seen_s[fresh] += elapsed_s
        table.speed[:] = 0.0
        self._keep_still(np.flatnonzero(self._still()))

    def update(
        self, detections: Detections, mono_s: float, motion: npt.NDArray[np.bool_] | None = None
    ) -> Tracks:
        """Associate one frame's detections and return what is in view.

        Args:
            detections: of one frame, any number.
            mono_s: the frame's monotonic stamp in seconds. One that does not rise stops the tracker's clock
                for this frame and changes no duration.
            motion: (H, W), where the picture moves, of any size; None if that is not known, and then what
                stands still is remembered no longer than anything else.

        Returns:
            Confirmed tracks seen in this frame, and what became of others since the last call.
        """
        elapsed_s = self._advance(mono_s)
        self._predict(elapsed_s)
        detections = _sound(detections)
        places = centred(detections.boxes)
        rows, found, left = self._associate(detections, places, elapsed_s)
        self._correct(rows, found, detections, places)
        self._begin(detections, places, newcomers(detections, found, left, self._settings))
        renames = self._reattach()
        if motion is not None:
            self._remember_still(motion)
        return self._in_view(self._forget(), renames)

    def _advance(self, mono_s: float) -> float:
        """Move the clock and return by how much; if the stamp fell, all moments fall with it."""
        before_s = self._now_s if self._now_s is not None else mono_s
        self._now_s = mono_s
        if mono_s < before_s:
            self._table.shift(mono_s - before_s)
        return max(0.0, mono_s - before_s)

    @property
    def _clock_s(self) -> float:
        return self._now_s or 0.0

    def _still(self) -> Mask:
        still: Mask = self._clock_s - self._table.still_since_s >= self._settings.still_s
        return still

    def _predict(self, elapsed_s: float) -> None:
        if elapsed_s > self._settings.longest_step_s:
            self._table.speed[:] = 0.0
        unseen = self._table.found_s < self._clock_s - elapsed_s
        self._filter.predict(self._table, min(elapsed_s, self._settings.longest_step_s), unseen)

    def _associate(self, detections: Detections, places: Float, elapsed_s: float) -> tuple[Rows, Rows, Rows]:
        """Return tracks, their detections, and the confident detections that are left."""
        settings, table = self._settings, self._table
        strong = detections.scores >= settings.high
        if not len(table) or not len(strong):
            return _NO_ROWS, _NO_ROWS, np.flatnonzero(strong)
        before_s = self._clock_s - elapsed_s
        pairs = compare(table, self._filter.spread(table), before_s, detections, places, settings)
        present, counts = self._present(elapsed_s), table.is_shown
        waiting, weak = present & counts, ~strong
        rows, found = pairs.choose(waiting, strong, settings.min_overlap)
        waiting[rows], strong[found] = False, False
        if weak.any():
            weak &= detections.scores >= settings.low
            weak_rows, weak_found = pairs.choose(waiting, weak, settings.weak_overlap)
            rows, found = np.concatenate([rows, weak_rows]), np.concatenate([found, weak_found])
        left = strong.nonzero()[0]
        if len(left):
            young_rows, young_found = pairs.choose(present & ~counts, strong, settings.young_overlap)
            strong[young_found] = False
            rows, found = np.concatenate([rows, young_rows]), np.concatenate([found, young_found])
            left = strong.nonzero()[0]
        return rows, found, left

    def _present(self, elapsed_s: float) -> Mask:
        """Who may still be found."""
        table, settings = self._table, self._settings
        before_s = self._clock_s - elapsed_s
        if elapsed_s <= settings.longest_step_s and before_s - table.seen_s.min() <= min(
            settings.still_lost_s, settings.lost_s
        ):
            return np.ones(len(table), np.bool_)
        still = self._still()
        present: Mask = before_s - table.seen_s <= np.where(still, settings.still_lost_s, settings.lost_s)
        if elapsed_s > settings.longest_step_s:
            present &= still
        return present

    def _correct(self, rows: Rows, found: Rows, detections: Detections, places: Float) -> None:
        if not len(rows):
            return
        table = self._table
        boxes, scores = detections.boxes.take(found, axis=0), detections.scores.take(found)
        self._filter.correct(table, rows, places.take(found, axis=0))
        table.votes *= _VOTES_KEPT
        table.votes.reshape(-1)[rows * len(CLASSES) + detections.classes.take(found)] += scores
        table.scores[rows], table.latest[rows] = scores, boxes
        table.seen_s[rows] = table.found_s[rows] = self._clock_s
        self._count_hits(rows, boxes)
        self._note_travel()

    def _note_travel(self) -> None:
        """Give a new place to who has left the one that it kept."""
        table = self._table
        x, y, width, height = table.place.T
        still_x, still_y = table.still_at.T
        travelled = np.maximum(np.abs(x - still_x), np.abs(y - still_y))
        moved = travelled > self._settings.still_travel * np.maximum(width, height)
        moved &= table.found_s == self._clock_s
        if moved.any():
            table.still_at[moved], table.still_since_s[moved] = table.place[moved, :2], self._clock_s

    def _count_hits(self, rows: Rows, boxes: npt.NDArray[np.float32]) -> None:
        """Add to the hits of tracks that were seen; `rows` has those that count first, then older ones.

        A young one that lies over another loses one: a second box round the same object comes and goes.
        """
        counts = self._table.is_shown[rows]
        if not counts.all():
            young = np.flatnonzero(~counts)
            twins = round_one(boxes[young], boxes, self._settings.twin_overlap, self._settings)
            counts[young] = ~np.tril(twins, young[0] - 1).any(axis=1)
            doubtful = rows[~counts]
            self._table.hits[doubtful] = np.maximum(self._table.hits[doubtful] - 1, 0)
            rows = rows[counts]
        self._table.hits[rows] += 1

    def _begin(self, detections: Detections, places: Float, chosen: Rows) -> None:
        count = len(chosen)
        if not count:
            return
        now_s = np.full(count, self._clock_s)
        votes = np.zeros((count, len(CLASSES)), np.float32)
        votes[np.arange(count), detections.classes[chosen]] = detections.scores[chosen]
        self._table.add(
            Table(
                ids=np.arange(self._next_id, self._next_id + count),
                hits=np.ones(count, np.int64),
                born_s=now_s,
                seen_s=now_s,
                found_s=now_s,
                is_shown=np.zeros(count, np.bool_),
                trial_s=np.full(count, np.inf),
                still_since_s=now_s,
                stirred_s=np.full(count, -np.inf),
                still_at=places[chosen, :2],
                votes=votes,
                scores=detections.scores[chosen].astype(np.float32),
                first=detections.boxes[chosen],
                latest=detections.boxes[chosen],
                place=places[chosen],
                speed=np.zeros((count, 4)),
                doubt=self._filter.first_doubt(count),
                shared_doubt=np.zeros((count, 4)),
                speed_doubt=self._filter.first_speed_doubt(count),
            )
        )
        self._next_id += count

    def _reattach(self) -> tuple[tuple[int, int], ...]:
        """Show the tracks that count now, unless they are lost ones that came back."""
        table, settings = self._table, self._settings
        fresh = table.hits >= settings.min_hits
        fresh &= ~table.is_shown
        if fresh.any():
            table.is_shown |= fresh
            table.trial_s[fresh] = self._clock_s + settings.rename_s
            self.confirmed_total += int(np.count_nonzero(fresh))
        is_seen = table.found_s == self._clock_s
        again = is_seen & (table.trial_s <= self._clock_s)
        due = fresh | again
        if not due.any():
            return ()
        table.trial_s[again] = np.inf
        lost = np.flatnonzero(table.is_shown & ~is_seen)
        pairs = same_objects(table, lost, np.flatnonzero(due), self._clock_s, settings)
        renames = [self._join(*pair, is_shown=not fresh[pair[1]]) for pair in pairs]
        if pairs:
            self.confirmed_total -= len(pairs)
            table.keep(~np.isin(np.arange(len(table)), [row for row, _ in pairs]))
        return tuple(rename for rename in renames if rename)

    def _join(self, lost: int, young: int, *, is_shown: bool) -> tuple[int, int] | None:
        """Let a young track go on with what is known of a lost one; return the change of numbers, if any."""
        table = self._table
        table.votes[young] += table.votes[lost]
        table.hits[young] += table.hits[lost]
        table.first[young], table.born_s[young] = table.first[lost], table.born_s[lost]
        table.trial_s[young] = np.inf
        if is_shown:
            return int(table.ids[lost]), int(table.ids[young])
        table.ids[young] = table.ids[lost]
        return None

    def _remember_still(self, motion: npt.NDArray[np.bool_]) -> None:
        table = self._table
        if table.found_s.min(initial=self._clock_s) == self._clock_s:
            return
        # Once something has moved there, only a detection says that it is there still.
        is_sure = table.stirred_s <= table.found_s
        rows = np.flatnonzero(is_sure & (table.found_s < self._clock_s) & self._still())
        if not len(rows):
            return
        boxes = cornered(table.place.take(rows, axis=0))
        is_stirred = moving_share(boxes, motion) >= self._settings.still_motion
        is_stirred |= self._is_taken(rows, boxes)
        table.stirred_s[rows[is_stirred]] = self._clock_s
        self._keep_still(rows[~is_stirred])

    def _is_taken(self, rows: Rows, boxes: Float) -> Mask:
        """Tell at whose place another of the class is found: they are the same, or one hides the other."""
        table, classes = self._table, self._table.votes.argmax(axis=1)
        found = np.flatnonzero(table.is_shown & (table.found_s == self._clock_s))
        same = overlaps(boxes.astype(np.float32), table.latest[found]) > self._settings.taken_overlap
        taken: Mask = (same & (classes[rows][:, None] == classes[found])).any(axis=1)
        return taken

    def _keep_still(self, rows: Rows) -> None:
        """Objects that stand still, where nothing moves, are there, if a detection says so now and then."""
        table = self._table
        # Once something has moved there, only a detection says that it is there still.
        is_sure = table.stirred_s[rows] <= table.found_s[rows]
        rows = rows[is_sure & (self._clock_s - table.found_s[rows] <= self._settings.verify_s)]
        table.seen_s[rows] = self._clock_s
        self._filter.settle(table, rows)

    def _forget(self) -> dict[int, EndReason]:
        """Drop who was unseen for too long; return who of them counted, and why it ended."""
        settings, table = self._settings, self._table
        least_s = min(settings.still_lost_s, settings.remember_s, settings.new_lost_s)
        if (
            self._clock_s - table.seen_s.min(initial=self._clock_s) <= least_s
            and len(table) <= settings.max_tracks
        ):
            return {}
        counts = table.is_shown
        patience_s = np.where(self._still(), settings.still_lost_s, settings.remember_s)
        patience_s[~counts] = settings.new_lost_s
        keep = self._clock_s - table.seen_s <= patience_s
        ended: dict[int, EndReason] = {}
        if not keep.all():
            ended = self._ends(np.flatnonzero(~keep & counts))
        if np.count_nonzero(keep) > settings.max_tracks:
            kept = np.flatnonzero(keep)
            oldest = kept[np.argsort(table.seen_s[kept], kind="stable")[: -settings.max_tracks]]
            keep[oldest] = False
            ended |= {int(track): "crowded-out" for track in table.ids[oldest[counts[oldest]]]}
        if not keep.all():
            table.keep(keep)
        return ended

    def _ends(self, rows: Rows) -> dict[int, EndReason]:
        table = self._table
        still, corners = self._still()[rows], cornered(table.place[rows])
        outward = np.concatenate([-table.speed[rows, :2], table.speed[rows, :2]], axis=1) > 0.0
        at_edge = np.concatenate([corners[:, :2] <= CUT_OFF, corners[:, 2:] >= 1.0 - CUT_OFF], axis=1)
        has_left = (at_edge & outward).any(axis=1)
        is_due = self._clock_s - table.found_s[rows] > self._settings.verify_s
        reasons = np.select([still & is_due, still, has_left], ["unverified", "gone", "left-frame"], "lost")
        return dict(zip(table.ids[rows].tolist(), reasons.tolist(), strict=True))

    def _in_view(self, ended: dict[int, EndReason], renames: tuple[tuple[int, int], ...]) -> Tracks:
        table, share = self._table, self._settings.filtered
        is_found = table.found_s == self._clock_s
        is_found &= table.is_shown
        rows = is_found.nonzero()[0]
        remembered: list[int] = []
        if len(rows) < len(table):
            remembered = table.ids[table.is_shown & ~is_found & (table.seen_s == self._clock_s)].tolist()
        # The filter calms a trembling box, but runs past who stops: what was found weighs more.
        boxes = table.place.take(rows, axis=0) @ (share * TO_CORNERED)
        boxes += (1.0 - share) * table.latest.take(rows, axis=0)
        np.maximum(boxes, 0.0, out=boxes)
        np.minimum(boxes, 1.0, out=boxes)
        return Tracks(
            ids=table.ids.take(rows),
            classes=table.votes.take(rows, axis=0).argmax(axis=1),
            scores=table.scores.take(rows),
            boxes=boxes.astype(np.float32),
            ended=tuple(ended),
            first_boxes=table.first.take(rows, axis=0),
            first_s=table.born_s.take(rows),
            renames=renames,
            reasons=ended,
            still=self._still().take(rows),
            remembered=tuple(remembered),
        )


def _sound(detections: Detections) -> Detections:
    """Leave out what is not a number."""
    is_box, is_score = np.isfinite(detections.boxes), np.isfinite(detections.scores)
    if is_box.all() and is_score.all():
        return detections
    sound = is_box.all(axis=1) & is_score
    return Detections(detections.classes[sound], detections.scores[sound], detections.boxes[sound])
