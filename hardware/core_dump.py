"""Core dumps, which would put raw frames on the disk, are forbidden to the calling process.

A log of the crash with each thread's stack is what `faulthandler` writes; it holds no frame.
"""

from __future__ import annotations

import resource


def forbid_core_dumps() -> None:
    """Let no crash of this process, or of one that it starts, write its memory anywhere.

    systemd-coredump keeps to the limit as well (core(5)).
    """
    if resource.getrlimit(resource.RLIMIT_CORE) != (0, 0):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
