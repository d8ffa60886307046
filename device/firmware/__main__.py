"""Runs one device: signals, log, and its life: `python -m device.firmware device.toml`."""

from __future__ import annotations

import faulthandler
import logging
import signal
import sys
import threading
from pathlib import Path

from device.firmware.life import Life
from device.firmware.logs import begin_logging
from device.firmware.remote import LogRing
from device.firmware.service import Service
from hardware.core_dump import forbid_core_dumps


def run_device(config_file: Path) -> int:
    """Run until SIGTERM or SIGINT; return 0, 1: a part died, 2: it cannot start, 75: to be started anew."""
    forbid_core_dumps()
    begin_logging()
    faulthandler.enable()
    stop, logs = threading.Event(), LogRing()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    logging.getLogger().addHandler(logs)
    try:
        return Life(config_file, stop, Service.from_environment(), logs=logs).run()
    finally:
        logging.getLogger().removeHandler(logs)


if __name__ == "__main__":
    sys.exit(run_device(Path(sys.argv[1] if len(sys.argv) > 1 else "/etc/pehra/device.toml")))
