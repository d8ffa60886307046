"""Moments that were kept by a wall clock which may have been wrong then, or not set at all. Pure.

A board without a battery wakes in the past; one whose network's time was wrong has lived in the future.
Nothing may last for ever because of that, nor be over at once.
"""

from __future__ import annotations

from typing import Final

from device.firmware.clock import clock_state

AHEAD_S: Final = 3600.0
"""A moment that lies further in the future than this was kept by a clock that was wrong."""


def begun(since_s: float, now_s: float) -> float:
    """Return when something began, in Unix seconds; 0 while the clock is not set.

    Args:
        since_s: as it was kept; 0 where the clock was not set.
        now_s: Unix seconds.
    """
    if clock_state(now_s) != "synced" or 0.0 < since_s <= now_s + AHEAD_S:
        return since_s
    return now_s


def ending(until_s: float, now_s: float, lasts_s: float) -> float:
    """Return when something ends, in Unix seconds; as it was kept while the clock is not set.

    Args:
        until_s: as it was kept.
        now_s: Unix seconds.
        lasts_s: how long it lasts.
    """
    if clock_state(now_s) != "synced":
        return until_s
    is_odd = clock_state(until_s) != "synced" or until_s > now_s + lasts_s + AHEAD_S
    return now_s + lasts_s if is_odd else until_s
