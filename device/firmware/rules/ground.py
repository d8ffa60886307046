"""From the picture to metres on the ground, by four points that somebody measured.

The ground must be flat where it matters. The mapping is the plane homography through the four points, solved
exactly. Source: R. Hartley, A. Zisserman, "Multiple View Geometry in Computer Vision", 2nd edition, section
4.1 (the direct linear transformation, with the last element set to 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from device.firmware.geometry import Points

CORNERS: Final = 4
FLATTEST: Final = 0.01
"""Three points whose triangle has less than this share of the whole extent squared lie on a line."""
Matrix = npt.NDArray[np.float64]


class Ground:
    """A measured piece of ground.

    Attributes:
        matrix: shape (3, 3), picture (0..1) to metres, homogeneous.
    """

    def __init__(self, points: Points, metres: Points) -> None:
        """Solve the mapping; both have shape (4, 2), see `ground_fault` for what they must be."""
        self.matrix = homography(points, metres)

    def metres(self, points: Points) -> Points:
        """Return where picture points (N, 2) lie on the ground, metres; not a number beyond the horizon."""
        homogeneous = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        scale = homogeneous[:, 2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            placed: Points = np.where(scale > 0.0, homogeneous[:, :2] / scale, np.nan)
        return placed


def homography(points: Points, targets: Points) -> Matrix:
    """Return the matrix (3, 3) that takes four points to four targets, positive in its third row there.

    Args:
        points: shape (4, 2), no three on a line.
        targets: shape (4, 2), no three on a line.

    Raises:
        LinAlgError: three of the points lie on a line, or their middle would lie at infinity.
    """
    # Both are brought to a middle size first, which keeps the equations well conditioned (ibid., 4.4).
    from_unit, to_unit = _to_unit(points), _to_unit(targets)
    rows, right = [], []
    for (x, y), (u, v) in zip(_moved(points, from_unit), _moved(targets, to_unit), strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        right += [u, v]
    solved = np.append(np.linalg.solve(np.array(rows), np.array(right)), 1.0).reshape(3, 3)
    matrix = np.linalg.inv(to_unit) @ solved @ from_unit
    scale = points @ matrix[2, :2] + matrix[2, 2]
    whole: Matrix = matrix * np.sign(scale[0])
    return whole


def ground_fault(points: Sequence[tuple[float, float]], metres: Sequence[tuple[float, float]]) -> str:
    """Say what is wrong with a calibration, or return an empty string."""
    if len(points) != CORNERS or len(metres) != CORNERS:
        return f"four corners in points and the same four in ground, not {len(points)} and {len(metres)}"
    picture, ground = np.asarray(points, np.float64), np.asarray(metres, np.float64)
    for what, corners in (("points", picture), ("ground", ground)):
        if fault := _corners_fault(what, corners):
            return fault
    try:
        matrix = homography(picture, ground)
        is_mapped = np.isfinite(matrix).all() and (picture @ matrix[2, :2] + matrix[2, 2] > 0.0).all()
    except np.linalg.LinAlgError:  # the horizon goes through the middle of the points
        is_mapped = False
    if not is_mapped:
        return "points and ground go around in different orders: give the same corner the same place in both"
    return ""


def _corners_fault(what: str, corners: Points) -> str:
    extent = float(np.linalg.norm(corners.max(axis=0) - corners.min(axis=0)))
    for (i, a), (j, b) in combinations(enumerate(corners), 2):
        if np.linalg.norm(a - b) <= 1e-6 * max(extent, 1e-9):
            return f"{what} {i + 1} and {j + 1} are the same"
    for (i, a), (j, b), (k, c) in combinations(enumerate(corners), 3):
        if abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])) < FLATTEST * extent**2:
            return f"{what} {i + 1}, {j + 1} and {k + 1} lie on a line"
    return ""


def _to_unit(points: Points) -> Matrix:
    """Return the shift and scale that bring points around the origin, about one in size."""
    middle = points.mean(axis=0)
    scale = 1.0 / max(float(np.abs(points - middle).max()), 1e-12)
    return np.array([[scale, 0, -scale * middle[0]], [0, scale, -scale * middle[1]], [0, 0, 1]])


def _moved(points: Points, matrix: Matrix) -> Points:
    moved: Points = points @ matrix[:2, :2].T + matrix[:2, 2]
    return moved
