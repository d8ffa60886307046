"""How far a run is, told to whoever asked for it. Never prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """State of a run after a batch.

    Attributes:
        trained_s: Seconds of training so far, those before a resumption included.
        total_s: Seconds of training in all.
        side: Of the pictures it now learns from, in pixels.
        pictures_per_s: Of the last batches; 0 at the start.
        loss: Score and box loss of the last batches together; it falls.
        map50: Of the moving average on a part of the validation pictures, 0..1; None until first measured.
    """

    trained_s: float
    total_s: float
    side: int
    pictures_per_s: float = 0.0
    loss: float = 0.0
    map50: float | None = None


Tell = Callable[[Progress], None]


def silently(progress: Progress) -> None:
    """Tell nobody."""
