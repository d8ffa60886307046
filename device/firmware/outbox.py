"""The outbox: durable messages that wait until the fleet says it has stored them.

Messages are gathered in memory and written in groups by one thread, because SD cards wear out; those of
high severity are written at once. A message that was written survives SIGKILL and a power cut (SQLite, WAL,
synchronous=FULL) and is handed out again until it is acknowledged. The outbox sends nothing itself, and it
never makes room by forgetting silently: what it drops is counted.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from device.errors import StateUnavailable
from ota.messages import Channel, Topic, encode
from ota.messages.structs import Count, Durable, Event

_log = logging.getLogger(__name__)

SEQ_PER_SECOND: Final = 4096
"""A new outbox numbers from Unix seconds times this, so that a lost file never repeats a number."""

RANKS: Final = {"low": 1, "medium": 2, "high": 3}
COUNT_RANK: Final = 0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, rank INTEGER NOT NULL,
    made_s REAL NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """How much is kept and how often it is written.

    Attributes:
        max_bytes: of messages on disk; beyond it the least important oldest go.
        max_waiting: messages held in memory while the disk refuses them.
        group_s: longest time between a message and its writing.
        retry_s: wait after a failed write.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_waiting: int = 20_000
    group_s: float = 0.25
    retry_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A durable message as it lies in the outbox."""

    seq: int
    topic: str
    payload: bytes
    made_s: float


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the messages of one channel (`event` or `count`) since the outbox was made."""

    made: int = 0
    acked: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Batch:
    """What one transaction writes."""

    messages: list[tuple[int, str, int, float, bytes]] = field(default_factory=list)
    acked: list[tuple[int, int]] = field(default_factory=list)
    discarded: list[int] = field(default_factory=list)
    state: dict[str, bytes] = field(default_factory=dict)
    spilled: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.messages or self.acked or self.discarded or self.state or self.spilled)


class Outbox:
    """Durable queue in one SQLite file. Any thread may call; one thread runs `run`.

    Raises:
        StateUnavailable: when the file cannot be opened or made.
    """

    def __init__(
        self, path: Path, settings: OutboxSettings | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._settings = settings or OutboxSettings()
        self._now = now
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._wake = threading.Event()
        self._batch = _Batch()
        self._writing = 0
        self._failing = ""
        self.written = threading.Event()
        self._db = _open(path)
        self._counters: dict[str, int] = dict(self._db.execute("SELECT name, value FROM counter"))
        self._said_dropped = 0
        self._dropped_before = self.dropped
        self._last_seq = self._counters.get("seq", int(now()) * SEQ_PER_SECOND)
        self._depth: int
        self._bytes: int
        self._depth, self._bytes = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(payload) + LENGTH(topic)), 0) FROM message"
        ).fetchone()

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
    def fault(self) -> str:
        """Why the disk refuses, or an empty string."""
        return self._failing

    def tally(self, channel: Channel) -> Tally:
        """Return how many messages of a channel were made (written), acknowledged and dropped."""
        return Tally(*(self._counters.get(f"{channel}.{word}", 0) for word in ("made", "acked", "dropped")))

    @property
    def dropped(self) -> int:
        """Messages that had to go unacknowledged since the outbox was made: no room, or not readable."""
        return sum(value for name, value in self._counters.items() if name.endswith(".dropped"))

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
            message = make(self._last_seq)
            rank = _rank(message)
            self._batch.messages.append((message.seq, str(topic), rank, self._now(), encode(message)))
            self._spill()
        if rank == RANKS["high"]:
            self._wake.set()
        return message.seq

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

    def after(self, seq: int, limit: int) -> list[Waiting]:
        """Return written messages with a greater `seq`, oldest first, at most `limit`."""
        query = "SELECT seq, topic, payload, made_s FROM message WHERE seq > ? ORDER BY seq LIMIT ?"
        with self._disk:
            return [Waiting(*row) for row in self._db.execute(query, (seq, limit))]

    def these(self, seqs: Sequence[int]) -> list[Waiting]:
        """Return those of the given messages that still wait, oldest first."""
        query = "SELECT seq, topic, payload, made_s FROM message WHERE seq = ?"
        with self._disk:
            rows = [self._db.execute(query, (seq,)).fetchone() for seq in sorted(seqs)]
        return [Waiting(*row) for row in rows if row is not None]

    def run(self, stop: threading.Event) -> None:
        """Write groups until `stop` is set, then once more; waits longer while the disk refuses."""
        while not stop.is_set():
            self._wake.wait(self._settings.retry_s if self._failing else self._settings.group_s)
            self._wake.clear()
            self.flush()
        self.flush()

    def wake(self) -> None:
        """Let `run` notice at once that it should stop or write."""
        self._wake.set()

    def flush(self) -> bool:
        """Write what has gathered in one transaction; return whether the disk took it.

        A refusing disk (full, read-only, broken) loses nothing: the messages stay in memory for the next try.
        """
        with self._lock:
            batch, self._batch = self._batch, _Batch()
            self._writing = len(batch.messages)
        if not batch:
            return True
        try:
            with self._disk:
                self._write(batch)
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

    def _write(self, batch: _Batch) -> None:
        counters = dict(self._counters)
        _merge(counters, batch.spilled)
        depth, size = self._depth, self._bytes
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?)", batch.messages)
            for _, topic, _, _, payload in batch.messages:
                _count(counters, topic, "made")
                depth, size = depth + 1, size + len(payload) + len(topic)
            for first, last in batch.acked:
                gone, freed = self._delete("seq BETWEEN ? AND ?", (first, last), counters, "acked")
                depth, size = depth - gone, size - freed
            for seq in [*batch.discarded, *self._least_important(size - self._settings.max_bytes)]:
                gone, freed = self._delete("seq = ?", (seq,), counters, "dropped")
                depth, size = depth - gone, size - freed
            if batch.messages:
                counters["seq"] = max(counters.get("seq", 0), batch.messages[-1][0])
            self._db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", batch.state.items())
            self._db.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?)", counters.items())
        with self._lock:
            self._counters, self._depth, self._bytes, self._writing = counters, depth, size, 0
        self._note_drops()

    def _least_important(self, excess: int) -> list[int]:
        """Return the messages that must go to free `excess` bytes: least rank first, then oldest."""
        chosen: list[int] = []
        if excess > 0:
            query = "SELECT seq, LENGTH(payload) + LENGTH(topic) FROM message ORDER BY rank, seq"
            for seq, size in self._db.execute(query):
                chosen.append(seq)
                excess -= size
                if excess <= 0:
                    break
        return chosen

    def _delete(
        self, where: str, values: tuple[int, ...], counters: dict[str, int], word: str
    ) -> tuple[int, int]:
        query = f"DELETE FROM message WHERE {where} RETURNING topic, LENGTH(payload)"  # noqa: S608 (ours)
        rows = self._db.execute(query, values).fetchall()
        for topic, _ in rows:
            _count(counters, topic, word)
        return len(rows), sum(len(topic) + length for topic, length in rows)

    def _put_back(self, batch: _Batch) -> None:
        with self._lock:
            newer, self._batch = self._batch, batch
            self._writing = 0
            batch.messages.extend(newer.messages)
            batch.acked.extend(newer.acked)
            batch.discarded.extend(newer.discarded)
            batch.state.update(newer.state)
            _merge(batch.spilled, newer.spilled)
            self._spill()

    def _spill(self) -> None:
        """Keep what waits in memory within its limit; the lock is held."""
        waiting = self._batch.messages
        while len(waiting) > self._settings.max_waiting:
            least = min(range(len(waiting)), key=lambda i: (waiting[i][2], i))
            _count(self._batch.spilled, waiting.pop(least)[1], "dropped")

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


def _rank(message: Durable) -> int:
    if isinstance(message, Count):
        return COUNT_RANK
    return RANKS[message.sev] if isinstance(message, Event) else RANKS["high"]


def _count(counters: dict[str, int], topic: str, word: str) -> None:
    name = f"{Topic.parse(topic).channel}.{word}"
    counters[name] = counters.get(name, 0) + 1


def _merge(counters: dict[str, int], more: dict[str, int]) -> None:
    for name, value in more.items():
        counters[name] = counters.get(name, 0) + value


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connect(path)
    except sqlite3.OperationalError as error:
        advice = (
            "free some space" if "full" in str(error) else "check its owner and mode, and that it is a file"
        )
        raise StateUnavailable(path, f"the outbox cannot be opened ({error}); {advice}") from error
    except OSError as error:
        reason = f"the state folder cannot be made ({error.strerror}); check [device] state"
        raise StateUnavailable(path, reason) from error
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.broken-{int(time.time())}")
        path.rename(aside)
        for tail in ("-wal", "-shm"):
            path.with_name(path.name + tail).unlink(missing_ok=True)
        _log.error("outbox broken error=%r moved_to=%s a new one begins", str(error), aside)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        with closing(db.execute("PRAGMA quick_check(1)")) as check:
            verdict = check.fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        db.executescript(_SCHEMA)
    except sqlite3.Error:
        db.close()
        raise
    return db
