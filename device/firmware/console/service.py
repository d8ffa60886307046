"""The camera's service, as far as the console touches it: it is started anew, by systemd."""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path
from typing import Final

from device.errors import StateUnavailable
from device.firmware.state_lock import is_running
from device.firmware.unit import UNIT_NAME

_log = logging.getLogger(__name__)

RESTART_S: Final = 120.0
"""Stopping may take 60 s, and loading a model its time."""


def enrol_now(state: Path) -> None:
    """Let a service that works without an identity start anew, so that it finds the ticket that was kept.

    One that waits for a ticket finds it by itself (`enrol.Enroller`), one that does not run at its start.
    """
    if not is_running(state):
        return
    try:
        restart_service()
    except StateUnavailable as error:
        _log.warning("console: the service enrols at its next start error=%s", error)


def restart_service(systemctl: str = "systemctl") -> None:
    """Start the camera's service anew.

    Raises:
        StateUnavailable: there is no systemd, or it says no.
    """
    if shutil.which(systemctl) is None:
        raise StateUnavailable(systemctl, "this board has no systemd")
    command = [systemctl, "--no-ask-password", "restart", UNIT_NAME]
    try:
        done = subprocess.run(  # noqa: S603 (a list of arguments; no shell)
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=RESTART_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StateUnavailable(UNIT_NAME, f"it was not started anew: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[:200] or f"systemctl ended with {done.returncode}"
        raise StateUnavailable(UNIT_NAME, f"it was not started anew: {said}")
