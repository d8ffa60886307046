"""Takes messages in, writes them in groups, hands them out until they are acknowledged.

Messages are gathered in memory and written by one thread, because SD cards wear out; those of high severity
are written at once. A message that was written survives SIGKILL and a power cut (SQLite, WAL,
synchronous=FULL). The outbox sends nothing itself, and it never makes room by forgetting silently: what it
folds or drops is counted.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from device.firmware.outbox.file import open_file
from device.firmware.outbox.room import delete, make_room
from device.firmware.outbox.stamps import Stamps, boot_id
from device.firmware.outbox.values import (
    RANKS,
    Batch,
    OutboxSettings,
    Row,
    Tally,
    Waiting,
    add_to,
    bucket_of,
    count_drop,
    merge,
    rank_of,
)
from ota.errors import WireError
from ota.messages import Channel, Topic, decode, encode
from ota.messages.structs import Durable

_log = logging.getLogger(__name__)

SEQ_PER_SECOND: Final = 4096
"""A new outbox numbers from Unix seconds times this, so that a lost file never repeats a number."""
CORRECTED_AT_ONCE: Final = 500
_CLOCK_KEY: Final = "clock"
_WAITING: Final = "SELECT seq, topic, payload, made_s FROM message "


class Outbox:
    """Durable queue in one SQLite file. Any thread may call; one thread runs `run`.

    Args:
        path: of the file.
        settings: its limits.
        now: wall clock, Unix seconds.
        mono: monotonic clock of this boot, seconds.
        boot: id of this boot; asked of the kernel where absent.

    Attributes:
        written: set when there is something new to hand out.
        put_aside: what was wrong with the file that was found, empty when it was good.

    Raises:
        StateUnavailable: when the file cannot be opened or made.
    """

    def __init__(
        self,
        path: Path,
        settings: OutboxSettings | None = None,
        now: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
        boot: str | None = None,
    ) -> None:
        self._path = path
        self._settings = settings or OutboxSettings()
        self._now = now
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._wake = threading.Event()
        self._batch = Batch()
        self._due_s = float("-inf")
        self._writing = 0
        self._failing = ""
        self.written = threading.Event()
        self._db, self.put_aside = open_file(path)
        self._counters: dict[str, int] = dict(self._db.execute("SELECT name, value FROM counter"))
        self._said_dropped = 0
        self._dropped_before = self.dropped
        self._last_seq = self._counters.get("seq", int(now()) * SEQ_PER_SECOND)
        self._depth: int
        self._bytes: int
        self._depth, self._bytes = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(payload) + LENGTH(topic)), 0) FROM message"
        ).fetchone()
        self._stamps = Stamps(now, mono, boot_id() if boot is None else boot, self.load(_CLOCK_KEY))
        # Rows of this boot may wait from an earlier process; the first pass finds out.
        self._has_unsynced = True

    @property
    def depth(self) -> int:
        """Messages not acknowledged yet, in memory and on disk."""
        with self._lock:
            return self._depth + self._writing + len(self._batch.messages)

    @property
    def unwritten(self) -> int:
        """Messages that are only in memory."""
        with self._lock:
            return self._writing + len(self._batch.messages)

    @property
    def written_seq(self) -> int:
        """The highest `seq` that is on the disk, 0 before the first."""
        return self._counters.get("seq", 0)

    @property
    def size_bytes(self) -> int:
        """Bytes of topics and payloads on the disk."""
        return self._bytes

    @property
    def fault(self) -> str:
        """Why the disk refuses, or an empty string."""
        return self._failing

    def tally(self, channel: Channel) -> Tally:
        """Return what became of the messages of a channel."""
        words = ("made", "acked", "dropped", "merged")
        return Tally(*(self._counters.get(f"{channel}.{word}", 0) for word in words))

    @property
    def dropped(self) -> int:
        """Messages that had to go unacknowledged since the outbox was made: no room, or not readable."""
        return sum(value for name, value in self._counters.items() if name.endswith(".dropped"))

    @property
    def dropped_by_kind(self) -> dict[str, int]:
        """How many of each kind of event were dropped since the outbox was made; `count` for counts."""
        found = {name: value for name, value in self._counters.items() if name.startswith("lost/")}
        return {name.removeprefix("lost/"): value for name, value in sorted(found.items())}

    def add(self, topic: Topic, make: Callable[[int], Durable]) -> int:
        """Take a message in; it is durable after the next group write.

        Args:
            topic: where it will be published.
            make: gives the message its `seq`.

        Returns:
            The `seq` it was given.
        """
        with self._lock:
            self._last_seq += 1
            row = self._row(str(topic), make(self._last_seq))
            self._batch.messages.append(row)
            self._spill()
        if row.rank == RANKS["high"]:
            self._wake.set()
        return row.seq

    def _row(self, topic: str, message: Durable) -> Row:
        now_s, rank, bucket = self._now(), rank_of(message), bucket_of(message)
        is_set = message.clock == "synced" or self._stamps.is_set()
        mono_s = self._stamps.moment(message)
        if mono_s is None:
            return Row(message.seq, topic, rank, now_s, encode(message), bucket)
        if is_set:  # a bucket that began before the clock was set, or a frame that was under way
            message = self._stamps.corrected(message, mono_s)
            return Row(message.seq, topic, rank, now_s, encode(message))
        self._has_unsynced = True
        return Row(message.seq, topic, rank, now_s, encode(message), None, self._stamps.boot, mono_s)

    def acknowledge(self, ranges: Iterable[tuple[int, int]]) -> None:
        """The fleet has stored these inclusive ranges of `seq`; repeats and unknown numbers do no harm."""
        with self._lock:
            self._batch.acked.extend(ranges)

    def discard(self, seq: int) -> None:
        """Drop a message that cannot be read any more; it is counted as dropped."""
        with self._lock:
            self._batch.discarded.append(seq)

    def save(self, key: str, value: bytes) -> None:
        """Keep a small value with the next group write (open count buckets)."""
        with self._lock:
            self._batch.state[key] = value

    def load(self, key: str) -> bytes | None:
        """Return a value that `save` wrote, or None."""
        with self._disk:
            row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def saved_keys(self, prefix: str) -> list[str]:
        """Return the keys of written values that begin so."""
        with self._disk:
            keys = [str(key) for (key,) in self._db.execute("SELECT key FROM state ORDER BY key")]
        return [key for key in keys if key.startswith(prefix)]

    def forget(self, key: str) -> None:
        """Remove a value from the file and its log now, its bytes included.

        A disk that refuses it gets the value overwritten with a later group write.
        """
        with self._lock:
            self._batch.state.pop(key, None)
        try:
            with self._disk:
                self._db.execute("DELETE FROM state WHERE key = ?", (key,))
                self._db.execute("VACUUM")  # free pages hold it, and older states of it
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            self._note_fault(f"{type(error).__name__}: {error}")
            self.save(key, b"")

    def after(self, seq: int, limit: int) -> list[Waiting]:
        """Return written messages with a greater `seq`, oldest first, at most `limit`."""
        return self._select("WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)

    def urgent_before(self, seq: int, limit: int) -> list[Waiting]:
        """Return written alarms and messages of high severity with a smaller `seq`, newest first."""
        return self._select("WHERE rank = ? AND seq < ? ORDER BY seq DESC LIMIT ?", RANKS["high"], seq, limit)

    def others_between(self, seq: int, last: int, limit: int) -> list[Waiting]:
        """Return all other written messages with `seq` in (seq, last], oldest first."""
        where = "WHERE rank < ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        return self._select(where, RANKS["high"], seq, last, limit)

    def these(self, seqs: Sequence[int]) -> list[Waiting]:
        """Return those of the given messages that still wait, oldest first."""
        with self._disk:
            rows = [self._db.execute(_WAITING + "WHERE seq = ?", (seq,)).fetchone() for seq in sorted(seqs)]
        return [Waiting(*row) for row in rows if row is not None]

    def _select(self, where: str, *values: int) -> list[Waiting]:
        with self._disk:
            return [Waiting(*row) for row in self._db.execute(_WAITING + where, values)]

    def run(self, stop: threading.Event) -> None:
        """Write groups until `stop` is set, then once more; waits longer while the disk refuses."""
        while not stop.is_set():
            is_woken = self._wake.wait(self._settings.retry_s if self._failing else self._settings.group_s)
            self._wake.clear()
            if is_woken or self.is_due(time.monotonic()):
                self.flush()
        self.flush()

    def is_due(self, mono_s: float) -> bool:
        """Whether a group should be written at this moment.

        Messages always; the rest (acknowledgements, open counts) waits a little for some to be written with,
        because each transaction costs the card about as much as all that it holds.
        """
        with self._lock:
            has_messages = bool(self._batch.messages)
        if not has_messages and mono_s - self._due_s < self._settings.rest_s:
            return False
        self._due_s = mono_s
        return True

    def wake(self) -> None:
        """Let `run` notice at once that it should stop or write."""
        self._wake.set()

    def flush(self) -> bool:
        """Write what has gathered in one transaction; return whether the disk took it.

        A refusing disk (full, read-only, broken) loses nothing: the messages stay in memory for the next try.
        """
        is_set = self._stamps.is_set()
        with self._lock:
            batch, self._batch = self._batch, Batch()
            self._writing = len(batch.messages)
            if not is_set and batch.messages:
                batch.state[_CLOCK_KEY] = self._stamps.saved()
        if not batch and not (is_set and self._has_unsynced):
            return True
        try:
            with self._disk:
                self._write(batch, is_set=is_set)
        except sqlite3.Error as error:
            self._put_back(batch)
            self._note_fault(f"{type(error).__name__}: {error}")
            return False
        self._note_fault("")
        if batch.messages:
            self.written.set()
        return True

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        with self._disk:
            self._db.close()

    def _write(self, batch: Batch, *, is_set: bool) -> None:
        counters = dict(self._counters)
        merge(counters, batch.spilled)
        depth, size, is_corrected = self._depth, self._bytes, False
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            # What was acknowledged goes first: its pages may be all the room that is left.
            gone, freed = self._let_go(batch, counters)
            self._db.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch.messages)
            for row in batch.messages:
                add_to(counters, f"{Topic.parse(row.topic).channel}.made")
                size += len(row.payload) + len(row.topic)
            depth, size = depth - gone + len(batch.messages), size - freed
            if is_set and self._has_unsynced:
                grown, is_corrected = self._correct()
                size += grown
            gone, freed = make_room(self._db, size, self._settings.max_bytes, counters)
            depth, size = depth - gone, size - freed
            if batch.messages:
                counters["seq"] = max(counters.get("seq", 0), batch.messages[-1].seq)
            self._db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", batch.state.items())
            self._db.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?)", counters.items())
        with self._lock:
            self._counters, self._depth, self._bytes, self._writing = counters, depth, size, 0
            if is_corrected:
                self._has_unsynced = any(row.boot for row in self._batch.messages)
        self._note_drops()

    def _let_go(self, batch: Batch, counters: dict[str, int]) -> tuple[int, int]:
        """Delete what was acknowledged or cannot be read; return how many and their bytes."""
        gone = [
            delete(self._db, "seq BETWEEN ? AND ?", (first, last), counters, "acked")
            for first, last in batch.acked
        ]
        gone += [delete(self._db, "seq = ?", (seq,), counters, "dropped") for seq in batch.discarded]
        return sum(number for number, _ in gone), sum(size for _, size in gone)

    def _correct(self) -> tuple[int, bool]:
        """Give messages of this boot their right moment; return bytes grown, and whether all were done."""
        query = "SELECT seq, topic, payload, mono_s FROM message WHERE boot = ? LIMIT ?"
        rows = self._db.execute(query, (self._stamps.boot, CORRECTED_AT_ONCE)).fetchall()
        grown = 0
        for seq, topic, payload, mono_s in rows:
            shift_s, better = 0.0, payload
            try:
                message = decode(Topic.parse(topic).channel, payload)
                assert isinstance(message, Durable)
                shift_s = self._stamps.shift_s(message, mono_s)
                better = encode(self._stamps.corrected(message, mono_s))
            except WireError:
                pass  # delivery finds, drops and counts it
            change = "UPDATE message SET payload = ?, made_s = made_s + ?, boot = NULL WHERE seq = ?"
            self._db.execute(change, (better, shift_s, seq))
            grown += len(better) - len(payload)
        if rows:
            _log.info("clock set: stamps corrected messages=%d", len(rows))
        return grown, len(rows) < CORRECTED_AT_ONCE

    def _put_back(self, batch: Batch) -> None:
        with self._lock:
            newer, self._batch = self._batch, batch
            self._writing = 0
            batch.messages.extend(newer.messages)
            batch.acked.extend(newer.acked)
            batch.discarded.extend(newer.discarded)
            batch.state.update(newer.state)
            merge(batch.spilled, newer.spilled)
            self._spill()

    def _spill(self) -> None:
        """Keep what waits in memory within its limit; the lock is held."""
        waiting = self._batch.messages
        while len(waiting) > self._settings.max_waiting:
            least = min(range(len(waiting)), key=lambda i: (waiting[i].rank, i))
            count_drop(self._batch.spilled, waiting.pop(least).topic)

    def _note_drops(self) -> None:
        """Say so at the first drop since the start, and at each doubling."""
        if self.dropped > max(self._said_dropped * 2, self._dropped_before):
            self._said_dropped = self.dropped
            _log.warning(
                "outbox dropped messages total=%d limit_bytes=%d", self.dropped, self._settings.max_bytes
            )

    def _note_fault(self, fault: str) -> None:
        if fault and not self._failing:
            _log.error(
                "outbox not writable path=%s error=%r waiting_in_memory=%d", self._path, fault, self.depth
            )
        if self._failing and not fault:
            _log.warning("outbox writable again path=%s", self._path)
        self._failing = fault
