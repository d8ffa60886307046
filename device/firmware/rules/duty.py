"""Duty: a rule, when it is on, and how long its events are folded.

The wall clock is met here and not in the rules. A rule that goes off duty forgets whom it saw; when it comes
on again everything begins anew: who is in a closed market at ten o'clock has entered it at ten o'clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from device.firmware.rules.happening import Happening, Occupied, Rule, Small, Watcher
from device.firmware.rules.schedule import Schedule
from device.firmware.tracks import Tracks


@dataclass(slots=True)
class Duty:
    """One rule at work.

    Attributes:
        rule: what notices.
        schedule: when; None for always.
        cooldown_s: see `fold.py`; 0 sends every happening.
    """

    rule: Rule
    schedule: Schedule | None = None
    cooldown_s: float = 0.0
    _is_on: bool = True
    _newest_id: int = 0
    _known_id: int = 0

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.name

    @property
    def is_watching(self) -> bool:
        """Whether the rule wants small pictures."""
        return isinstance(self.rule, Watcher)

    def apply(self, tracks: Tracks, mono_s: float, utc_s: float) -> list[Happening]:
        """Return what came true with this frame, nothing when off duty; `utc_s` is the frame's wall time."""
        if not self._turned(utc_s):
            self._newest_id = max(self._newest_id, int(tracks.ids.max(initial=0)))
            return []
        if self._known_id and tracks.first_boxes is not None:
            # Where those began who came while it was off duty is none of its business.
            is_old = tracks.ids[:, None] <= self._known_id
            tracks = replace(tracks, first_boxes=np.where(is_old, tracks.boxes, tracks.first_boxes))
        return self.rule.apply(tracks, mono_s)

    def watch_small(self, small: Small, mono_s: float, utc_s: float) -> list[Happening]:
        """See `Watcher.watch_small`; nothing when off duty."""
        if not self._turned(utc_s) or not isinstance(self.rule, Watcher):
            return []
        return self.rule.watch_small(small, mono_s)

    def occupancy(self) -> dict[int, int] | None:
        """Return how many of each class are inside now; None for a rule that does not know."""
        return self.rule.occupancy() if isinstance(self.rule, Occupied) else None

    def _turned(self, utc_s: float) -> bool:
        """Turn the rule on or off as the schedule says; return which."""
        is_on = self.schedule is None or self.schedule.is_open(utc_s)
        if is_on and not self._is_on:
            self._known_id = self._newest_id
        if self._is_on and not is_on:
            self.rule.forget()
        self._is_on = is_on
        return is_on
