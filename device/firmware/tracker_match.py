"""Which detection belongs to which track: how well each pair fits, and the best choice over all of them.

A pair fits by the overlap of its boxes, widened by how unsure the track's place is, less what speaks against
it: distance from where the track was predicted (in standard deviations, which grow with the time unseen;
beyond a gate the pair is impossible), another height, another class, and a track that was out of sight.
Widening follows C-BIoU (Yang et al., WACV 2023), the gate is the usual one of a Kalman filter. Only pairs
that overlap are looked at closely: of 40 x 40 these are few. Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import lap
import numpy as np

from device.firmware.geometry import Boxes, covers, overlaps
from device.firmware.tracker_settings import TrackerSettings
from device.firmware.tracker_table import Float, Mask, Rows, Table
from device.models.detections import Detections
from device.models.nms import nms

IMPOSSIBLE: Final = 1e3
"""Cost of a pair that cannot be."""
_LIMIT: Final = 10.0
_WORST_GAIN: Final = 5.0
_MOST_DEVIATIONS: Final = 4.0
_NO_ROWS: Final = np.empty(0, np.intp)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The P pairs of tracks and detections that may belong together.

    Attributes:
        rows: (P,), the track of each pair.
        columns: (P,), the detection.
        overlap: (P,), of the widened boxes, 0..1.
        cost: (P,), the smaller the better, from 0 and well below `IMPOSSIBLE`.
    """

    rows: Rows
    columns: Rows
    overlap: Float
    cost: Float

    def choose(self, tracks: Mask, detections: Mask, least: float) -> tuple[Rows, Rows]:
        """Choose the pairs that fit best altogether.

        Args:
            tracks: (N,), which tracks may be chosen.
            detections: (M,), which detections may be chosen.
            least: smallest overlap of a pair, 0..1.

        Returns:
            Tracks and detections of the chosen pairs.
        """
        if not tracks.any() or not detections.any():
            return _NO_ROWS, _NO_ROWS
        allowed = tracks[self.rows] & detections[self.columns] & (self.overlap >= least)
        rows, columns = self.rows[allowed], self.columns[allowed]
        if not len(rows):
            return _NO_ROWS, _NO_ROWS
        # A pair whose track fits no other detection, nor its detection another track, is in any best choice.
        alone = (np.bincount(rows, minlength=1)[rows] == 1) & (
            np.bincount(columns, minlength=1)[columns] == 1
        )
        if alone.all():
            return rows, columns
        contested = ~alone
        chosen, found = _contest(rows[contested], columns[contested], self.cost[allowed][contested])
        return np.concatenate([rows[alone], chosen]), np.concatenate([columns[alone], found])


def _contest(rows: Rows, columns: Rows, costs: Float) -> tuple[Rows, Rows]:
    """Choose of pairs that exclude one another."""
    row_at, column_at = _ranks(rows), _ranks(columns)
    cost = np.full((row_at.max() + 1, column_at.max() + 1), IMPOSSIBLE)
    cost[row_at, column_at] = costs
    of_row, of_column = np.empty(len(cost), np.intp), np.empty(cost.shape[1], np.intp)
    of_row[row_at], of_column[column_at] = rows, columns
    chosen, found = assign(cost)
    return of_row[chosen], of_column[found]


def _ranks(numbers: Rows) -> Rows:
    """Number the different values from 0 in rising order."""
    is_there = np.zeros(numbers.max() + 1, np.intp)
    is_there[numbers] = 1
    ranks: Rows = is_there.cumsum()[numbers] - 1
    return ranks


def assign(cost: Float) -> tuple[Rows, Rows]:
    """Return rows and columns of the pairs whose costs sum up least, as many as possible.

    Source: Jonker and Volgenant, Computing 38 (1987).
    """
    _, column_of, _ = lap.lapjv(cost, extend_cost=True, cost_limit=_LIMIT)
    rows = np.flatnonzero(column_of >= 0)
    return rows, column_of[rows]


def compare(
    table: Table,
    spread: Float,
    absent_s: Float,
    detections: Detections,
    places: Float,
    settings: TrackerSettings,
) -> Pairs:
    """Find the pairs of tracks and detections that may belong together, and how well they fit.

    Args:
        table: N tracks, predicted for this moment.
        spread: (N,), how far detections lie from predicted centres, one standard deviation in box sizes.
        absent_s: (N,), for how long each had been unseen before this frame.
        detections: M of them.
        places: (M, 4), their centres and sizes.
        settings: the weights.
    """
    doubt = np.minimum(settings.widen + settings.widen_doubt * np.sqrt(table.doubt[:, 0, 0]), 1.0)
    known, offered = _widened(table.place, doubt[:, None]), _widened(places, settings.widen)
    rows, columns, overlap = _overlapping(known, offered)
    tracked, found = table.place.take(rows, axis=0), places.take(columns, axis=0)
    apart = tracked[:, :2] - found[:, :2]
    sizes = np.sqrt(_longer(tracked) * _longer(found))
    distance = np.hypot(apart[:, 0], apart[:, 1]) / (sizes * spread.take(rows))
    same_class = table.votes.argmax(axis=1).take(rows) == detections.classes.take(columns)
    growth = np.abs(np.log(tracked[:, 3] / found[:, 3]))
    gain = (
        overlap * (0.5 + 0.5 * detections.scores.take(columns))
        - settings.weigh_distance / _MOST_DEVIATIONS * np.minimum(distance, _MOST_DEVIATIONS)
        - settings.weigh_size * growth
        - (settings.weigh_absence * np.minimum(absent_s, 1.0) + settings.weigh_gap * (absent_s > 0.0)).take(
            rows
        )
        + settings.class_bonus * same_class
    )
    is_other = (distance > settings.gate) | (growth > settings.gate_size)
    is_other |= ~same_class & (overlap < settings.other_overlap)
    overlap[is_other] = 0.0
    return Pairs(rows, columns, overlap, np.maximum(_WORST_GAIN - gain, 0.0))


def _longer(places: Float) -> Float:
    longer: Float = np.maximum(places[:, 2], places[:, 3])
    return longer


def _widened(places: Float, share: Float | float) -> Float:
    half = places[:, 2:] * (0.5 + share)
    sides = np.empty((4, len(places)))
    sides[:2] = (places[:, :2] - half).T
    sides[2:] = (places[:, :2] + half).T
    return sides


def _overlapping(a: Float, b: Float) -> tuple[Rows, Rows, Float]:
    """Find the pairs of boxes that have an area in common, and their intersections over unions.

    The boxes are given by sides, shapes (4, N) and (4, M).
    """
    each = a[:, :, None]
    shared = np.minimum(each[2], b[2])
    shared -= np.maximum(each[0], b[0])
    np.maximum(shared, 0.0, out=shared)
    height = np.minimum(each[3], b[3])
    height -= np.maximum(each[1], b[1])
    shared *= height
    rows, columns = np.nonzero(shared > 0.0)
    both = shared[rows, columns]
    area_a, area_b = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return rows, columns, both / (area_a.take(rows) + area_b.take(columns) - both)


def newcomers(detections: Detections, found: Rows, left: Rows, settings: TrackerSettings) -> Rows:
    """Return which of the detections `left` over are objects of their own.

    A detection is no object of its own if one of the same class that belongs to a track (`found`), or a surer
    one that is left over, is round the same object.
    """
    if not len(left):
        return left
    boxes, classes = detections.boxes, detections.classes
    same = round_one(boxes[left], boxes[found], settings.same_overlap, settings)
    own = left[~(same & (classes[left][:, None] == classes[found])).any(axis=1)]
    most = settings.same_overlap
    kept: Rows = own[nms(boxes[own], detections.scores[own], classes[own], most, limit=len(own))]
    return kept


def round_one(a: Boxes, b: Boxes, most_overlap: float, settings: TrackerSettings) -> Mask:
    """Return which pairs of boxes are round the same object, shape (len(a), len(b)).

    They are if they overlap more than `most_overlap`, or if one lies in the other and is hardly lower.
    """
    height_a, height_b = a[:, 3] - a[:, 1], b[:, 3] - b[:, 1]
    lower = np.minimum(height_a[:, None], height_b[None, :])
    is_like = lower >= settings.twin_height * np.maximum(height_a[:, None], height_b[None, :])
    same: Mask = (overlaps(a, b) > most_overlap) | ((covers(a, b) > settings.twin_cover) & is_like)
    return same
