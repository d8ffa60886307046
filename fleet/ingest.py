"""The one road from the broker to the database, top to bottom.

    paho's thread: on_message -> read (or refuse) -> live frames aside -> bounded queue
    writer thread: take a batch -> one transaction -> commit -> acknowledge -> tell the pages

Nothing is acknowledged before it is committed. While the database is away messages wait in the
queue; when that stays full they are dropped: events and counts go un-acknowledged and the devices send
them again; status, info and alarms the broker remembers, so we subscribe anew once there is room and
it tells them again. A health that is dropped is followed by the next.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fleet.errors import Refused, first_line
from fleet.feed import Feed
from fleet.link import Link
from fleet.live import Live
from fleet.reading import Received, read_message
from fleet.store.write import Stored, write_batch
from fleet.tally import Tally
from ota.messages import Ack, Channel, LiveFrame, Reply, Topic, format_ts, new_id

log = logging.getLogger(__name__)

BATCH_MAX: Final = 500
ROOM_WAIT_S: Final = 5.0
"""How long paho's thread waits for room in the queue; well below the keep-alive of the link."""
BATCH_WAIT_S: Final = 0.05
QUEUE_MAX: Final = 20_000
RETRY_FIRST_S: Final = 0.2
RETRY_MAX_S: Final = 5.0
GIVE_UP_S: Final = 3.0
"""How long a stopping writer still tries a database that does not answer, all its batches together."""
NAMED_MAX: Final = 1000
"""How many (reason, device) the log tells apart; those that come later share one throttle a reason."""
_AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeout)
"""What is the database's fault: locked, full, gone; psycopg calls a read-only server `InternalError`."""

Batch = Sequence[Received]


class Ingest:
    """Takes in messages of all devices; `on_message` is the link's callback, `run` the writer."""

    def __init__(
        self,
        engine: Engine,
        tally: Tally,
        feed: Feed,
        live: Live,
        heard: Callable[[str], None],
        is_trusted: Callable[[str], bool],
        on_reply: Callable[[str, str, Reply], None],
    ) -> None:
        self._engine = engine
        self._tally = tally
        self._feed = feed
        self._live = live
        self._heard = heard
        self._is_trusted = is_trusted
        self._on_reply = on_reply
        self._queue: queue.Queue[Received] = queue.Queue(QUEUE_MAX)
        self._is_taking = True
        self._is_away = False
        self._has_dropped = False
        self._give_up_s: float | None = None
        self._named: Counter[tuple[str, str]] = Counter()

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
            self._check_trust(item.topic.device)
            if not is_retained:
                self._heard(item.topic.device)
            if isinstance(item.message, LiveFrame):
                self._live.show(item.topic.device, item.message)
            else:
                if isinstance(item.message, Reply):
                    self._on_reply(item.topic.device, item.topic.name, item.message)
                # A writer that is only slow holds the broker back; one without a database must not.
                self._queue.put(item, timeout=0 if self._is_away else ROOM_WAIT_S)
        except Refused as refused:
            self._refuse(refused.reason, _device_of(topic), str(refused))
        except queue.Full:
            self._has_dropped = True
            self._refuse("queue-full", _device_of(topic), f"topic={topic}")
        except Exception:  # one odd message must not end paho's thread and with it all others
            log.exception("message not read topic=%r", topic[:120])
            self._tally.refused("internal")

    def _check_trust(self, device: str) -> None:
        """Brokers answer PUBACK to what they deny, and one may be set up wrongly: so we look, too.

        Raises:
            Refused: no device of that name was let in, or it is trusted no longer.
        """
        if not self._is_trusted(device):
            raise Refused("untrusted", f"no certificate of {device} is trusted")

    def stop_taking(self) -> None:
        """Let no further message in; `run` still writes what is queued."""
        self._is_taking = False

    def run(self, link: Link, stop: threading.Event) -> None:
        """Write batches until `stop` is set and the queue is empty, or the database gives no answer."""
        while True:
            batch = self._take()
            try:
                if batch:
                    self._store(batch, link, stop)
            except _AWAY:
                left = len(batch) + self._queue.qsize()
                log.error("given up at stop messages=%d: devices send what was not acknowledged again", left)
                return
            if stop.is_set() and not batch:
                return
            self._catch_up(link)

    def _catch_up(self, link: Link) -> None:
        """Once the queue has room again, let the broker tell anew what it remembers and we dropped."""
        if self._has_dropped and self._queue.empty():
            self._has_dropped = False
            log.info("queue has room again: asking the broker for what it remembers")
            link.subscribe()

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
        """Write a batch for good; a message that the database can never hold is refused alone.

        Raises:
            OperationalError: (or another of `_AWAY`) we are to stop and the database does not answer.
        """
        try:
            stored, now_ms = self._write(batch, stop)
        except _AWAY:
            raise
        except Exception as error:  # noqa: BLE001  # what is wrong lies in a message, so find it by halving
            if len(batch) == 1:
                topic = batch[0].topic
                self._refuse("unstorable", topic.device, f"topic={topic} reason={error!s:.200}")
                return
            middle = len(batch) // 2
            self._store(batch[:middle], link, stop)
            self._store(batch[middle:], link, stop)
        else:
            self._acknowledge(stored, link, now_ms)
            self._tell(stored, batch)

    def _write(self, batch: Batch, stop: threading.Event) -> tuple[Stored, int]:
        """Commit a batch, waiting for a database that is away, locked or full."""
        wait_s = RETRY_FIRST_S
        while True:
            now_ms = _now_ms()
            try:
                with self._engine.begin() as connection:
                    stored = write_batch(connection, batch, now_ms)
            except _AWAY as error:
                self._note_away(error)
                if stop.is_set() and self._is_given_up():
                    raise
                _pause(stop, wait_s)
                wait_s = min(wait_s * 2, RETRY_MAX_S)
            else:
                self._note_back()
                return stored, now_ms

    def _is_given_up(self) -> bool:
        """Whether a stop has waited long enough; the clock runs from the first try that failed after it."""
        now_s = time.monotonic()
        if self._give_up_s is None:
            self._give_up_s = now_s + GIVE_UP_S
        return now_s > self._give_up_s

    def _acknowledge(self, stored: Stored, link: Link, now_ms: int) -> None:
        for device, seqs in stored.acks.items():
            ack = Ack(id=new_id(), ts=format_ts(now_ms / 1000), ranges=as_ranges(seqs))
            link.publish(Topic(device, Channel.ACK), ack)

    def _tell(self, stored: Stored, batch: Batch) -> None:
        for device, seq in stored.clashes:
            self._refuse("clash", device, f"device={device} seq={seq}: was its outbox reset?")
        self._tally.stored(
            stored=stored.fresh,
            acked=sum(len(set(seqs)) for seqs in stored.acks.values()),
            duplicates=stored.duplicates,
            latencies_ms=[
                row["stored_ms"] - row["ts_ms"]
                for row in stored.events
                if row["is_clock_synced"] and not row["is_hist"] and row["ts_ms"] <= row["stored_ms"]
            ],
        )
        self._feed.tell(stored.events, has_other=len(batch) > len(stored.events))

    def _refuse(self, reason: str, device: str, detail: str) -> None:
        self._tally.refused(reason)
        name = (reason, device)
        if name not in self._named and len(self._named) >= NAMED_MAX:
            name = (reason, "")
        self._named[name] += 1
        times = self._named[name]
        if times & (times - 1) == 0:  # 1, 2, 4, 8, ...: a flood must not fill the log
            log.warning("message kept out reason=%s times=%d %s", reason, times, detail[:300])

    def _note_away(self, error: Exception) -> None:
        if not self._is_away:
            log.error("database away reason=%r: messages wait, nothing is acknowledged", first_line(error))
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


def _device_of(topic_text: str) -> str:
    """Return the part of a topic where the device stands, whatever it is; only to throttle the log."""
    return [*topic_text.split("/", 3), "", "", ""][2][:40]


def _pause(stop: threading.Event, wait_s: float) -> None:
    """Wait before the next try; shorter, but not at once, when we are stopping."""
    if stop.is_set():
        time.sleep(RETRY_FIRST_S)
    else:
        stop.wait(wait_s)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
