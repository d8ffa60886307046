"""Lets through no more frames than were asked for; it decides by the times it is given and never waits."""

from __future__ import annotations

from math import inf


class Rate:
    """At most `fps` a second on average, from a source that gives more; 0 lets everything through."""

    def __init__(self, fps: float) -> None:
        self._spacing_s = 1 / fps if fps > 0 else 0.0
        self._due_s = -inf

    def lets_through(self, now_s: float) -> bool:
        """Whether the frame that came at `now_s` (monotonic seconds) is wanted; if so, the next is due later.

        A frame that is nearly due passes, so that a source's jitter does not halve the rate.
        """
        if now_s < self._due_s - self._spacing_s / 4:
            return False
        is_late = now_s - self._due_s > self._spacing_s
        self._due_s = (now_s if is_late else self._due_s) + self._spacing_s
        return True
