"""What systemd wants to hear of a service of `Type=notify`: ready, alive, stopping, and one line for people.

The protocol is sd_notify(3): datagrams of `KEY=value` lines to the socket that `NOTIFY_SOCKET` names. Started
by anybody else, nothing is said.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import closing
from typing import Final

_log = logging.getLogger(__name__)

_SHARE: Final = 3.0
"""The watchdog is fed this many times within its patience."""


class Service:
    """The way to the service manager.

    Args:
        address: of its socket: a path, or `@` and an abstract name; empty: there is none.
        watchdog_s: its patience; 0: it has no watchdog.
        now: monotonic seconds.
    """

    def __init__(
        self, address: str = "", watchdog_s: float = 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = address
        self._watchdog_s = watchdog_s
        self._now = now
        self._fed_s = 0.0
        self._status = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Service:
        """The manager that started this process; its variables are taken out: no child speaks for us."""
        address = environment.pop("NOTIFY_SOCKET", "")
        pid = environment.pop("WATCHDOG_PID", str(os.getpid()))
        patience_us = environment.pop("WATCHDOG_USEC", "")
        is_meant = pid == str(os.getpid()) and patience_us.isdecimal()
        return cls(address, int(patience_us) / 1e6 if is_meant else 0.0)

    def ready(self) -> None:
        """All parts were started."""
        self._say("READY=1")

    def alive(self, status: str) -> None:
        """All needed parts beat: feeds the watchdog where it is due, and says a status that has changed."""
        if status != self._status:
            self._status = status
            self._say("STATUS=" + status.replace("\n", " "))
        now_s = self._now()
        if self._watchdog_s and now_s - self._fed_s >= self._watchdog_s / _SHARE:
            self._fed_s = now_s
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """The parts are being stopped."""
        self._say("STOPPING=1\nSTATUS=stopping")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as way:
                way.sendto(text.encode(), socket.MSG_DONTWAIT, address)
        except OSError as error:
            _log.warning("the service manager cannot be told error=%r", str(error))
