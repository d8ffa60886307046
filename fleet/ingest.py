"""The one road from the broker to the database, top to bottom.

    paho's thread: on_message -> read (or refuse) -> live frames aside -> bounded queue
    writer thread: take a batch -> one transaction -> commit -> acknowledge -> tell the pages

Nothing is acknowledged before it is committed. When the queue is full or the database is away,
messages go un-acknowledged and the devices send them again: nothing is lost, only late.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fleet.errors import Refused
from fleet.feed import Feed
from fleet.link import Link
from fleet.live import Live
from fleet.reading import Received, read_message
from fleet.store.write import Stored, write_batch
from fleet.tally import Tally
from ota.messages import Ack, Channel, LiveFrame, Topic, format_ts, new_id

log = logging.getLogger(__name__)

BATCH_MAX: Final = 500
BATCH_WAIT_S: Final = 0.05
QUEUE_MAX: Final = 20_000
RETRY_FIRST_S: Final = 0.2
RETRY_MAX_S: Final = 5.0
GIVE_UP_S: Final = 3.0
"""How long a stopping writer still waits for a database that does not answer."""
_AWAY = (OperationalError, InterfaceError, PoolTimeout)

Batch = Sequence[Received]


class Ingest:
    """Takes in messages of all devices; `on_message` is the link's callback, `run` the writer."""

    def __init__(
        self, engine: Engine, tally: Tally, feed: Feed, live: Live, heard: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._tally = tally
        self._feed = feed
        self._live = live
        self._heard = heard
        self._queue: queue.Queue[Received] = queue.Queue(QUEUE_MAX)
        self._is_taking = True
        self._is_away = False

    @property
    def is_database_away(self) -> bool:
        """Whether the writer waits for a database that does not take a batch."""
        return self._is_away

    def on_message(self, topic: str, payload: bytes, is_retained: bool) -> None:
        """Read one message and queue it for the writer (paho's thread; never raises)."""
        if not self._is_taking:
            return
        self._tally.received()
        try:
            item = read_message(topic, payload, is_retained=is_retained, received_ms=_now_ms())
            if not is_retained:
                self._heard(item.topic.device)
            if isinstance(item.message, LiveFrame):
                self._live.show(item.topic.device, item.message)
            else:
                self._queue.put_nowait(item)
        except Refused as refused:
            self._refuse(refused.reason, str(refused))
        except queue.Full:
            self._refuse("queue-full", f"topic={topic}")
        except Exception:  # one odd message must not end paho's thread and with it all others
            log.exception("message not read topic=%r", topic[:120])
            self._tally.refused("internal")

    def stop_taking(self) -> None:
        """Let no further message in; `run` still writes what is queued."""
        self._is_taking = False

    def run(self, link: Link, stop: threading.Event) -> None:
        """Write batches until `stop` is set and the queue is empty."""
        while True:
            batch = self._take()
            if batch:
                self._store(batch, link, stop)
            elif stop.is_set():
                return

    def _take(self) -> list[Received]:
        """Return up to `BATCH_MAX` messages, waiting at most `BATCH_WAIT_S` for more after the first."""
        try:
            batch = [self._queue.get(timeout=BATCH_WAIT_S)]
        except queue.Empty:
            return []
        until_s = time.monotonic() + BATCH_WAIT_S
        while len(batch) < BATCH_MAX:
            try:
                batch.append(self._queue.get(timeout=max(0.0, until_s - time.monotonic())))
            except queue.Empty:
                break
        return batch

    def _store(self, batch: Batch, link: Link, stop: threading.Event) -> None:
        """Write a batch for good; a message that the database can never hold is refused alone."""
        try:
            stored, now_ms = self._write(batch, stop)
        except _AWAY:
            log.error("batch given up at stop messages=%d: the devices send it again", len(batch))
        except Exception as error:  # noqa: BLE001  # what is wrong lies in a message, so find it by halving
            if len(batch) == 1:
                self._refuse("unstorable", f"topic={batch[0].topic} reason={error!s:.200}")
                return
            middle = len(batch) // 2
            self._store(batch[:middle], link, stop)
            self._store(batch[middle:], link, stop)
        else:
            self._acknowledge(stored, link, now_ms)
            self._tell(stored, batch)

    def _write(self, batch: Batch, stop: threading.Event) -> tuple[Stored, int]:
        """Commit a batch, waiting for a database that is away, locked or full."""
        wait_s, began_s = RETRY_FIRST_S, time.monotonic()
        while True:
            now_ms = _now_ms()
            try:
                with self._engine.begin() as connection:
                    stored = write_batch(connection, batch, now_ms)
            except _AWAY as error:
                self._note_away(error)
                if stop.is_set() and time.monotonic() - began_s > GIVE_UP_S:
                    raise
                _pause(stop, wait_s)
                wait_s = min(wait_s * 2, RETRY_MAX_S)
            else:
                self._note_back()
                return stored, now_ms

    def _acknowledge(self, stored: Stored, link: Link, now_ms: int) -> None:
        for device, seqs in stored.acks.items():
            ack = Ack(id=new_id(), ts=format_ts(now_ms / 1000), ranges=as_ranges(seqs))
            link.publish(Topic(device, Channel.ACK), ack)

    def _tell(self, stored: Stored, batch: Batch) -> None:
        for device, seq in stored.clashes:
            self._refuse("clash", f"device={device} seq={seq}: was its outbox reset?")
        self._tally.stored(
            stored=stored.fresh,
            acked=sum(len(set(seqs)) for seqs in stored.acks.values()),
            duplicates=stored.duplicates,
            latencies_ms=[
                row["stored_ms"] - row["ts_ms"]
                for row in stored.events
                if row["is_clock_synced"] and not row["is_hist"]
            ],
        )
        self._feed.tell(stored.events, has_other=len(batch) > len(stored.events))

    def _refuse(self, reason: str, detail: str) -> None:
        times = self._tally.refused(reason)
        if times & (times - 1) == 0:  # 1, 2, 4, 8, ...: a flood must not fill the log
            log.warning("message kept out reason=%s times=%d %s", reason, times, detail[:300])

    def _note_away(self, error: Exception) -> None:
        if not self._is_away:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            log.error("database away reason=%r: messages wait, nothing is acknowledged", reason)
        self._is_away = True

    def _note_back(self) -> None:
        if self._is_away:
            log.info("database back")
        self._is_away = False


def as_ranges(seqs: Sequence[int]) -> list[tuple[int, int]]:
    """Return inclusive ascending ranges that cover exactly the given numbers."""
    ranges: list[tuple[int, int]] = []
    for seq in sorted(set(seqs)):
        if ranges and seq == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges


def _pause(stop: threading.Event, wait_s: float) -> None:
    """Wait before the next try; shorter, but not at once, when we are stopping."""
    if stop.is_set():
        time.sleep(RETRY_FIRST_S)
    else:
        stop.wait(wait_s)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
