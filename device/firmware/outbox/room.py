"""What goes when the outbox is full: first minutes that their quarter hour tells too, then the least worth.

Every count is made twice, in its minute and in its quarter hour. Where both wait, the minute goes and is
counted as merged: the sum stays, only the course within the quarter hour is lost. Then the oldest of the
lowest rank are dropped and counted: events of low severity and lone minutes, quarter hours, events of
medium severity, and last alarms and high severity. Everything happens in the caller's transaction.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Generator
from contextlib import closing
from typing import Final

from device.firmware.outbox.values import MINUTE_RANK, QUARTER_RANK, RANKS, add_to, count_drop
from ota.errors import BadMessage
from ota.messages import format_ts, parse_ts

QUARTER_S: Final = 900
AHEAD: Final = 1 / 64
"""Folding frees this share of the limit in one go, so that a full outbox does not fold at every write."""


def make_room(db: sqlite3.Connection, used: int, limit: int, counters: dict[str, int]) -> tuple[int, int]:
    """Free bytes until `used` is within `limit`.

    Args:
        db: inside a transaction.
        used: bytes of the messages now.
        limit: bytes that may be used.
        counters: what is raised for each message that goes.

    Returns:
        How many messages went and how many bytes that freed.
    """
    if used <= limit:
        return 0, 0
    gone, freed = _fold(db, used - limit + int(limit * AHEAD), counters)
    if used - freed > limit:
        more, freed_more = _drop(db, used - freed - limit, counters)
        return gone + more, freed + freed_more
    return gone, freed


def delete(
    db: sqlite3.Connection, where: str, values: tuple[int, ...], counters: dict[str, int], word: str
) -> tuple[int, int]:
    """Delete messages and count them under `acked` or `dropped`; return how many and their bytes."""
    query = f"DELETE FROM message WHERE {where} RETURNING topic, LENGTH(payload)"  # noqa: S608 (ours)
    rows = db.execute(query, values).fetchall()
    for topic, _ in rows:
        if word == "dropped":
            count_drop(counters, topic)
        else:
            add_to(counters, f"{topic.rsplit('/', 2)[1]}.{word}")
    return len(rows), sum(len(topic) + length for topic, length in rows)


def _fold(db: sqlite3.Connection, wanted: int, counters: dict[str, int]) -> tuple[int, int]:
    """Delete the oldest minutes whose quarter hour waits as well, until `wanted` bytes are free."""
    found: list[tuple[int]] = []
    freed = 0
    query = "SELECT seq, topic, bucket, LENGTH(payload) FROM message WHERE rank = ? ORDER BY seq"
    for seq, topic, bucket, length in db.execute(query, (MINUTE_RANK,)):
        if freed >= wanted:
            break
        if bucket is not None and _is_there(db, topic, _quarter_of(bucket)):
            found.append((seq,))
            freed += length + len(topic)
    db.executemany("DELETE FROM message WHERE seq = ?", found)
    if found:
        add_to(counters, "count.merged", len(found))
    return len(found), freed


def _is_there(db: sqlite3.Connection, topic: str, bucket: str) -> bool:
    query = "SELECT 1 FROM message WHERE topic = ? AND bucket = ? LIMIT 1"
    return db.execute(query, (topic, bucket)).fetchone() is not None


def _quarter_of(minute: str) -> str:
    """Return the name of the quarter hour around a minute (`60/<from>`); empty when its stamp is torn."""
    try:
        from_s = parse_ts(minute.partition("/")[2])
    except (BadMessage, ValueError):
        return ""
    return f"{QUARTER_S}/{format_ts(from_s - from_s % QUARTER_S)}"


def _drop(db: sqlite3.Connection, excess: int, counters: dict[str, int]) -> tuple[int, int]:
    """Drop the oldest of the lowest rank; exactly as many as are needed."""
    chosen: list[int] = []
    with closing(_by_worth(db)) as rows:
        for seq, size in rows:
            chosen.append(seq)
            excess -= size
            if excess <= 0:
                break
    gone = [delete(db, "seq = ?", (seq,), counters, "dropped") for seq in chosen]
    return sum(number for number, _ in gone), sum(size for _, size in gone)


def _by_worth(db: sqlite3.Connection) -> Generator[tuple[int, int], None, None]:
    """Yield `seq` and bytes of the messages, least worth first; reads no further than it is asked."""
    query = "SELECT seq, LENGTH(payload) + LENGTH(topic) FROM message WHERE rank = ? ORDER BY seq"
    # A lone minute stands beside events of low severity, by age: its quarter hour may still come.
    for ranks in ((MINUTE_RANK, RANKS["low"]), (QUARTER_RANK,), (RANKS["medium"],), (RANKS["high"],)):
        yield from heapq.merge(*(db.execute(query, (rank,)) for rank in ranks))
