"""MOTChallenge text files: detections in, tracks out.

A line is `frame,id,left,top,width,height,confidence,...` in pixels, frames counted from 1; what comes after
the confidence is not read. Knows nothing of tracking, and never guesses what a line may have meant.

Source of the format: Leal-Taixé et al., "MOTChallenge 2015" (arXiv:1504.01942), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
MOST_PIXELS: Final = 1e6
"""A coordinate beyond this is no pixel of any camera."""
MOST_FRAMES: Final = 10**9
_COLUMNS: Final = "frame,id,left,top,width,height,confidence"


class BadRow(Exception):
    """A line that cannot be read: which, why, and what to do."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Boxes:
    """Detections of a whole sequence.

    Attributes:
        frames: int64 (N,), from 1, in rising order.
        boxes: (N, 4), left, top, right, bottom in pixels.
        scores: (N,), as in the file, of any range.
        empty: lines left out because their box has no width or no height.
    """

    frames: npt.NDArray[np.int64]
    boxes: Float
    scores: Float
    empty: int = 0

    def __len__(self) -> int:
        return len(self.frames)


class Row(NamedTuple):
    """One line of a result: an object in a frame, its box in pixels."""

    frame: int
    track: int
    left: float
    top: float
    right: float
    bottom: float


def read_boxes(lines: Iterable[str]) -> Boxes:
    """Read detections, in any order of frames; blank lines and lines that begin with `#` are passed over.

    Raises:
        BadRow: At the first line that cannot be read.
    """
    rows, empty = [], 0
    for number, line in enumerate(lines, start=1):
        text = line.strip().lstrip("\ufeff")
        if not text or text.startswith("#"):
            continue
        row = _parsed(number, text)
        if row[3] > 0.0 and row[4] > 0.0:
            rows.append(row)
        else:
            empty += 1
    table = np.array(rows, np.float64).reshape(-1, 6)
    table = table[np.argsort(table[:, 0], kind="stable")]
    corners = np.concatenate([table[:, 1:3], table[:, 1:3] + table[:, 3:5]], axis=1)
    return Boxes(table[:, 0].astype(np.int64), corners, table[:, 5], empty)


def _parsed(number: int, text: str) -> tuple[float, ...]:
    """Return frame, left, top, width, height and confidence of a line."""
    cells = text.split(",") if "," in text else text.split()
    if len(cells) < 6:
        raise BadRow(number, f"{len(cells)} columns, but at least 6 are needed: write {_COLUMNS}")
    frame = _number(number, "frame", cells[0])
    if frame != int(frame) or not 1 <= frame <= MOST_FRAMES:
        raise BadRow(number, f"frame {cells[0].strip()}: frames are whole numbers from 1 to {MOST_FRAMES}")
    box = [
        _number(number, name, cell)
        for name, cell in zip(("left", "top", "width", "height"), cells[2:6], strict=True)
    ]
    if max(map(abs, box)) > MOST_PIXELS:
        raise BadRow(number, f"a box beyond {MOST_PIXELS:.0f} pixels: give pixels, or delete the line")
    score = _number(number, "confidence", cells[6]) if len(cells) > 6 and cells[6].strip() else 1.0
    return (frame, *box, score)


def _number(line: int, name: str, cell: str) -> float:
    try:
        value = float(cell.replace("_", "x"))  # float() takes 1_0 for 10
    except ValueError:
        raise BadRow(line, f"{name} is {cell.strip()!r}, not a number: mend or delete the line") from None
    if not math.isfinite(value):
        raise BadRow(line, f"{name} is {cell.strip()}: mend or delete the line")
    return value


def result_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Return the lines of a MOTChallenge result, by frame and then by track."""
    for row in sorted(rows):
        width, height = row.right - row.left, row.bottom - row.top
        yield f"{row.frame},{row.track},{row.left:.2f},{row.top:.2f},{width:.2f},{height:.2f},1,-1,-1,-1\n"
