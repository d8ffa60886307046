"""Does what the fleet asks: hands it commands and documents, and reports what the device really runs.

The link calls `obey` and `hear` in its own thread; `run` is a part of the daemon. When another configuration
is to hold, or a restart was asked for, `ending` says so, and whoever runs the daemon ends it in order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Final, Literal

from device.firmware.clock import clock_state
from device.firmware.config import Config
from device.firmware.deeds import Deeds
from device.firmware.eye import Eye
from device.firmware.link import Link
from device.firmware.outbox import Outbox
from device.firmware.remote import Answer, Commands, LogRing, Remote, Standing
from ota.messages import (
    Channel,
    Command,
    ModelInfo,
    Reported,
    ReportedError,
    Topic,
    format_ts,
    new_id,
)

_log = logging.getLogger(__name__)

Ending = Literal["", "configuration", "restart", "decommissioned"]
WORK_S: Final = 0.5
DROPS_SAID_S: Final = 60.0
"""Drops are reported at most this often; a full outbox drops with every message."""


class Steward:
    """The fleet's hand on one device.

    Args:
        config: in force.
        model: that looks.
        eyes: the cameras.
        outbox: whose drops are reported, and where done commands are kept.
        remote: the configuration from afar; None where there is none to be.
        logs: the last lines of the log.

    Attributes:
        complaints: what else is wrong, as place and reason.
        model: that looks.
        link: given before anything is said.
        ending: why the daemon is to end; empty while it is to go on.
    """

    def __init__(
        self,
        config: Config,
        model: ModelInfo,
        eyes: list[Eye],
        outbox: Outbox,
        *,
        remote: Remote | None = None,
        logs: LogRing | None = None,
    ) -> None:
        self._config = config
        self.model = model
        self.complaints: Callable[[], list[tuple[str, str]]] = list
        self._eyes = eyes
        self._outbox = outbox
        self._remote = remote
        self._said: tuple[Standing, dict[str, int]] | None = None
        self._complained: list[tuple[str, str]] = []
        self._drops_due_s = 0.0
        self.ending: Ending = ""
        self.link: Link | None = None
        deeds = Deeds(
            config,
            eyes,
            outbox,
            logs=logs,
            is_linked=self._is_linked,
            restart=lambda: self.end("restart"),
            leave=lambda: self.end("decommissioned"),
        )
        self._commands = Commands(deeds.all(), outbox)

    def obey(self, name: str, command: Command) -> Answer:
        """Carry out a command, or say why not."""
        return self._commands.obey(name, command)

    def hear(self, payload: bytes) -> None:
        """Take a desired document in; it is read by `run`."""
        if self._remote is not None:
            self._remote.hear(payload)

    def run(self, stop: threading.Event) -> None:
        """Follow the documents that come, until `stop`."""
        while not stop.wait(WORK_S):
            try:
                self.work(time.monotonic())
            except Exception:  # noqa: BLE001 (one odd document must not end the road to the next)
                _log.exception("steward: one round failed")

    def work(self, mono_s: float) -> None:
        """Do what is due, and report what has changed."""
        lost = frozenset(eye.section.id for eye in self._eyes if eye.capture.state == "lost")
        if (
            self._remote is not None
            and not self.ending
            and self._remote.work(mono_s, is_linked=self._is_linked(), lost=lost)
        ):
            self.end("configuration")
        standing, drops = self._state()
        if self._said is None or standing != self._said[0] or self.complaints() != self._complained:
            self.report()
        elif drops != self._said[1] and mono_s >= self._drops_due_s:
            self._drops_due_s = mono_s + DROPS_SAID_S
            self.report()

    def report(self) -> None:
        """Say what really runs; also after each connection, because the broker may have forgotten."""
        standing, drops = self._said = self._state()
        errors = standing.errors()
        if self._outbox.put_aside:
            errors.append(ReportedError("outbox.db", f"damaged: {self._outbox.put_aside}"[:200]))
        self._complained = self.complaints()
        errors += [ReportedError(place[:200], reason[:200]) for place, reason in self._complained[:5]]
        now_s = time.time()
        reported = Reported(
            id=new_id(),
            ts=format_ts(now_s),
            clock=clock_state(now_s),
            config_sha256=self._config.sha256(),
            firmware=version("pehra"),
            model=self.model,
            errors=errors,
            action=standing.action,
            seq=standing.seq,
            outcome=standing.outcome,
            overlay_sha256=standing.overlay_sha256,
            dropped=dict(list(drops.items())[:64]),
            merged=self._outbox.tally(Channel.COUNT).merged,
        )
        if self.link is not None:
            self.link.say(Topic(self._config.device.id, Channel.REPORTED), reported)

    def _is_linked(self) -> bool:
        return self.link is not None and self.link.is_connected

    def _state(self) -> tuple[Standing, dict[str, int]]:
        standing = Standing() if self._remote is None else self._remote.standing
        return standing, self._outbox.dropped_by_kind

    def end(self, why: Ending) -> None:
        """Let the daemon end in order, and be begun anew."""
        _log.info("the device ends in order to start anew reason=%s", why)
        self.ending = why
