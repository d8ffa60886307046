"""Ends the console when the board turns to another firmware, so that it is started anew from there.

What it was started from may be overwritten by the update after the next.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

from device.firmware.launcher import read_current
from device.firmware.updating.standing import FIRMWARE, place_of

_log = logging.getLogger(__name__)

EXIT_TURNED: Final = 75
"""sysexits.h, EX_TEMPFAIL; the service manager starts it anew."""


class Follower:
    """Looks where the next start would lead.

    Args:
        state: the device's state folder.
        wait_s: seconds between two looks.
    """

    def __init__(self, state: Path, wait_s: float = 5.0) -> None:
        self._folder = state / FIRMWARE
        self._wait_s = wait_s
        self._was = read_current(self._folder)
        self.has_turned = False

    def start(self, stop: threading.Event) -> None:
        """Look until `stop` is set, and set it when the board has turned."""
        threading.Thread(target=self._run, args=(stop,), name="follower", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._wait_s):
            now = read_current(self._folder)
            if now != self._was:
                self.has_turned = True
                _log.info("console: the board turns to another firmware, it follows to=%s", place_of(now[0]))
                stop.set()
