"""Whether a model that was switched to stays: pace, latency and whether it sees at all. Pure.

Numbers of before and after are compared where there are any; a device that has just started has none of
before, and then only what is plainly too slow is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from device.firmware.updating.kind import GOOD, Verdict
from device.firmware.updating.rates import Rates, compared, in_words

LEAST_FPS: Final = 0.8
"""Of the frames a second before (UPDATES.md)."""
SLOWER: Final = 1.5
"""So much longer may an inference take than before, or as long as the fastest camera waits for a frame."""
FAR_SLOWER: Final = 2.0
"""Beyond this much of that budget a model is not even switched to."""
LEAST_INFERENCES: Final = 20
"""Fewer say nothing about the slowest twentieth."""
LEAST_WATCHED_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly was looked.

    Attributes:
        watched_s: seconds in which a camera gave pictures at its full rate, by camera.
        frames: taken down the road in them, by camera.
        p95_ms: of the inferences; None with too few.
    """

    watched_s: Mapping[str, float] = field(default_factory=dict)
    frames: Mapping[str, int] = field(default_factory=dict)
    p95_ms: float | None = None

    def fps(self, cameras: set[str]) -> float:
        """Frames a second of some cameras together."""
        return sum(self.frames[one] / self.watched_s[one] for one in cameras)

    def measured(self) -> set[str]:
        """Cameras of which enough was watched."""
        return {one for one, seconds in self.watched_s.items() if seconds >= LEAST_WATCHED_S}


def budget_ms(p95_before_ms: float | None, fastest_fps: float) -> float:
    """Return how long the slowest twentieth of the inferences may take."""
    return max(SLOWER * (p95_before_ms or 0.0), 1000.0 / fastest_fps)


def too_slow(invoke_ms: float, p95_before_ms: float | None, fastest_fps: float) -> str:
    """Return why a model is not even tried; empty where it may be.

    Args:
        invoke_ms: of one inference in the check, on a board that goes on looking meanwhile.
        p95_before_ms: of the model that runs.
        fastest_fps: of the cameras.
    """
    most = FAR_SLOWER * budget_ms(p95_before_ms, fastest_fps)
    return f"too slow: {invoke_ms:.0f} ms an inference, at most {most:.0f} here" if invoke_ms > most else ""


def judged(
    before: Pace,
    after: Pace,
    fastest_fps: float,
    rates_before: Mapping[str, Rates],
    rates_after: Mapping[str, Rates],
) -> Verdict:
    """Say whether a model has stood its probation, whose time is over."""
    both = before.measured() & after.measured()
    was, now = before.fps(both), after.fps(both)
    if now < LEAST_FPS * was:
        return Verdict("bad", f"{now:.1f} frames a second with it, {was:.1f} before")
    most = budget_ms(before.p95_ms, fastest_fps)
    if after.p95_ms is not None and after.p95_ms > most:
        return Verdict("bad", f"too slow: {after.p95_ms:.0f} ms an inference (p95), at most {most:.0f} here")
    fault = unlike(rates_before, rates_after)
    return Verdict("bad", fault) if fault else GOOD


def unlike(before: Mapping[str, Rates], after: Mapping[str, Rates]) -> str:
    """Return which camera sees otherwise than usual; empty where none does."""
    found = (in_words(one, compared(before[one], after[one])) for one in after if one in before)
    return next((words for words in found if words), "")
