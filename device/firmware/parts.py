"""The table of the daemon's parts: when each is needed, how long it may be silent, and what then is done.

Decisions only, of values that are given; the threads and processes behind the parts are others'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

RESTART_WINDOW_S: Final = 600.0
"""Restarts longer ago are forgiven."""

NO_LIMIT_S: Final = float("inf")
"""For a part that is watched over elsewhere: a camera that is silent is lost, not the device."""

Step = Literal["leave", "start", "stop", "restart", "end"]
"""What is to be done about a part; `end`: the whole daemon ends in order, to be started afresh."""


class Work(Protocol):
    """What stands behind a part."""

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""

    @property
    def beat_s(self) -> float:
        """Monotonic time of its last sign of life."""

    @property
    def last_error(self) -> str:
        """Why it ended by itself, as far as it could say."""

    def start(self) -> None:
        """Begin, or begin again after it has ended."""

    def stop(self) -> None:
        """End it in order; waits, but not for ever."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides which parts are needed.

    Attributes:
        is_safe: the device is in safe mode: it speaks, and watches nothing.
    """

    is_safe: bool = False


def always(situation: Situation) -> bool:
    """A part that every device needs."""
    del situation
    return True


def unless_safe(situation: Situation) -> bool:
    """A part that safe mode goes without."""
    return not situation.is_safe


@dataclass(frozen=True, slots=True)
class Part:
    """A line of the table.

    Attributes:
        name: for logs, and for the reason of safe mode.
        work: what it does.
        is_needed: whether it should run now.
        beat_limit_s: silent for longer, it counts as hung.
        restarts: how often within `RESTART_WINDOW_S` it is started again after it has ended by itself.
    """

    name: str
    work: Work
    is_needed: Callable[[Situation], bool]
    beat_limit_s: float
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of a part.

    Attributes:
        is_started: it was started and not stopped.
        is_alive: it runs.
        beat_s: monotonic time of its last sign of life.
        restarts_s: monotonic times of its restarts.
    """

    is_started: bool = False
    is_alive: bool = False
    beat_s: float = 0.0
    restarts_s: tuple[float, ...] = ()


def next_step(part: Part, pulse: Pulse, situation: Situation, now_s: float) -> Step:
    """Decide what to do about a part at a monotonic time.

    A part that hangs cannot be started again, because a thread cannot be ended from outside.
    """
    if not pulse.is_started:
        return "start" if part.is_needed(situation) else "leave"
    if not part.is_needed(situation):
        return "stop"
    if pulse.is_alive:
        return "leave" if now_s - pulse.beat_s <= part.beat_limit_s else "end"
    return "restart" if len(recent(pulse.restarts_s, now_s)) < part.restarts else "end"


def recent(restarts_s: tuple[float, ...], now_s: float) -> tuple[float, ...]:
    """Those of the restarts that still count."""
    return tuple(at_s for at_s in restarts_s if now_s - at_s < RESTART_WINDOW_S)
