"""One request being answered, in a thread of its own: the line hears meanwhile that the board lives."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ota.cable import Answer, News, Refused, Request, cut

_log = logging.getLogger(__name__)

Said = News | Answer | bytes
"""Bytes are a piece of a picture."""


class Told:
    """What a handler may do besides answering.

    Attributes:
        stop: nobody waits for the answer any more.
        bytes_per_s: what goes over the line.
    """

    def __init__(self, bytes_per_s: float) -> None:
        self.stop = threading.Event()
        self.bytes_per_s = bytes_per_s
        self.said: queue.SimpleQueue[Said] = queue.SimpleQueue()

    def tell(self, news: News | bytes) -> None:
        """Send something on the way to the answer."""
        self.said.put(news)


@dataclass(slots=True)
class Job:
    """A request at work.

    Attributes:
        told: what it has to say.
        thread: that works on it.
    """

    told: Told
    thread: threading.Thread


def begin_job(work: Callable[[Request, Told], Answer], request: Request, bytes_per_s: float) -> Job:
    """Begin to work on a request; its answer is the last thing in `said`."""
    told = Told(bytes_per_s)
    thread = threading.Thread(target=_run, args=(work, request, told), name="console job", daemon=True)
    thread.start()
    return Job(told, thread)


def _run(work: Callable[[Request, Told], Answer], request: Request, told: Told) -> None:
    try:
        answer = work(request, told)
    except Exception as error:  # noqa: BLE001 (a defect in one request must not end the console)
        _log.exception("console: a request failed request=%s", type(request).__name__)
        reason = cut(f"the board failed at it: {type(error).__name__}: {error}")
        answer = Refused(code="failed", reason=reason, todo="please report this line")
    told.said.put(answer)
