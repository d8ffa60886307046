"""The last lines of the log, out of systemd's journal or a file; secrets are hidden before they leave."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import deque
from pathlib import Path
from typing import Final

from device.errors import StateUnavailable
from device.firmware.remote import LogRing
from device.firmware.unit import UNIT_NAME

READ_S: Final = 15.0
MOST_CHARS: Final = 400
_TICKET: Final = re.compile(r"pehra:[A-Za-z0-9_=-]{16,}")
_KEY_BLOCK: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*")


def last_lines(number: int, log_file: Path | None, journal: str = "journalctl") -> list[str]:
    """Return the last lines, oldest first.

    Args:
        number: at most so many.
        log_file: where the daemon's standard error goes; None asks the journal.
        journal: the program that reads it.

    Raises:
        StateUnavailable: there is no log, or it may not be read.
    """
    if log_file is not None:
        try:
            with log_file.open(encoding="utf-8", errors="replace") as file:
                return [line.rstrip("\n") for line in deque(file, maxlen=number)]
        except OSError as error:
            raise StateUnavailable(log_file, f"{error.strerror}: the log cannot be read") from error
    if shutil.which(journal) is None:
        raise StateUnavailable(journal, "this board has no systemd: name the log with --log FILE")
    command = [
        journal,
        "--unit",
        UNIT_NAME,
        "--lines",
        str(number),
        "--no-pager",
        "--quiet",
        "--output",
        "short-iso",
    ]
    try:
        done = subprocess.run(  # noqa: S603 (a list of arguments; no shell)
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=READ_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StateUnavailable(journal, f"the journal cannot be read: {error}") from error
    if done.returncode:
        reason = f"{done.stderr.strip()[:200]}: the console's user must be in the group systemd-journal"
        raise StateUnavailable(journal, reason)
    return done.stdout.splitlines()[-number:]


def hidden(lines: list[str], *secrets: str) -> list[str]:
    """Return the lines with secrets, tickets, keys, logins in addresses and named passwords masked."""
    ring = LogRing()
    ring.hide(*secrets)
    return [_KEY_BLOCK.sub("***", _TICKET.sub("***", ring.masked(line)))[:MOST_CHARS] for line in lines]
