"""Runs one device: configuration, daemon, signals, exit code: `python -m device.firmware device.toml`."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path

from device.errors import PartDied, PehraDeviceError
from device.firmware.config import Config, load_config
from device.firmware.daemon import Daemon
from device.firmware.logs import begin_logging
from device.firmware.remote import ConfigStore, LogRing, Remote
from device.firmware.service import Service

EXIT_OK = 0
EXIT_PART_DIED = 1
EXIT_CANNOT_START = 2
EXIT_RESTART = 75
"""A restart was asked for (sysexits.h, EX_TEMPFAIL: try again); the service manager starts it anew."""


def run_device(config_file: Path) -> int:
    """Run until SIGTERM or SIGINT; return 0, 1: a part died, 2: it cannot start, 75: to be started anew."""
    begin_logging()
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    logs = LogRing()
    logging.getLogger().addHandler(logs)
    try:
        return _live(config_file, logs, stop)
    finally:
        logging.getLogger().removeHandler(logs)


def _live(config_file: Path, logs: LogRing, stop: threading.Event) -> int:
    """Run the daemon, and run it anew with each configuration that is to hold."""
    log = logging.getLogger(__name__)
    remote, service = None, Service.from_environment()
    while True:
        try:
            remote = remote or open_remote(load_config(config_file), logs)
            daemon = Daemon(remote.config, service, remote=remote, logs=logs)
        except PehraDeviceError as error:
            if remote is not None and remote.give_up(str(error)):
                continue
            log.error("cannot start: %s", error)
            return EXIT_CANNOT_START
        try:
            daemon.run(stop)
        except PartDied as error:
            log.error("stopped: %s", error)
            return EXIT_PART_DIED
        if daemon.ending != "configuration":
            return EXIT_RESTART if daemon.ending else EXIT_OK
        remote.begin()


def open_remote(base: Config, logs: LogRing) -> Remote:
    """Return what the fleet has said to this device; its secrets no longer reach the log that it may read."""
    logs.hide(base.mqtt.password)
    return Remote(base, ConfigStore(Path(base.device.state) / "config"))


if __name__ == "__main__":
    sys.exit(run_device(Path(sys.argv[1] if len(sys.argv) > 1 else "/etc/pehra/device.toml")))
