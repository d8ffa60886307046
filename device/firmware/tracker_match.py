"""Which detection belongs to which track: how well each pair fits, and the best choice over all of them.

A pair fits by the overlap of its boxes, widened by how unsure the track's place is, less what speaks against
it: distance from where the track was predicted (in standard deviations, which grow with the time unseen;
beyond a gate the pair is impossible), another height, another class, and a track that was out of sight.
Widening follows C-BIoU (Yang et al., WACV 2023), the gate is the usual one of a Kalman filter. Only pairs
that overlap are looked at closely: of 40 x 40 these are few. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import exp
from typing import Final

import lap
import numpy as np

from device.firmware.geometry import Boxes, covers, overlaps
from device.firmware.tracker_kalman import TO_CORNERED
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
_OUTWARD: Final = np.array([[0.0, 0, 0, 0], [0, 0, 0, 0], [-1, 0, 1, 0], [0, -1, 0, 1]])
"""Centres and sizes times this say how the corners move when a box is widened by its size on each side."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The P pairs of tracks and detections that may belong together.

    Attributes:
        rows: (P,), the track of each pair.
        columns: (P,), the detection.
        overlap: (P,), of the widened boxes, 0..1.
        cost: how well the pairs at these places fit, the smaller the better, from 0 and well below
            `IMPOSSIBLE`; only asked of pairs that exclude one another.
    """

    rows: Rows
    columns: Rows
    overlap: Float
    cost: Callable[[Rows], Float]

    def choose(self, tracks: Mask, detections: Mask, least: float) -> tuple[Rows, Rows]:
        """Choose the pairs that fit best altogether.

        Args:
            tracks: (N,), which tracks may be chosen.
            detections: (M,), which detections may be chosen.
            least: smallest overlap of a pair, 0..1.

        Returns:
            Tracks and detections of the chosen pairs.
        """
        allowed = self.overlap >= least
        allowed &= tracks.take(self.rows)
        allowed &= detections.take(self.columns)
        pairs = allowed.nonzero()[0]
        if not len(pairs):
            return _NO_ROWS, _NO_ROWS
        rows, columns = self.rows.take(pairs), self.columns.take(pairs)
        # A pair whose track fits no other detection, nor its detection another track, is in any best choice.
        rivals = np.bincount(rows).take(rows)
        rivals *= np.bincount(columns).take(columns)
        alone = rivals == 1
        if alone.all():
            return rows, columns
        contested = ~alone
        chosen, found = _contest(rows[contested], columns[contested], self.cost(pairs[contested]))
        return np.concatenate([rows[alone], chosen]), np.concatenate([columns[alone], found])


def _contest(rows: Rows, columns: Rows, costs: Float) -> tuple[Rows, Rows]:
    """Choose of pairs that exclude one another; they are few."""
    of_row, of_column = sorted(set(rows.tolist())), sorted(set(columns.tolist()))
    row_at = {row: rank for rank, row in enumerate(of_row)}
    column_at = {column: rank for rank, column in enumerate(of_column)}
    cost = [[IMPOSSIBLE] * len(of_column) for _ in of_row]
    for row, column, one in zip(rows.tolist(), columns.tolist(), costs.tolist(), strict=True):
        cost[row_at[row]][column_at[column]] = one
    chosen, found = assign(np.array(cost))
    return np.array(of_row, np.intp)[chosen], np.array(of_column, np.intp)[found]


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
    before_s: float,
    detections: Detections,
    places: Float,
    settings: TrackerSettings,
) -> Pairs:
    """Find the pairs of tracks and detections that may belong together, and how well they fit.

    Args:
        table: N tracks, predicted for this moment.
        spread: (N,), how far detections lie from predicted centres, one standard deviation in box sizes.
        before_s: moment of the frame before: who was not seen then had been absent.
        detections: M of them.
        places: (M, 4), their centres and sizes.
        settings: the weights.
    """
    doubt = np.minimum(settings.widen + settings.widen_doubt * np.sqrt(table.doubt[:, 0]), 1.0)
    known = table.place @ TO_CORNERED
    known += (table.place @ _OUTWARD) * doubt[:, None]
    rows, columns, overlap = _overlapping(known.T, (places @ _widening(settings.widen)).T)
    tracked, found = table.place.take(rows, axis=0), places.take(columns, axis=0)
    # Squares of distances and quotients of heights: roots and logarithms are for the few that are compared.
    apart = tracked - found
    apart *= apart
    apart = apart[:, 0] + apart[:, 1]
    unit = np.maximum(tracked[:, 2], tracked[:, 3])
    unit *= np.maximum(found[:, 2], found[:, 3])
    unit *= (spread * spread).take(rows)
    growth = tracked[:, 3] / found[:, 3]
    is_like = table.votes.argmax(axis=1).take(rows) == detections.classes.take(columns)
    is_other = apart > settings.gate**2 * unit
    is_other |= np.maximum(growth, 1.0 / growth) > exp(settings.gate_size)
    if not is_like.all():
        is_other |= (overlap < settings.other_overlap) & ~is_like
    fit = np.where(is_other, 0.0, overlap)

    def cost(pairs: Rows) -> Float:
        distance = np.minimum(np.sqrt(apart.take(pairs) / unit.take(pairs)), _MOST_DEVIATIONS)
        absent_s = np.maximum(before_s - table.seen_s.take(rows.take(pairs)), 0.0)
        gain = (
            overlap.take(pairs) * (0.5 + 0.5 * detections.scores.take(columns.take(pairs)))
            - settings.weigh_distance / _MOST_DEVIATIONS * distance
            - settings.weigh_size * np.abs(np.log(growth.take(pairs)))
            - (settings.weigh_absence * np.minimum(absent_s, 1.0) + settings.weigh_gap * (absent_s > 0.0))
            + settings.class_bonus * is_like.take(pairs)
        )
        costs: Float = np.maximum(_WORST_GAIN - gain, 0.0)
        return costs

    return Pairs(rows, columns, fit, cost)


@lru_cache(maxsize=8)
def _widening(share: float) -> Float:
    """What centres and sizes are to be multiplied with for the corners of boxes widened by a share."""
    return TO_CORNERED + share * _OUTWARD


def _overlapping(a: Float, b: Float) -> tuple[Rows, Rows, Float]:
    """Find the pairs of boxes that have an area in common, and their intersections over unions.

    The boxes are given by sides, shapes (4, N) and (4, M).
    """
    both_sides = np.minimum(a[2:, :, None], b[2:, None])
    both_sides -= np.maximum(a[:2, :, None], b[:2, None])
    np.maximum(both_sides, 0.0, out=both_sides)
    shared = both_sides[0] * both_sides[1]
    places = (shared > 0.0).reshape(-1).nonzero()[0]
    rows, columns = np.divmod(places, b.shape[1])
    both = shared.reshape(-1).take(places)
    size_a, size_b = a[2:] - a[:2], b[2:] - b[:2]
    either = (size_a[0] * size_a[1]).take(rows)
    either += (size_b[0] * size_b[1]).take(columns)
    either -= both
    both /= either
    return rows, columns, both


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
