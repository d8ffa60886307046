"""Whether a Pehra works with a state folder now; the daemon holds the lock (`daemon.py`)."""

from __future__ import annotations

import fcntl
from pathlib import Path


def is_running(state: Path) -> bool:
    """Whether a Pehra runs with this state folder now: it holds the lock there."""
    try:
        with (state / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
