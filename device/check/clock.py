"""The clock: whether its year makes sense, and whether a time server keeps it right."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from device.check.finding import Finding, ok, warn
from device.check.finding import fail as failed
from device.firmware.clock import clock_state

TIMEDATECTL_S: Final = 3.0
LAST_YEAR: Final = 2100
_TIME_ERROR: Final = 5
"""What adjtimex(2) returns while nobody keeps the clock right."""
_TIMEX_BYTES: Final = 512
"""More than `struct timex` has anywhere; all zero means: only tell."""


def look_at_clock(utc_s: float, is_kept: bool | None) -> Iterator[Finding]:
    """Judge the clock.

    Args:
        utc_s: what it shows, Unix seconds.
        is_kept: whether a time server keeps it right; None where that is not known.
    """
    shown = datetime.fromtimestamp(utc_s, UTC)
    said = f"{shown:%Y-%m-%d %H:%M:%S} UTC"
    way = "give it a time server: `timedatectl set-ntp true`, port 123/udp open, or an RTC with a battery"
    if clock_state(utc_s) != "synced" or shown.year >= LAST_YEAR:
        yield failed("clock", f"{said}: it was never set", f"{way}. TLS fails until then")
    elif is_kept is None:
        yield warn("clock", f"{said}; whether a time server keeps it is not known", "compare it with a watch")
    elif not is_kept:
        yield warn("clock", f"{said}, but no time server keeps it right", way)
    else:
        yield ok("clock", f"{said}, kept right by a time server")


def is_kept() -> bool | None:
    """Whether a time server keeps the kernel's clock right; asks the kernel, then systemd."""
    told = _kernel_says()
    return _systemd_says() if told is None else told


def _kernel_says() -> bool | None:
    """What adjtimex(2) says, which needs neither systemd nor privileges to be read."""
    try:
        libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError, TypeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def _systemd_says() -> bool | None:
    try:
        done = subprocess.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],  # noqa: S607 (found by PATH)
            capture_output=True,
            timeout=TIMEDATECTL_S,
            check=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())
