"""Answers one laptop after the other: frames in, the handler's news and answer out.

A request is worked on beside the line, which gets a beat each second until the answer is there. A laptop that
asks for the same again, because an answer was lost, gets the same answer and not a second deed; one that
asks for something else has given up on the first. Silence and noise change nothing.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from contextlib import closing
from typing import Final

from device.firmware.console.desk import Desk
from device.firmware.console.doors import Door
from device.firmware.console.handlers import handle
from device.firmware.console.job import Job, Said, begin_job
from hardware.cable.framing import Frame, Kind, Unpacker, packed
from hardware.cable.line import Line
from hardware.errors import CableLost
from ota.cable import GREETING, Answer, Refused, cut, encoded, request_of
from ota.errors import BadMessage

_log = logging.getLogger(__name__)

BEAT_S: Final = 1.0
WAIT_S: Final = 0.4
NOISE_BYTES: Final = 2048
"""So much noise is worth a line in the log, and then twice as much: an open wire makes it all day."""


def serve(door: Door, desk: Desk, stop: threading.Event) -> None:
    """Serve until `stop` is set; a cable that is pulled out ends one laptop's time and nothing else."""
    told = ""
    try:
        while (line := door.next_line(stop)) is not None:
            with closing(line):
                try:
                    _Conversation(line, desk).run(stop)
                except CableLost as error:
                    if str(error) != told:
                        told = str(error)
                        _log.info("console: %s", error)
                finally:
                    desk.aim.end()
    finally:
        door.close()


class _Conversation:
    """What is said over one line."""

    def __init__(self, line: Line, desk: Desk) -> None:
        self._line = line
        self._desk = desk
        self._unpacker = Unpacker()
        self._asked: deque[Frame] = deque()
        self._answered: tuple[Frame, Frame] | None = None
        self._noise_due = NOISE_BYTES

    def run(self, stop: threading.Event) -> None:
        """Answer what is asked until `stop` is set.

        Raises:
            CableLost: the line broke off.
        """
        while not stop.is_set():
            if not self._asked:
                self._hear(WAIT_S)
            if self._asked:
                self._answer(self._asked.popleft(), stop)
            self._desk.aim.rest()

    def _hear(self, wait_s: float) -> None:
        frames = self._unpacker.feed(self._line.read(wait_s))
        self._asked += [frame for frame in frames if frame.kind is Kind.REQUEST]
        if self._unpacker.take_typed() is not None:
            self._line.write(GREETING)
        noise_bytes = self._unpacker.noise_bytes
        if noise_bytes >= self._noise_due:
            self._noise_due = 2 * noise_bytes
            _log.warning("console: noise bytes=%d, the other side may use another baud rate", noise_bytes)

    def _answer(self, asked: Frame, stop: threading.Event) -> None:
        if self._answered is not None and self._answered[0] == asked:
            self._line.write(packed(self._answered[1]))
            return
        self._answered = None
        try:
            request = request_of(asked.payload)
        except BadMessage as error:
            self._end(asked, 0, _not_understood(error))
            return
        job = begin_job(
            lambda request, told: handle(self._desk, request, told), request, self._line.bytes_per_s
        )
        try:
            self._follow(job, asked, stop)
        finally:
            job.told.stop.set()

    def _follow(self, job: Job, asked: Frame, stop: threading.Event) -> None:
        """Send what a job says; once something else is asked, only wait for its end."""
        part = 0
        while True:
            said = _next(job)
            if stop.is_set():
                return
            self._hear(0.0)
            self._asked = deque(frame for frame in self._asked if frame != asked)
            if self._asked:
                job.told.stop.set()
            if said is None:
                self._line.write(packed(Frame(Kind.BEAT, asked.request, 0)))
            elif isinstance(said, Answer):
                self._end(asked, part, said)
                return
            elif not job.told.stop.is_set():
                self._line.write(packed(_frame_of(said, asked.request, part)))
                part += 1

    def _end(self, asked: Frame, part: int, answer: Answer) -> None:
        frame = Frame(Kind.ANSWER, asked.request, part, encoded(answer))
        self._line.write(packed(frame))
        # An answer that had parts before it is not whole without them: it is worked out anew.
        self._answered = (asked, frame) if part == 0 else None


def _next(job: Job) -> Said | None:
    try:
        return job.told.said.get(timeout=BEAT_S)
    except queue.Empty:
        return None


def _frame_of(said: Said, request: int, part: int) -> Frame:
    if isinstance(said, bytes):
        return Frame(Kind.PIECE, request, part, said)
    return Frame(Kind.NEWS, request, part, encoded(said))


def _not_understood(error: BadMessage) -> Refused:
    if error.reason.startswith("Invalid value") and error.reason.endswith("`$.type`"):
        todo = "bring board and laptop to the same version of Pehra"
        return Refused(
            code="unknown", reason=cut(f"this board does not know that request ({error.reason})"), todo=todo
        )
    return Refused(
        code="bad",
        reason=cut(f"the request is not well-formed: {error.reason}"),
        todo="please report this line",
    )
