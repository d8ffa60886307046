"""What can be asked of a device by command: the deeds, their arguments and answers (docs/remote.md)."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from device.errors import StateUnavailable
from device.firmware.clock import clock_state
from device.firmware.config import Config
from device.firmware.eye import Eye
from device.firmware.identity import begin_wipe
from device.firmware.outbox import Outbox
from device.firmware.remote import Answer, Deed, LogRing
from hardware.board import board
from ota.messages import format_ts
from ota.messages.structs import MAX_REPLY_LINES

_log = logging.getLogger(__name__)

LEAST_FREE_MB = 100
LED = Path("/sys/class/leds/ACT/brightness")
BLINKS = 20


class _Args(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of a command; an unknown one is a mistake."""


class NoArgs(_Args, frozen=True):
    """None."""


class CameraArgs(_Args, frozen=True):
    """One camera."""

    cam: Annotated[str, Meta(max_length=40)]


class LiveArgs(CameraArgs, frozen=True):
    """A lease of the live view."""

    lease_s: Annotated[float, Meta(ge=0, le=3600)]


class LogsArgs(_Args, frozen=True):
    """How many lines."""

    lines: Annotated[int, Meta(ge=1, le=MAX_REPLY_LINES)] = 50


class LeaveArgs(_Args, frozen=True):
    """Which device is meant: a second lock on what cannot be undone."""

    device: Annotated[str, Meta(max_length=40)]


class Deeds:
    """The deeds of one device.

    Args:
        config: in force.
        eyes: its cameras.
        outbox: for the self-test.
        logs: the last lines of the log; None where nobody keeps them.
        is_linked: whether the link is up.
        restart: ends the daemon in order, to be started anew by the service manager.
        leave: ends the daemon in order; then everything on the board is wiped.
    """

    def __init__(
        self,
        config: Config,
        eyes: list[Eye],
        outbox: Outbox,
        *,
        logs: LogRing | None,
        is_linked: Callable[[], bool],
        restart: Callable[[], None],
        leave: Callable[[], None],
    ) -> None:
        self._config = config
        self._eyes = {eye.section.id: eye for eye in eyes}
        self._outbox = outbox
        self._logs = logs
        self._is_linked = is_linked
        self._restart = restart
        self._leave = leave
        self._started_s = time.monotonic()

    def all(self) -> dict[str, Deed]:
        """Return name -> deed."""
        cameras = ", ".join(self._eyes)
        return {
            "identify": Deed(NoArgs, lambda args: self.identify(), "no args", is_reading=True),
            "restart": Deed(NoArgs, lambda args: self.restart(), "no args"),
            "decommission": Deed(LeaveArgs, self.decommission, "args device (its own id)"),
            "selftest": Deed(NoArgs, lambda args: self.selftest(), "no args", is_reading=True),
            "logs": Deed(
                LogsArgs, self.logs, f"args lines (1 to {MAX_REPLY_LINES}), or none", is_reading=True
            ),
            "relearn": Deed(CameraArgs, self.relearn, f"args cam (one of {cameras})"),
            "live": Deed(LiveArgs, self.live, f"args cam (one of {cameras}) and lease_s (0 to 3600 seconds)"),
        }

    def identify(self) -> Answer:
        """Tell which board this is, and blink its light where it may be switched."""
        host, up_s = socket.gethostname(), time.monotonic() - self._started_s
        light = "blinks" if _blink() else "cannot be switched by this user, or there is none"
        lines = (
            f"device {self._config.device.id}",
            f"site {self._config.device.site or '-'}",
            f"board {board().name}",
            f"host {host}",
            f"running for {up_s:.0f} s",
            f"light {light}",
        )
        return Answer(lines=tuple(line[:200] for line in lines))

    def restart(self) -> Answer:
        """End in order; the answer goes first, because the link says goodbye last."""
        self._restart()
        return Answer()

    def decommission(self, args: LeaveArgs) -> Answer:
        """End in order and wipe the board: key, certificate, messages, configurations."""
        if args.device != self._config.device.id:
            return Answer(f"args device: this is {self._config.device.id}; nothing was wiped")
        try:
            begin_wipe(Path(self._config.device.state))
        except StateUnavailable as error:
            return Answer(f"nothing was wiped: {error}"[:200])
        self._leave()
        return Answer()

    def selftest(self) -> Answer:
        """Tell of each part whether it works now; `bad` lines name what to look at."""
        now_s = time.time()
        free_mb = shutil.disk_usage(self._config.device.state).free // 1_000_000
        checks = [
            *(
                (f"camera {name}", eye.capture.state == "ok", eye.capture.state)
                for name, eye in self._eyes.items()
            ),
            ("clock", clock_state(now_s) == "synced", format_ts(now_s)),
            ("disk", free_mb >= LEAST_FREE_MB, f"{free_mb} MB free"),
            ("outbox", not self._outbox.fault, self._outbox.fault or f"{self._outbox.depth} waiting"),
            ("link", self._is_linked(), "up" if self._is_linked() else "down"),
        ]
        lines = [f"{'ok' if is_good else 'bad'} {name}: {detail}" for name, is_good, detail in checks]
        return Answer(lines=tuple(line[:200] for line in lines))

    def logs(self, args: LogsArgs) -> Answer:
        """Return the last lines of the log."""
        if self._logs is None:
            return Answer("nobody keeps the log of this device in memory")
        return Answer(lines=self._logs.last(args.lines))

    def relearn(self, args: CameraArgs) -> Answer:
        """Take a camera's view as it is now for the usual one."""
        eye = self._eyes.get(args.cam)
        if eye is None:
            return self._no_camera(args.cam)
        if eye.view is None:
            return Answer(
                f"nobody watches over the view of {args.cam!r}: [camera.view] enabled = false"[:200]
            )
        eye.relearn()
        return Answer()

    def live(self, args: LiveArgs) -> Answer:
        """Send the live view of a camera for a while."""
        eye = self._eyes.get(args.cam)
        if eye is None:
            return self._no_camera(args.cam)
        eye.lease(args.lease_s)
        return Answer()

    def _no_camera(self, cam: str) -> Answer:
        return Answer(f"no camera (args cam) {cam!r}; there are {', '.join(self._eyes)}"[:200])


def _blink() -> bool:
    """Let the board's green light blink for two seconds, where sysfs lets us; return whether it does."""
    if not os.access(LED, os.W_OK):
        return False
    threading.Thread(target=_blinking, name="light", daemon=True).start()
    return True


def _blinking() -> None:
    try:
        before = LED.read_text()
        for number in range(BLINKS):
            LED.write_text("1" if number % 2 else "0")
            time.sleep(0.1)
        LED.write_text(before)
    except OSError as error:
        _log.warning("identify: the light cannot be switched error=%r", str(error))
