"""From detections to tracks: the same object over time, by seconds and never by frame counts.

Association in stages after ByteTrack (Zhang et al., ECCV 2022): confident detections for the tracks that
count, then weak ones for those that are left, then what is confident still for young tracks. Motion is a
constant-velocity Kalman filter per box side, batched in numpy. Boxes are widened before the overlap is taken,
because an object may move by its own width between two frames (C-BIoU, Yang et al., WACV 2023). A second box
round an object that is tracked already is followed but does not count before it goes its own way. The tracker
never looks at pixels and never keeps one.
"""

from __future__ import annotations

from dataclasses import dataclass

import lap
import numpy as np
import numpy.typing as npt

from device.firmware.geometry import Boxes, overlaps
from device.firmware.tracks import Tracks
from device.models.detections import Detections
from device.models.labels import CLASSES
from device.models.nms import nms

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How an object becomes a track and stops being one.

    Attributes:
        high: a score from which a detection may start a track, 0..1.
        low: a score from which it may continue one, 0..1.
        min_hits: detections before a track counts.
        lost_s: how long an unseen track is remembered.
        new_lost_s: the same for a track that does not count yet.
        min_overlap: smallest overlap of (widened) boxes, 0..1.
        widen: how far a box is widened on each side, share of its size.
        class_bonus: how much overlap a detection of the same class is worth more, 0..1.
        noise_box: standard deviation of a box side, share of the box's height.
        noise_speed: standard deviation of acceleration, heights per second squared.
        same_overlap: of two detections of one class that overlap more than this, the weaker is left out.
        twin_overlap: a young track that overlaps more than this with an older one may be a second box round
            the same object: it comes no nearer to counting.
        max_tracks: the oldest unseen go first beyond this.
    """

    high: float = 0.35
    low: float = 0.15
    min_hits: int = 3
    lost_s: float = 1.5
    new_lost_s: float = 0.5
    min_overlap: float = 0.12
    widen: float = 0.2
    class_bonus: float = 0.1
    noise_box: float = 0.06
    noise_speed: float = 0.8
    same_overlap: float = 0.5
    twin_overlap: float = 0.4
    max_tracks: int = 1000


class Tracker:
    """One camera's tracker; arrays hold one row a track.

    `update` takes the detections of a frame; `hold` says that a frame was skipped because nothing moved.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()
        self._now_s = 0.0
        self._next_id = 1
        self.confirmed_total = 0
        self._ids = np.empty(0, np.int64)
        self._hits = np.empty(0, np.int64)
        self._seen_s = np.empty(0)
        self._votes = np.empty((0, len(CLASSES)), np.float32)
        self._scores = np.empty(0, np.float32)
        self._first = np.empty((0, 4), np.float32)
        self._latest = np.empty((0, 4), np.float32)
        self._position = np.empty((0, 4))
        self._velocity = np.empty((0, 4))
        self._covariance = np.empty((0, 3, 4))

    def hold(self, mono_s: float) -> None:
        """Carry all tracks over a skipped frame: nothing moved, so what was there is there."""
        elapsed_s = max(0.0, mono_s - self._now_s)
        fresh = self._seen_s >= self._now_s - self._settings.new_lost_s
        self._seen_s[fresh] += elapsed_s
        self._velocity[:] = 0.0
        self._now_s = mono_s

    def update(self, detections: Detections, mono_s: float) -> Tracks:
        """Associate one frame's detections and return what is in view.

        Args:
            detections: of one frame, any number.
            mono_s: the frame's monotonic stamp in seconds; must not fall.

        Returns:
            Confirmed tracks seen in this frame, and the ids that ended since the last call.
        """
        self._predict(mono_s)
        detections = _one_box_each(detections, self._settings.same_overlap)
        strong = detections.scores >= self._settings.high
        weak = ~strong & (detections.scores >= self._settings.low)
        counts = self._hits >= self._settings.min_hits
        rows, found = self._associate(np.flatnonzero(counts), detections, np.flatnonzero(strong))
        left = np.setdiff1d(np.flatnonzero(counts), rows)
        weak_rows, weak_found = self._associate(left, detections, np.flatnonzero(weak))
        strong[found] = False
        young_rows, young_found = self._associate(np.flatnonzero(~counts), detections, np.flatnonzero(strong))
        strong[young_found] = False
        self._correct(
            np.concatenate([rows, weak_rows, young_rows]),
            detections,
            np.concatenate([found, weak_found, young_found]),
        )
        self._begin(detections, np.flatnonzero(strong))
        ended = self._forget()
        return self._in_view(ended)

    def _predict(self, mono_s: float) -> None:
        elapsed_s = min(max(0.0, mono_s - self._now_s), self._settings.lost_s)
        self._now_s = mono_s
        self._position += self._velocity * elapsed_s
        scale = self._heights() * self._settings.noise_speed
        push = (scale**2)[:, None]
        p, pv, v = self._covariance[:, 0], self._covariance[:, 1], self._covariance[:, 2]
        # Discrete white-noise acceleration: Bar-Shalom, "Estimation with Applications", eq. 6.3.2-4.
        p += 2.0 * elapsed_s * pv + elapsed_s**2 * v + push * elapsed_s**4 / 4.0
        pv += elapsed_s * v + push * elapsed_s**3 / 2.0
        v += push * elapsed_s**2

    def _heights(self) -> Float:
        size: Float = np.maximum(self._position[:, 3] - self._position[:, 1], 1e-3)
        return size

    def _associate(
        self, rows: npt.NDArray[np.intp], detections: Detections, candidates: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        nothing = np.empty(0, np.intp)
        if not len(rows) or not len(candidates):
            return nothing, nothing
        known = _widened(self._position[rows].astype(np.float32), self._settings.widen)
        offered = _widened(detections.boxes[candidates], self._settings.widen)
        overlap = overlaps(known, offered)
        same_class = self._votes[rows].argmax(axis=1)[:, None] == detections.classes[candidates][None, :]
        gain = overlap * (0.5 + 0.5 * detections.scores[candidates][None, :])
        gain = gain + self._settings.class_bonus * same_class * (overlap > 0)
        cost = 1.0 + self._settings.class_bonus - gain
        cost[overlap < self._settings.min_overlap] = 1e3
        _, to_candidate, _ = lap.lapjv(cost, extend_cost=True, cost_limit=10.0)
        picked = np.flatnonzero(to_candidate >= 0)
        return rows[picked], candidates[to_candidate[picked]]

    def _correct(
        self, rows: npt.NDArray[np.intp], detections: Detections, found: npt.NDArray[np.intp]
    ) -> None:
        if not len(rows):
            return
        boxes, scores = detections.boxes[found], detections.scores[found]
        measured = ((self._settings.noise_box * self._heights()[rows]) ** 2)[:, None]
        p, pv, v = (self._covariance[rows, i] for i in range(3))
        gain_position, gain_velocity = p / (p + measured), pv / (p + measured)
        surprise = boxes - self._position[rows]
        self._position[rows] += gain_position * surprise
        self._velocity[rows] += gain_velocity * surprise
        self._covariance[rows] = np.stack(
            [(1 - gain_position) * p, (1 - gain_position) * pv, v - gain_velocity * pv], axis=1
        )
        self._votes[rows] *= 0.98
        self._votes[rows, detections.classes[found]] += scores
        self._scores[rows], self._latest[rows] = scores, boxes
        self._seen_s[rows] = self._now_s
        self._count_hits(rows, boxes)

    def _count_hits(self, rows: npt.NDArray[np.intp], boxes: Boxes) -> None:
        """Add to the hits of tracks that were seen; `rows` has those that count first, then older ones."""
        settings = self._settings
        counts = self._hits[rows] >= settings.min_hits
        overlap = np.tril(overlaps(boxes, boxes), -1).max(axis=1)
        rows = rows[counts | (overlap <= settings.twin_overlap)]
        self._hits[rows] += 1
        self.confirmed_total += int(np.count_nonzero(self._hits[rows] == settings.min_hits))

    def _begin(self, detections: Detections, chosen: npt.NDArray[np.intp]) -> None:
        count = len(chosen)
        if not count:
            return
        boxes = detections.boxes[chosen].astype(np.float64)
        heights = np.maximum(boxes[:, 3] - boxes[:, 1], 1e-3)[:, None]
        votes = np.zeros((count, len(CLASSES)), np.float32)
        votes[np.arange(count), detections.classes[chosen]] = detections.scores[chosen]
        doubt = np.stack(
            [
                np.broadcast_to((self._settings.noise_box * heights) ** 2, (count, 4)),
                np.zeros((count, 4)),
                np.broadcast_to((2.0 * heights) ** 2, (count, 4)),
            ],
            axis=1,
        )
        self._ids = np.concatenate([self._ids, np.arange(self._next_id, self._next_id + count)])
        self._hits = np.concatenate([self._hits, np.ones(count, np.int64)])
        self._seen_s = np.concatenate([self._seen_s, np.full(count, self._now_s)])
        self._votes = np.concatenate([self._votes, votes])
        self._scores = np.concatenate([self._scores, detections.scores[chosen].astype(np.float32)])
        self._first = np.concatenate([self._first, detections.boxes[chosen]])
        self._latest = np.concatenate([self._latest, detections.boxes[chosen]])
        self._position = np.concatenate([self._position, boxes])
        self._velocity = np.concatenate([self._velocity, np.zeros((count, 4))])
        self._covariance = np.concatenate([self._covariance, doubt])
        self._next_id += count

    def _forget(self) -> tuple[int, ...]:
        settings = self._settings
        is_confirmed = self._hits >= settings.min_hits
        patience_s = np.where(is_confirmed, settings.lost_s, settings.new_lost_s)
        keep = self._now_s - self._seen_s <= patience_s
        if np.count_nonzero(keep) > settings.max_tracks:
            newest = np.argsort(self._seen_s, kind="stable")[-settings.max_tracks :]
            keep &= np.isin(np.arange(len(keep)), newest)
        ended = tuple(int(track) for track in self._ids[~keep & is_confirmed])
        if not keep.all():
            self._ids, self._hits, self._seen_s = self._ids[keep], self._hits[keep], self._seen_s[keep]
            self._votes, self._scores = self._votes[keep], self._scores[keep]
            self._position, self._velocity = self._position[keep], self._velocity[keep]
            self._covariance = self._covariance[keep]
            self._first, self._latest = self._first[keep], self._latest[keep]
        return ended

    def _in_view(self, ended: tuple[int, ...]) -> Tracks:
        rows = np.flatnonzero((self._hits >= self._settings.min_hits) & (self._seen_s == self._now_s))
        # Half filtered, half as it was found: the filter calms a trembling box, and runs past who stops.
        boxes = (self._position[rows] + self._latest[rows]) / 2.0
        return Tracks(
            ids=self._ids[rows],
            classes=self._votes[rows].argmax(axis=1),
            scores=self._scores[rows],
            boxes=np.clip(boxes, 0.0, 1.0).astype(np.float32),
            ended=ended,
            first_boxes=self._first[rows],
            reasons=dict.fromkeys(ended, "lost"),
        )


def _one_box_each(detections: Detections, overlap: float) -> Detections:
    if len(detections.scores) < 2:
        return detections
    kept = nms(detections.boxes, detections.scores, detections.classes, overlap)
    return Detections(detections.classes[kept], detections.scores[kept], detections.boxes[kept])


def _widened(boxes: Boxes, share: float) -> Boxes:
    margin = (boxes[:, 2:] - boxes[:, :2]) * np.float32(share)
    return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], axis=1)
