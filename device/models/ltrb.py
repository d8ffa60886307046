"""Pehra's own head, `pehra-ltrb`: three strides, each a grid of scores and one of box sides.

Only what passes is made a number, and what a byte can mean is looked up in a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from device.models.bundle import Card
from device.models.candidates import Candidates, Floats, Integers, cleaned, not_finite, nothing, with_area
from device.models.labels import NOT_OURS
from device.models.quantise import Array, Levels, TensorSpec, real_table

STRIDES = (8, 16, 32)
"""Pixels of the input to one cell, of the three pairs of outputs."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """The two outputs of one stride of `pehra-ltrb`."""

    scores_at: int
    boxes_at: int
    scores: Levels
    boxes: Levels
    centres: Floats
    """Of its cells, (M, 4), x y x y, pixels."""
    signs: Floats
    """What a distance of one means in pixels to left, top, right and bottom."""


class _Cells:
    """Values of chosen cells out of one output of each stride, times a factor for each column.

    Where the outputs are 8 bits wide, all that a byte can mean is in one table, and cells of all strides are
    looked up at once.
    """

    def __init__(self, levels: Sequence[Levels], factors: Sequence[Floats], cells: Sequence[int]) -> None:
        self._levels, self._factors = levels, factors
        self._columns = len(factors[0])
        self.is_quantised = all(one.spec.is_quantised for one in levels)
        if self.is_quantised:
            tables = [real_table(one.spec) * own[:, None] for one, own in zip(levels, factors, strict=True)]
            self._table = np.concatenate(tables).reshape(-1)
            starts = 256 * np.arange(len(levels) * self._columns).reshape(len(levels), self._columns)
            self._starts = np.repeat(starts, cells, axis=0)

    def real(self, values: Sequence[Array], cells: Integers) -> Floats:
        """Real values of these cells, numbered through all strides: (len(cells), columns)."""
        rows = [one.reshape(-1, self._columns) for one in values]
        if self.is_quantised:
            chosen = np.concatenate(rows).take(cells, axis=0).view(np.uint8)
            return self._table.take(chosen + self._starts.take(cells, axis=0))
        return self._dequantised(rows)[cells]

    def at_least(self, values: Sequence[Array], real: float) -> tuple[Integers, Integers, Floats]:
        """Cells and columns of the values that are at least `real`, in rising order, and these values."""
        rows = [one.reshape(-1, self._columns) for one in values]
        hits = np.concatenate(
            [levels.at_least(one, real) for levels, one in zip(self._levels, rows, strict=True)]
        )
        places = hits.reshape(-1).nonzero()[0]
        cells, columns = np.divmod(places, self._columns)
        if self.is_quantised:
            chosen = np.concatenate(rows).take(places).view(np.uint8)
            return cells, columns, self._table.take(chosen + self._starts.take(places))
        return cells, columns, self._dequantised(rows).take(places)

    def _dequantised(self, rows: Sequence[Array]) -> Floats:
        each = zip(self._levels, rows, self._factors, strict=True)
        return np.concatenate([levels.real(one) * own for levels, one, own in each])


class PehraLtrb:
    """Pehra's own head: for each stride a grid of class probabilities and one of side distances.

    Scores are 1 x H/s x W/s x C; boxes 1 x H/s x W/s x 4 hold the distances from the centre of the cell,
    ((x + 0.5) s, (y + 0.5) s), to left, top, right and bottom in units of the stride s (FCOS, Tian et
    al. 2019, equation 1). A candidate has the class that is its surest.
    """

    needs_nms = True

    def __init__(self, outputs: Sequence[TensorSpec], ours: Integers, card: Card) -> None:
        self._size = np.array([card.input.width, card.input.height] * 2, np.float32)
        self._ours = ours
        if (ours == NOT_OURS).any():
            raise ValueError("all labels must be classes of Pehra")
        self._grids = [_grid(outputs, stride, len(ours), card) for stride in STRIDES]
        self._centres = np.concatenate([grid.centres for grid in self._grids])
        cells = [len(grid.centres) for grid in self._grids]
        as_they_are = [np.ones(len(ours), np.float32)] * len(cells)
        self._scores = _Cells([grid.scores for grid in self._grids], as_they_are, cells)
        self._sides = _Cells(
            [grid.boxes for grid in self._grids], [grid.signs for grid in self._grids], cells
        )

    def decode(self, outputs: Sequence[Array], conf: float) -> Candidates:
        """See :meth:`Decoder.decode`."""
        raw = [outputs[grid.scores_at] for grid in self._grids]
        dropped = sum(map(not_finite, raw))
        cells, columns, scores = self._surest(raw, conf)
        if not len(cells):
            return nothing(dropped)
        boxes = self._sides.real([outputs[grid.boxes_at] for grid in self._grids], cells)
        boxes += self._centres.take(cells, axis=0)
        boxes /= self._size
        classes = self._ours.take(columns)
        if not (self._scores.is_quantised and self._sides.is_quantised):
            return cleaned(classes, scores, boxes, dropped)
        return with_area(Candidates(classes, scores, boxes, dropped))

    def _surest(self, raw: Sequence[Array], conf: float) -> tuple[Integers, Integers, Floats]:
        """Cells in which a class passes, through all strides in rising order; its column and its score."""
        cells, columns, scores = self._scores.at_least(raw, conf)
        if not self._scores.is_quantised:
            is_sound = np.isfinite(scores)
            cells, columns, scores = cells[is_sound], columns[is_sound], scores[is_sound]
        is_again = cells[1:] == cells[:-1]
        if is_again.any():
            # Of each cell the surest first, of equals the first column.
            order = np.lexsort((columns, -scores, cells))
            ranked = cells[order]
            first = order[np.concatenate([[True], ranked[1:] != ranked[:-1]])]
            cells, columns, scores = cells[first], columns[first], scores[first]
        return cells, columns, scores


def _grid(outputs: Sequence[TensorSpec], stride: int, class_count: int, card: Card) -> _Grid:
    """Find the outputs of one stride by their shapes, or by name where four classes look like a box."""
    rows, columns = -(-card.input.height // stride), -(-card.input.width // stride)
    mine = [n for n, spec in enumerate(outputs) if spec.shape[:3] == (1, rows, columns)]
    scores = [n for n in mine if outputs[n].shape[3:] == (class_count,)]
    boxes = [n for n in mine if outputs[n].shape[3:] == (4,)]
    if class_count == 4:
        scores = [n for n in scores if "score" in outputs[n].name]
        boxes = [n for n in boxes if n not in scores]
    if len(scores) != 1 or len(boxes) != 1:
        raise ValueError(
            f"stride {stride} needs 1x{rows}x{columns}x{class_count} and 1x{rows}x{columns}x4, "
            f"there are {[spec.shape for spec in outputs]}"
        )
    y, x = np.divmod(np.arange(rows * columns), columns)
    centres = (np.stack([x, y, x, y], axis=1).astype(np.float32) + np.float32(0.5)) * np.float32(stride)
    signs = np.array([-stride, -stride, stride, stride], np.float32)
    levels = (Levels(outputs[scores[0]]), Levels(outputs[boxes[0]]))
    return _Grid(scores[0], boxes[0], *levels, centres, signs)
