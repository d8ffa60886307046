"""What can be said better afterwards: paths of whole sequences, from what the tracker said frame by frame.

A camera must answer at once; a file may be read to its end first. Then a track begins where the object was
first detected and not where it was believed, who was out of sight for a short while is led through, boxes
tremble less, and what was detected too seldom is no object. Nothing but the tracker's answers is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pehra.commands.track_files import Row

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PathSettings:
    """How paths are completed; times are seconds.

    Attributes:
        most_gap_s: an object out of sight for no longer is led through in a straight line.
        least_s: detections for so long, taken together, make an object.
        least_share: of the frames from the first to the last detection, so many must have one, 0..1.
        smooth_s: standard deviation of the weights with which neighbouring boxes are averaged.
    """

    most_gap_s: float = 1.2
    least_s: float = 0.5
    least_share: float = 0.33
    smooth_s: float = 0.2


@dataclass(slots=True)
class Path:
    """One object's boxes, by frame."""

    boxes: dict[int, tuple[float, ...]] = field(default_factory=dict)

    def whole(self) -> tuple[npt.NDArray[np.int64], Float]:
        """Return frames, rising, shape (N,), and boxes, shape (N, 4)."""
        frames = sorted(self.boxes)
        return np.array(frames, np.int64), np.array([self.boxes[frame] for frame in frames])


def complete(paths: dict[int, Path], fps: float, settings: PathSettings) -> list[Row]:
    """Return the rows of all paths that are objects, without short gaps."""
    rows: list[Row] = []
    for track, path in paths.items():
        frames, boxes = path.whole()
        if not _is_object(frames, fps, settings):
            continue
        filled, led = _led_through(frames, smoothed(frames, boxes, settings.smooth_s * fps), fps, settings)
        rows += [Row(int(frame), track, *map(float, box)) for frame, box in zip(filled, led, strict=True)]
    return rows


def _is_object(frames: npt.NDArray[np.int64], fps: float, settings: PathSettings) -> bool:
    span = int(frames[-1] - frames[0]) + 1
    return len(frames) >= max(3, settings.least_s * fps) and len(frames) >= settings.least_share * span


def smoothed(frames: npt.NDArray[np.int64], boxes: Float, width: float) -> Float:
    """Return each box as its neighbourhood's straight line gives it.

    Local linear regression with Gaussian weights (Fan and Gijbels, "Local Polynomial Modelling", 1996,
    section 2.3), which does not drag behind in motion nor at the ends.

    Args:
        frames: (N,), rising.
        boxes: (N, 4).
        width: standard deviation of the weights, in frames.
    """
    if width < 0.5:
        return boxes
    count, reach = len(frames), math.ceil(3.0 * width)
    sums, crossed = np.zeros((3, count)), np.zeros((2, count, 4))
    for step in range(-reach, reach + 1):
        here = np.arange(max(0, -step), min(count, count - step))
        apart = (frames[here + step] - frames[here]).astype(np.float64)
        weight = np.exp(-0.5 * (apart / width) ** 2)
        sums[:, here] += weight * np.stack([np.ones_like(apart), apart, apart**2])
        crossed[0, here] += weight[:, None] * boxes[here + step]
        crossed[1, here] += (weight * apart)[:, None] * boxes[here + step]
    total, first, second = sums
    spread = total * second - first**2
    is_line = spread > 1e-6 * total**2
    line = (second[:, None] * crossed[0] - first[:, None] * crossed[1]) / np.where(is_line, spread, 1.0)[
        :, None
    ]
    calm: Float = np.where(is_line[:, None], line, crossed[0] / total[:, None])
    return calm


def _led_through(
    frames: npt.NDArray[np.int64], boxes: Float, fps: float, settings: PathSettings
) -> tuple[npt.NDArray[np.int64], Float]:
    """Fill the gaps that are short enough with boxes on a straight line."""
    steps = np.diff(frames)
    missing = np.where(steps <= settings.most_gap_s * fps + 1.0, steps, 1)
    filled = np.concatenate([np.arange(a, a + n) for a, n in zip(frames, [*missing, 1], strict=True)])
    led = np.stack([np.interp(filled, frames, boxes[:, side]) for side in range(4)], axis=1)
    return filled, led
