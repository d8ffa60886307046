"""`python -m tests.system.short_life CONFIG SABOTAGE`: a device as systemd starts it, that goes wrong.

The life is the real one with limits of seconds in place of minutes. SABOTAGE: `none`; `raise` and `segfault`
strike in the thread that looks, at the third frame; `abort` in loading the model; `hang` stops the thread
that supervises. A file `healed` beside the configuration makes all of them harmless.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
from pathlib import Path

from device.firmware import daemon
from device.firmware.life import Life
from device.firmware.logs import begin_logging
from device.firmware.pipeline import Pipeline
from device.firmware.service import Service
from device.firmware.starts import Limits
from device.firmware.updating import model_slots

LIMITS = Limits(most=3, window_s=120.0, stable_s=3.0, first_wait_s=1.5, longest_wait_s=3.0)
DRAIN_S = 0.5


def main(config: Path, sabotage: str) -> int:
    begin_logging()
    faulthandler.enable()
    daemon.DRAIN_S = DRAIN_S  # nobody acknowledges here
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if not (config.parent / "healed").exists():
        _spoil(sabotage, config)
    return Life(config, stop, Service.from_environment(), LIMITS).run()


def _spoil(sabotage: str, config: Path) -> None:
    step, load = Pipeline.step, model_slots.load_bundle

    def strike(pipeline, frame):
        if pipeline.tallies.frames >= 3 and not (config.parent / "healed").exists():
            if sabotage == "segfault":
                ctypes.string_at(0)
            raise ZeroDivisionError("what a frame")
        return step(pipeline, frame)

    def abort(*arguments, **options):
        if not (config.parent / "healed").exists():
            os.abort()
        return load(*arguments, **options)

    if sabotage in {"raise", "segfault"}:
        Pipeline.step = strike
    if sabotage == "abort":
        model_slots.load_bundle = abort
    if sabotage == "hang":
        daemon.Daemon._in_short = lambda self: threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
