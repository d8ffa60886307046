"""Runs one device: configuration, daemon, signals, exit code: `python -m device.firmware device.toml`."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path

from device.errors import PartDied, PehraDeviceError
from device.firmware.config import load_config
from device.firmware.daemon import Daemon
from device.firmware.logs import begin_logging
from device.firmware.service import Service

EXIT_OK = 0
EXIT_PART_DIED = 1
EXIT_CANNOT_START = 2


def run_device(config_file: Path) -> int:
    """Run until SIGTERM or SIGINT; return 0, 1 when a part died, or 2 when it cannot start."""
    begin_logging()
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    log = logging.getLogger(__name__)
    try:
        daemon = Daemon(load_config(config_file), Service.from_environment())
    except PehraDeviceError as error:
        log.error("cannot start: %s", error)
        return EXIT_CANNOT_START
    try:
        daemon.run(stop)
    except PartDied as error:
        log.error("stopped: %s", error)
        return EXIT_PART_DIED
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(run_device(Path(sys.argv[1] if len(sys.argv) > 1 else "/etc/pehra/device.toml")))
