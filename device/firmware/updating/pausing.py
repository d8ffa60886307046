"""When it is tried again what could not be done: later and later, and at once where something has changed.

Used by the updater's thread alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from device.firmware.updating.kind import KindName

FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 600.0
LOOK_S: Final = 3.0
"""So often it is looked whether a stick came in, while something is waited for."""


class Pauses:
    """See the module; all moments are monotonic seconds.

    Args:
        surroundings: changes when it is worth asking again at once.
    """

    def __init__(self, surroundings: Callable[[], Hashable]) -> None:
        self._surroundings = surroundings
        self._around: Hashable = None
        self._looked_s = 0.0
        self._until: dict[KindName, tuple[float, float]] = {}

    def put_off(self, name: KindName, mono_s: float, least_s: float = FIRST_PAUSE_S) -> float:
        """Let a kind pause; return for how many seconds."""
        before_s = self._until.get(name, (0.0, 0.0))[1]
        pause_s = min(LONGEST_PAUSE_S, max(least_s, 2 * before_s))
        self._until[name] = (mono_s + pause_s, pause_s)
        self._around = self._surroundings()
        return pause_s

    def is_over(self, name: KindName, mono_s: float) -> bool:
        """Whether a kind may go on."""
        return mono_s >= self._until.get(name, (0.0, 0.0))[0]

    def end(self) -> None:
        """Let all go on."""
        self._until.clear()

    def look_around(self, mono_s: float) -> None:
        """Let all go on where something has changed."""
        if not self._until or mono_s - self._looked_s < LOOK_S:
            return
        self._looked_s = mono_s
        around = self._surroundings()
        if around != self._around:
            self._around = around
            self.end()
