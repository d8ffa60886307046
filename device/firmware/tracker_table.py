"""The tracker's memory: one row a track, one array a quantity. Knows nothing of what the quantities mean."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from device.models.labels import CLASSES

Float = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
"""Indices of rows."""
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Table:
    """N tracks.

    Attributes:
        ids: int64 (N,), unique for ever.
        hits: int64 (N,), detections so far that count towards being shown.
        born_s: (N,), when it was first detected.
        seen_s: (N,), when it was last detected, or known to be there because nothing moved.
        found_s: (N,), when it was last detected.
        is_shown: bool (N,), whether it counts.
        trial_s: (N,), when it is compared with the lost tracks again; infinite for never.
        still_since_s: (N,), since when it keeps its place.
        stirred_s: (N,), when something last moved where it stood unseen; minus infinity for never.
        still_at: (N, 2), the centre that it keeps.
        votes: float32 (N, classes), scores of its detections by class, old ones weighing less.
        scores: float32 (N,), of the latest detection.
        first: float32 (N, 4), box of the first detection: left, top, right, bottom.
        latest: float32 (N, 4), box of the latest.
        place: (N, 4), estimate of centre x, centre y, width, height in picture units.
        speed: (N, 4), of these a second.
        doubt: (N, 4), variance of place, in sizes squared.
        shared_doubt: (N, 4), covariance of place and speed.
        speed_doubt: (N, 4), variance of speed.
    """

    ids: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]
    born_s: Float
    seen_s: Float
    found_s: Float
    is_shown: Mask
    trial_s: Float
    still_since_s: Float
    stirred_s: Float
    still_at: Float
    votes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    first: npt.NDArray[np.float32]
    latest: npt.NDArray[np.float32]
    place: Float
    speed: Float
    doubt: Float
    shared_doubt: Float
    speed_doubt: Float

    @classmethod
    def empty(cls) -> Table:
        """No tracks."""
        none = np.empty(0)
        return cls(
            ids=np.empty(0, np.int64),
            hits=np.empty(0, np.int64),
            born_s=none,
            seen_s=none,
            found_s=none,
            is_shown=np.empty(0, np.bool_),
            trial_s=none,
            still_since_s=none,
            stirred_s=none,
            still_at=np.empty((0, 2)),
            votes=np.empty((0, len(CLASSES)), np.float32),
            scores=np.empty(0, np.float32),
            first=np.empty((0, 4), np.float32),
            latest=np.empty((0, 4), np.float32),
            place=np.empty((0, 4)),
            speed=np.empty((0, 4)),
            doubt=np.empty((0, 4)),
            shared_doubt=np.empty((0, 4)),
            speed_doubt=np.empty((0, 4)),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, other: Table) -> None:
        """Put the rows of another table after the own ones."""
        for name in _NAMES:
            setattr(self, name, np.concatenate([getattr(self, name), getattr(other, name)]))

    def keep(self, rows: Mask) -> None:
        """Forget all rows but these."""
        for name in _NAMES:
            setattr(self, name, getattr(self, name)[rows])

    def shift(self, elapsed_s: float) -> None:
        """Move all moments, as if the clock had always shown so much more."""
        for name in ("born_s", "seen_s", "found_s", "trial_s", "still_since_s", "stirred_s"):
            setattr(self, name, getattr(self, name) + elapsed_s)


_NAMES = tuple(one.name for one in fields(Table))
