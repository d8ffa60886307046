"""One laptop's talk with one board: a question goes out, its news come back, and then its answer.

A question that was lost, or whose answer was, is asked again as it is: the board answers the same question
once. Every wait has an end, and a board that is at work says so every second.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from hardware.cable.framing import Frame, Kind, Unpacker, packed
from hardware.cable.line import Line
from ota.cable import (
    MAX_LOG_LINES,
    MAX_PICTURE_BYTES,
    VERSION,
    Answer,
    GiveClaim,
    Hello,
    News,
    Picture,
    Refused,
    Request,
    RunCheck,
    SetWifi,
    TakePicture,
    Welcome,
    answer_of,
    encoded,
    news_of,
)
from ota.errors import BadMessage
from pehra.provision.errors import BoardRefused, BoardSilent

TRIES: Final = 3
MAX_NEWS: Final = 2 * MAX_LOG_LINES
_STEP_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait; all in seconds.

    Attributes:
        silence_s: without a frame, before the question is asked again.
        short_s: for the answer to what is quick.
        long_s: for a check, a network, a claim.
    """

    silence_s: float = 4.0
    short_s: float = 40.0
    long_s: float = 300.0


@dataclass(slots=True)
class _Heard:
    """What came for one question so far."""

    news: dict[int, News] = field(default_factory=dict)
    pieces: dict[int, bytes] = field(default_factory=dict)

    def take(self, frame: Frame, on_news: Callable[[News], None]) -> None:
        """Keep a frame on the way to the answer; what came before is not told twice."""
        if frame.kind is Kind.PIECE:
            self.pieces[frame.part] = frame.payload
        elif frame.kind is Kind.NEWS and frame.part not in self.news:
            self.news[frame.part] = news_of(frame.payload)
            on_news(self.news[frame.part])

    @property
    def is_too_much(self) -> bool:
        """Whether no answer is so long."""
        size_bytes = sum(map(len, self.pieces.values()))
        return len(self.news) > MAX_NEWS or size_bytes > MAX_PICTURE_BYTES

    def is_whole(self, parts: int) -> bool:
        """Whether all frames before an answer came."""
        return len(self.news) + len(self.pieces) == parts


class Session:
    """A talk over an open line.

    Args:
        line: open; closed with the session.
        patience: how long to wait.

    Attributes:
        welcome: what the board said to the first word.
    """

    def __init__(self, line: Line, patience: Patience | None = None) -> None:
        self._line = line
        self._patience = patience or Patience()
        self._unpacker = Unpacker()
        # Not always from 1: what a board still says to whom it talked before is none of ours.
        self._number = random.randrange(1, 0xFFFF)  # noqa: S311 (no secret)
        self._is_busy = False
        self.welcome: Welcome | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.close()

    def greet(self, program: str) -> Welcome:
        """Say hello; find out whether board and laptop speak a common version.

        Raises:
            BoardSilent: nobody answers, or what comes makes no sense.
            BoardRefused: another version, or another laptop speaks to it.
            CableLost: the cable was pulled out.
        """
        answer = self.ask(Hello(version=VERSION, program=program))
        if not isinstance(answer, Welcome):
            raise BoardSilent(
                self._line.name, f"it answered hello with {type(answer).__name__}: update Pehra"
            )
        self.welcome = answer
        return answer

    def ask(self, request: Request, on_news: Callable[[News], None] = lambda news: None) -> Answer:
        """Ask, and wait for the answer.

        Args:
            request: the question.
            on_news: is told what comes before the answer.

        Raises:
            BoardSilent: no answer in time, or none that was whole.
            BoardRefused: the board said no.
            CableLost: the cable was pulled out.
        """
        answer, _ = self._asked(request, on_news)
        return answer

    def picture(self, camera: str = "") -> tuple[Picture, bytes]:
        """Return what a camera sees now, as a JPEG.

        Raises:
            BoardSilent: as in `ask`.
            BoardRefused: as in `ask`.
            CableLost: as in `ask`.
        """
        answer, heard = self._asked(TakePicture(camera=camera), lambda news: None)
        jpeg = b"".join(heard.pieces[part] for part in sorted(heard.pieces))
        if not isinstance(answer, Picture) or len(jpeg) != answer.bytes or len(jpeg) > MAX_PICTURE_BYTES:
            raise BoardSilent(self._line.name, "it sent no picture that is whole: try again")
        return answer, jpeg

    def _asked(self, request: Request, on_news: Callable[[News], None]) -> tuple[Answer, _Heard]:
        self._number = self._number % 0xFFFF + 1
        question = packed(Frame(Kind.REQUEST, self._number, 0, encoded(request)))
        heard, noise_before, self._is_busy = _Heard(), self._unpacker.noise_bytes, False
        end_s = time.monotonic() + self._limit_s(request)
        for _ in range(TRIES):
            self._line.write(question)
            answer = self._wait(heard, on_news, end_s)
            if isinstance(answer, Refused):
                raise BoardRefused(answer)
            if answer is not None:
                return answer, heard
            # What is asked again is worked out again: a picture is another one by then.
            heard.pieces.clear()
        raise self._silent(self._unpacker.noise_bytes + self._unpacker.waiting_bytes - noise_before)

    def _wait(self, heard: _Heard, on_news: Callable[[News], None], end_s: float) -> Answer | None:
        """Return the answer, None when it was silent for too long or something was lost."""
        quiet_s = time.monotonic() + self._patience.silence_s
        while time.monotonic() < min(quiet_s, end_s):
            for frame in self._unpacker.feed(self._line.read(_STEP_S)):
                self._is_busy |= frame.kind is Kind.BEAT
                if frame.kind is not Kind.REQUEST:  # an echo of ours is no sign of life
                    quiet_s = time.monotonic() + self._patience.silence_s
                try:
                    if frame.kind is Kind.ANSWER and frame.request in (0, self._number):
                        answer = answer_of(frame.payload)
                        is_over = isinstance(answer, Refused) or heard.is_whole(frame.part)
                        return answer if is_over else None
                    if frame.request == self._number:
                        heard.take(frame, on_news)
                    if heard.is_too_much:
                        raise BoardSilent(
                            self._line.name, "it says more than an answer can hold: update Pehra"
                        )
                except BadMessage as error:
                    raise BoardSilent(self._line.name, f"{error}: bring both to the same version") from error
        return None

    def _limit_s(self, request: Request) -> float:
        is_long = isinstance(request, RunCheck | SetWifi | GiveClaim)
        return self._patience.long_s if is_long else self._patience.short_s

    def _silent(self, noise_bytes: int) -> BoardSilent:
        if self._is_busy:
            reason = "the board is still at work, but did not answer in time: try again in a minute"
        elif noise_bytes:
            reason = (
                f"{noise_bytes} bytes came that make no sense: the baud rate is probably not the board's "
                "(115200 unless its console was started with --baud), try --baud 115200, 9600 or 921600; "
                "or a login prompt has this port: take `console=serial0` out of the board's cmdline.txt"
            )
        else:
            reason = (
                "nobody answers: is the board on and up for a minute, the cable in its data port, "
                "`pehra-console` running there, and the baud rate the same (--baud)?"
            )
        return BoardSilent(self._line.name, reason, noise_bytes)
