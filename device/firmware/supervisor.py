"""Carries out what the table of parts asks for: starts in its order, restarts, stops the other way round."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from device.errors import PartDied
from device.firmware.parts import Part, Pulse, Situation, next_step, recent

_log = logging.getLogger(__name__)


class Supervisor:
    """Looks after the parts of one daemon; called by one thread.

    Args:
        parts: in the order in which they start.
        situation: what decides which of them are needed.
        now: monotonic seconds.
    """

    def __init__(
        self, parts: Sequence[Part], situation: Situation, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._parts = parts
        self._situation = situation
        self._now = now
        self._pulses = {part.name: Pulse() for part in parts}

    def check(self) -> None:
        """One round: afterwards each needed part runs and has beaten in time.

        Raises:
            PartDied: one cannot be helped; the daemon is to end.
        """
        for part in self._parts:
            self._help(part)

    def stop(self) -> None:
        """Stop what was started, last first; one that fails does not keep the others."""
        with ExitStack() as road:
            for part in self._parts:
                if self._pulses[part.name].is_started:
                    road.callback(self._stop, part)

    def _help(self, part: Part) -> None:
        known, now_s = self._pulses[part.name], self._now()
        pulse = replace(known, is_alive=part.work.is_alive, beat_s=part.work.beat_s)
        step = next_step(part, pulse, self._situation, now_s)
        if step == "start":
            self._pulses[part.name] = replace(pulse, is_started=True)
            part.work.start()
        elif step == "stop":
            self._stop(part)
        elif step == "restart":
            restarts_s = (*recent(pulse.restarts_s, now_s), now_s)
            self._pulses[part.name] = replace(pulse, restarts_s=restarts_s)
            _log.error(
                "part ended by itself part=%s it is started again restarts=%d error=%r",
                part.name,
                len(restarts_s),
                part.work.last_error,
            )
            part.work.start()
        elif step == "end":
            silent_s = now_s - pulse.beat_s
            reason = f"no sign of life for {silent_s:.0f} s" if pulse.is_alive else part.work.last_error
            _log.error("part lost part=%s the device stops, to be started again reason=%r", part.name, reason)
            raise PartDied(part.name, reason)

    def _stop(self, part: Part) -> None:
        self._pulses[part.name] = replace(self._pulses[part.name], is_started=False)
        part.work.stop()
