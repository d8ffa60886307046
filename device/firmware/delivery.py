"""End-to-end delivery: what of the outbox is published when, until the fleet names it in an ack.

On each connection everything that waits is published once, oldest first; what stays unacknowledged is
published again, later and later. It knows no broker: a message is handed to `publish`, which may lose it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from device.firmware.outbox import Outbox, Waiting
from ota.errors import WireError
from ota.messages import Topic, decode, encode
from ota.messages.structs import Durable

_log = logging.getLogger(__name__)

WINDOW: Final = 200
"""First attempts that may be under way unacknowledged; more would only wait in the broker."""
REPLAYED_AFTER_S: Final = 10.0
"""A message older than this when it is published is marked as history."""


@dataclass(slots=True)
class _UnderWay:
    """When a message is published again (monotonic), and how often it was."""

    due_s: float
    tries: int = 1


class Delivery:
    """Publishes from the outbox. `send_due` is called by one thread; the rest by any.

    Args:
        outbox: what is durable.
        resend_s: wait before the first repeat, seconds; doubles each time.
        max_resend_s: up to this.
        publish: takes a topic and a payload.
    """

    def __init__(
        self, outbox: Outbox, resend_s: float, max_resend_s: float, publish: Callable[[str, bytes], None]
    ) -> None:
        self._outbox = outbox
        self._resend_s = resend_s
        self._max_resend_s = max_resend_s
        self._publish = publish
        self._lock = threading.Lock()
        self._under_way: dict[int, _UnderWay] = {}
        self._cursor = 0
        self._connection = 0

    def begin_anew(self) -> None:
        """A new connection: publish all that waits, from the oldest."""
        with self._lock:
            self._under_way.clear()
            self._cursor = 0
            self._connection += 1

    def acknowledged(self, ranges: Iterable[tuple[int, int]]) -> None:
        """The fleet has stored these inclusive ranges of `seq`."""
        ranges = list(ranges)
        with self._lock:
            for first, last in ranges:
                for seq in [seq for seq in self._under_way if first <= seq <= last]:
                    del self._under_way[seq]
        self._outbox.acknowledge(ranges)
        self._outbox.written.set()

    def send_due(self) -> None:
        """Publish what was not published on this connection yet, then what is due again.

        Raises:
            sqlite3.Error: the outbox cannot be read.
        """
        self._send_new()
        self._send_again()

    def _send_new(self) -> None:
        """Only first attempts fill the window: what is never acknowledged silences nothing behind it."""
        with self._lock:
            first_tries = sum(way.tries == 1 for way in self._under_way.values())
            cursor, connection = self._cursor, self._connection
        for waiting in self._outbox.after(cursor, max(0, WINDOW - first_tries)):
            with self._lock:
                if self._connection != connection:
                    return
                self._cursor = waiting.seq
                self._under_way[waiting.seq] = _UnderWay(self._next_try_s(1))
            self._send(waiting)

    def _send_again(self) -> None:
        now_s = time.monotonic()
        with self._lock:
            due = [seq for seq, way in self._under_way.items() if now_s >= way.due_s][:WINDOW]
        if not due:
            return
        waiting = self._outbox.these(due)
        with self._lock:
            for gone in set(due) - {entry.seq for entry in waiting}:
                self._under_way.pop(gone, None)
            for entry in waiting:
                if entry.seq in self._under_way:
                    way = self._under_way[entry.seq]
                    way.tries += 1
                    way.due_s = self._next_try_s(way.tries)
        for entry in waiting:
            self._send(entry)

    def _next_try_s(self, tries: int) -> float:
        patience_s = min(self._resend_s * 2.0 ** min(tries - 1, 10), self._max_resend_s)
        return time.monotonic() + patience_s * random.uniform(1.0, 1.1)  # noqa: S311 (spreads the load)

    def _send(self, waiting: Waiting) -> None:
        payload = waiting.payload
        try:
            channel = Topic.parse(waiting.topic).channel
            if time.time() - waiting.made_s > REPLAYED_AFTER_S:
                message = decode(channel, payload)
                assert isinstance(message, Durable)
                payload = encode(msgspec.structs.replace(message, hist=True))
        except WireError as error:
            _log.error("a stored message cannot be read and is dropped seq=%d error=%s", waiting.seq, error)
            self._outbox.discard(waiting.seq)
            return
        self._publish(waiting.topic, payload)
