"""Runs Mosquitto with a configuration of ours, and lets it read its files again when they change.

For the demo, tests and machines without systemd; where there is systemd, the units beside the configuration
do the same.
"""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import Final

from fleet.errors import FleetError, SettingsError

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
END_S: Final = 10.0
WATCHED: Final = ("crl.pem", "broker.pem", "ca.pem", "acl")


def find_mosquitto() -> str:
    """Return the path of the program; empty where it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin") or ""


def run_mosquitto(folder: Path, stop: threading.Event) -> None:
    """Run Mosquitto until `stop`.

    Args:
        folder: written by `write_secure_config`.
        stop: ends it.

    Raises:
        SettingsError: it is not installed, or the folder holds no configuration.
        FleetError: it ended by itself.
    """
    program, config = find_mosquitto(), folder / "mosquitto.conf"
    if not program:
        raise SettingsError("mosquitto is not installed (Debian: apt install mosquitto)")
    if not config.is_file():
        raise SettingsError(f"there is no {config}: `pehra fleet broker-config` writes it")
    before = _stamps(folder)
    process = subprocess.Popen([program, "-c", str(config)])  # noqa: S603 (a program found by its name)
    try:
        while not stop.wait(LOOK_S):
            if process.poll() is not None:
                raise FleetError(f"mosquitto ended with {process.returncode}: see the lines above")
            now = _stamps(folder)
            if now != before:
                before = now
                process.send_signal(signal.SIGHUP)
                log.info("mosquitto reads its files again folder=%s", folder)
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _stamps(folder: Path) -> list[tuple[int, int]]:
    found = []
    for name in WATCHED:
        try:
            status = (folder / name).stat()
        except OSError:
            continue
        found.append((status.st_mtime_ns, status.st_ino))
    return found
