"""Whether the wall clock can be believed."""

from __future__ import annotations

from typing import Final

from ota.messages.structs import ClockState

BUILT_UTC_S: Final = 1_767_225_600
"""2026-01-01: a clock before this was never set (most boards wake in 1970 or at their last power cut)."""


def clock_state(utc_s: float) -> ClockState:
    """Tell whether a moment of the wall clock (Unix seconds) can be believed."""
    return "synced" if utc_s >= BUILT_UTC_S else "unsynced"
