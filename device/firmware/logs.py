"""How log lines look: with their time for a file or a screen, without it for the journal, which has it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final

_SHORT: Final = "%(levelname)s %(name)s %(message)s"


def begin_logging(environment: Mapping[str, str] = os.environ) -> None:
    """Let the process log to standard error, from INFO up; `tuf` would name there keys that need not sign."""
    logging.basicConfig(level=logging.INFO, format=log_format(environment))
    logging.getLogger("tuf").setLevel(logging.WARNING)


def log_format(environment: Mapping[str, str]) -> str:
    """Return `logging`'s format for where standard error goes."""
    return _SHORT if is_journal(environment) else f"%(asctime)s {_SHORT}"


def is_journal(environment: Mapping[str, str]) -> bool:
    """Whether standard error is the journal's stream, which `JOURNAL_STREAM` names (systemd.exec(5))."""
    try:
        stat = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return environment.get("JOURNAL_STREAM", "") == f"{stat.st_dev}:{stat.st_ino}"
