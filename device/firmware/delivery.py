"""End-to-end delivery: what of the outbox is published when, until the fleet names it in an ack.

On each connection everything that waits is published once. What is made while the link is up goes at once;
what waited from before is replayed beside it at a bounded rate: alarms and high severity first, the newest
of them before the others, because somebody may still act on them; then the rest, oldest first. What stays
unacknowledged is published again, later and later, within the same rate. It knows no broker: a message is
handed to `publish`, which may lose it.
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
REPLAY_WINDOW: Final = 150
"""Of these, how many may be replays: news must always find room."""
REPLAYED_AFTER_S: Final = 10.0
"""A message older than this when it is published is marked as history."""


@dataclass(slots=True)
class _UnderWay:
    """When a message is published again (monotonic), and how often it was."""

    due_s: float
    tries: int = 1


class _Allowance:
    """How many replays may go now: a bucket that fills at a rate and holds one second of it."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = max(1.0, per_s)
        self._at_s: float | None = None

    def left(self, mono_s: float) -> int:
        """Return how many may go at this moment."""
        elapsed_s = 0.0 if self._at_s is None else max(0.0, mono_s - self._at_s)
        self._left = min(max(1.0, self._per_s), self._left + elapsed_s * self._per_s)
        self._at_s = mono_s
        return int(self._left)

    def take(self, number: int) -> None:
        """Say that so many went."""
        self._left -= number


class Delivery:
    """Publishes from the outbox. `send_due` is called by one thread; the rest by any.

    Args:
        outbox: what is durable.
        resend_s: wait before the first repeat, seconds; doubles each time.
        max_resend_s: up to this.
        publish: takes a topic and a payload.
        replay_per_s: messages a second of those that waited when the connection began.
        now: wall clock, Unix seconds.
        mono: monotonic clock, seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        resend_s: float,
        max_resend_s: float,
        publish: Callable[[str, bytes], None],
        *,
        replay_per_s: float = 50.0,
        now: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._resend_s = resend_s
        self._max_resend_s = max_resend_s
        self._publish = publish
        self._now = now
        self._mono = mono
        self._allowance = _Allowance(replay_per_s)
        self._lock = threading.Lock()
        self._under_way: dict[int, _UnderWay] = {}
        self._connection = 0
        self._last_before = 0
        self._live = 0
        self._urgent = 0
        self._other = 0

    def begin_anew(self) -> None:
        """A new connection: publish all that waits."""
        with self._lock:
            self._under_way.clear()
            self._last_before = self._live = self._outbox.written_seq
            self._urgent, self._other = self._last_before + 1, 0
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
        self._send_again()
        self._send_new()

    def _send_new(self) -> None:
        """Only fresh first attempts fill the window: what is never acknowledged silences nothing behind."""
        now_s = self._mono()
        with self._lock:
            first_tries = sum(way.tries == 1 and now_s < way.due_s for way in self._under_way.values())
            connection, live, urgent, other = self._connection, self._live, self._urgent, self._other
        for waiting in self._outbox.after(live, max(0, WINDOW - first_tries)):
            first_tries += 1
            if not self._begin(waiting, connection, live=waiting.seq):
                return
        room = min(REPLAY_WINDOW - first_tries, self._allowance.left(now_s))
        for waiting in self._outbox.urgent_before(urgent, max(0, room)):
            room -= 1
            self._allowance.take(1)
            if not self._begin(waiting, connection, urgent=waiting.seq):
                return
        for waiting in self._outbox.others_between(other, self._last_before, max(0, room)):
            self._allowance.take(1)
            if not self._begin(waiting, connection, other=waiting.seq):
                return

    def _begin(self, waiting: Waiting, connection: int, **reached: int) -> bool:
        """Publish a message for the first time and note how far that came; False on a new connection."""
        with self._lock:
            if self._connection != connection:
                return False
            self._live = reached.get("live", self._live)
            self._urgent = reached.get("urgent", self._urgent)
            self._other = reached.get("other", self._other)
            self._under_way[waiting.seq] = _UnderWay(self._next_try_s(1))
        self._send(waiting)
        return True

    def _send_again(self) -> None:
        now_s = self._mono()
        with self._lock:
            due = [seq for seq, way in self._under_way.items() if now_s >= way.due_s]
        # Half of the allowance: repeats must neither flood the fleet nor hold up what was never sent.
        due = due[: (self._allowance.left(now_s) + 1) // 2]
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
        self._allowance.take(len(waiting))
        for entry in waiting:
            self._send(entry)

    def _next_try_s(self, tries: int) -> float:
        patience_s = min(self._resend_s * 2.0 ** min(tries - 1, 10), self._max_resend_s)
        return self._mono() + patience_s * random.uniform(1.0, 1.1)  # noqa: S311 (spreads the load)

    def _send(self, waiting: Waiting) -> None:
        payload = waiting.payload
        try:
            channel = Topic.parse(waiting.topic).channel
            if self._now() - waiting.made_s > REPLAYED_AFTER_S:
                message = decode(channel, payload)
                assert isinstance(message, Durable)
                payload = encode(msgspec.structs.replace(message, hist=True))
        except WireError as error:
            _log.error("a stored message cannot be read and is dropped seq=%d error=%s", waiting.seq, error)
            self._outbox.discard(waiting.seq)
            return
        self._publish(waiting.topic, payload)
