"""Plane geometry on 0..1 picture coordinates: polygons, lines, boxes.

Pure functions of arrays; y grows downwards. Nothing here knows of tracks or rules.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""Shape (N, 2): x, y in 0..1."""
Boxes = npt.NDArray[np.float32]
"""Shape (N, 4): left, top, right, bottom in 0..1."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in 0..1, in plain numbers."""

CUT_OFF = 0.01
"""A side of a box so near to the picture's edge is the picture's, and not the object's."""
SHORTEST_LINE = 1e-3
"""A line shorter than this share of the picture cannot be meant."""
SMALLEST_AREA = 1e-5
"""A polygon smaller than this share of the picture (3 pixels of 640x480) cannot be meant."""


def bottom_centres(boxes: Boxes) -> Points:
    """Return where objects stand: the bottom centre of each box, shape (N, 2)."""
    feet = np.empty((len(boxes), 2))
    feet[:, 0] = (boxes[:, 0] + boxes[:, 2]) / 2.0
    feet[:, 1] = boxes[:, 3]
    return feet


def inside_polygon(points: Points, polygon: Points) -> npt.NDArray[np.bool_]:
    """Tell which points (N, 2) lie inside a polygon (K, 2), K >= 3, not closed; see `Polygon.holds`."""
    return Polygon(polygon).holds(points)


class Polygon:
    """An area that is asked often: what can be known of its edges is worked out once.

    Attributes:
        corners: shape (K, 2), K >= 3, not closed.
        group: the areas that are asked about the same points, this one among them; see `group_areas`.
    """

    def __init__(self, corners: Points) -> None:
        self.corners = np.asarray(corners, dtype=np.float64)
        self.group = Group([self])

    def holds(self, points: Points) -> npt.NDArray[np.bool_]:
        """Tell which points (N, 2) lie inside, shape (N,), by the even-odd rule."""
        held: npt.NDArray[np.bool_] = Group([self]).hold(points)[0]
        return held


class Group:
    """Areas that are asked about the same points: all of them cost hardly more than one.

    Attributes:
        areas: P of them.
    """

    def __init__(self, areas: Sequence[Polygon]) -> None:
        self.areas = tuple(areas)
        most = max((len(area.corners) for area in areas), default=0)
        # One with fewer corners repeats its last: an edge without length is crossed by no ray.
        rings = [
            area.corners[[*range(len(area.corners)), *[-1] * (most - len(area.corners))]] for area in areas
        ]
        corners = np.array(rings).reshape(len(areas), most, 1, 2)
        self._x, self._y = corners[..., 0], corners[..., 1]
        following = np.roll(corners, -1, axis=1)
        self._next_y = following[..., 1]
        rise = self._next_y - self._y
        # A level edge is crossed by no level ray; its run must only not divide by zero.
        self._run = (following[..., 0] - self._x) / np.where(rise == 0.0, 1.0, rise)

    def hold(self, points: Points) -> npt.NDArray[np.bool_]:
        """Tell which points (N, 2) lie inside which area, by the even-odd rule.

        Returns:
            Shape (P, N). Source: W. R. Franklin, PNPOLY (crossing number of a horizontal ray).
        """
        x, y = points[:, 0], points[:, 1]
        crossed = x < self._run * (y - self._y) + self._x
        crossed &= (self._y > y) != (self._next_y > y)
        held: npt.NDArray[np.bool_] = np.logical_xor.reduce(crossed, axis=1)
        return held


def group_areas(areas: Sequence[Polygon]) -> None:
    """Let these areas be asked together from now on."""
    group = Group(areas)
    for area in areas:
        area.group = group


def signed_distances(points: Points, start: Points, end: Points) -> npt.NDArray[np.float64]:
    """Return each point's distance from the infinite line, > 0 on its right as seen on the screen.

    Args:
        points: shape (N, 2).
        start: shape (2,), where the line begins.
        end: shape (2,), where it ends; not equal to `start`.

    Returns:
        Shape (N,), in picture units.
    """
    direction = end - start
    offset = points - start
    cross = direction[0] * offset[:, 1] - direction[1] * offset[:, 0]
    distances: npt.NDArray[np.float64] = cross / np.hypot(direction[0], direction[1])
    return distances


def segments_cross(a: Points, b: Points, c: Points, d: Points) -> bool:
    """Tell whether segment a-b and segment c-d have a point in common (touching counts).

    Each argument has shape (2,). Source: orientation test, Cormen et al., "Introduction to Algorithms",
    section 33.1.
    """
    o1, o2 = _turn(a, b, c), _turn(a, b, d)
    o3, o4 = _turn(c, d, a), _turn(c, d, b)
    if ((o1 > 0) != (o2 > 0)) and ((o3 > 0) != (o4 > 0)) and o1 * o2 != 0 and o3 * o4 != 0:
        return True
    on_first = (o1 == 0 and _between(a, b, c)) or (o2 == 0 and _between(a, b, d))
    on_second = (o3 == 0 and _between(c, d, a)) or (o4 == 0 and _between(c, d, b))
    return on_first or on_second


def polygon_fault(points: Sequence[tuple[float, float]]) -> str:
    """Say what is wrong with a polygon, or return an empty string.

    A good one has at least 3 corners, an area, and edges that meet only at its corners.
    """
    if len(points) < 3:
        return f"a zone needs at least 3 points, this one has {len(points)}"
    if points[0] == points[-1]:
        return "the last point repeats the first: leave it out, a zone closes by itself"
    corners = np.asarray(points, dtype=np.float64)
    x, y = corners[:, 0], corners[:, 1]
    area = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2.0
    count = len(points)
    for i in range(count):
        for j in range(i + 2, count):
            if i == 0 and j == count - 1:
                continue
            if segments_cross(corners[i], corners[(i + 1) % count], corners[j], corners[(j + 1) % count]):
                return f"edge {i + 1} crosses edge {j + 1}: give the corners in order around the zone"
    if area < SMALLEST_AREA:
        return "the zone has no area"
    return ""


def line_fault(points: Sequence[tuple[float, float]]) -> str:
    """Say what is wrong with a line, or return an empty string."""
    if len(points) != 2:
        return f"a line needs exactly 2 points, this one has {len(points)}"
    (ax, ay), (bx, by) = points
    if (bx - ax) ** 2 + (by - ay) ** 2 < SHORTEST_LINE**2:
        return "both ends of the line are the same point"
    return ""


def least_shift(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Return how far a box has moved for sure along one axis, in shares of the picture.

    Of both sides and the middle that counts which moved least: a box that loses a part of its object, feet or
    a half hidden side, and finds it again, has not moved. Sides that the picture's edge cuts off say nothing.

    Args:
        before: its low and its high side, 0..1.
        after: the same now.
    """
    shift = abs(sum(after) - sum(before)) / 2.0
    if min(before[0], after[0]) > CUT_OFF:
        shift = min(shift, abs(after[0] - before[0]))
    if max(before[1], after[1]) < 1.0 - CUT_OFF:
        shift = min(shift, abs(after[1] - before[1]))
    return shift


def overlaps(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """Return the intersection over union of every pair, shape (len(a), len(b)), in 0..1."""
    shared = _shared(a, b)
    return _share(shared, _areas(a)[:, None] + _areas(b)[None, :] - shared)


def covers(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    """Return which share of each pair's smaller box the other covers, shape (len(a), len(b)), in 0..1."""
    return _share(_shared(a, b), np.minimum(_areas(a)[:, None], _areas(b)[None, :]))


def _shared(a: Boxes, b: Boxes) -> npt.NDArray[np.float32]:
    left_top = np.maximum(a[:, None, :2], b[None, :, :2])
    right_bottom = np.minimum(a[:, None, 2:], b[None, :, 2:])
    size = np.clip(right_bottom - left_top, 0.0, None)
    shared: npt.NDArray[np.float32] = size[..., 0] * size[..., 1]
    return shared


def _areas(boxes: Boxes) -> npt.NDArray[np.float32]:
    areas: npt.NDArray[np.float32] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def _share(part: npt.NDArray[np.float32], whole: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    ratio: npt.NDArray[np.float32] = np.divide(
        part, whole, out=np.zeros_like(part), where=whole > 0.0, dtype=np.float32, casting="same_kind"
    )
    return ratio


def _turn(a: Points, b: Points, c: Points) -> float:
    return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _between(a: Points, b: Points, c: Points) -> bool:
    return bool(min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1]))
