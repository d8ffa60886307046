"""The outbox's SQLite file: opened, brought up to date, and put aside when it is damaged.

A damaged file is kept beside the new one, because somebody may want to read what is left of it; but only
the newest two, so that a dying card does not fill itself with them. Nothing here knows what messages mean
beyond the columns of `values.Row`.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from device.errors import StateUnavailable
from device.firmware.outbox.values import bucket_of, rank_of
from ota.errors import WireError
from ota.messages import Topic, decode
from ota.messages.structs import Durable
from ota.whole import sync_folder

_log = logging.getLogger(__name__)

ASIDE_KEPT: Final = 2
ASIDE_MAX_BYTES: Final = 96 * 1024 * 1024
"""Of all damaged files together; the newest goes as well when it alone is larger."""

VERSION: Final = 1
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, rank INTEGER NOT NULL,
    made_s REAL NOT NULL, payload BLOB NOT NULL, bucket TEXT, boot TEXT, mono_s REAL
);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_INDEXES: Final = """
CREATE INDEX IF NOT EXISTS message_rank ON message (rank, seq);
CREATE INDEX IF NOT EXISTS message_bucket ON message (topic, bucket) WHERE bucket IS NOT NULL;
CREATE INDEX IF NOT EXISTS message_boot ON message (boot) WHERE boot IS NOT NULL;
"""


def open_file(path: Path) -> tuple[sqlite3.Connection, str]:
    """Open the file or make it.

    Returns:
        The connection, and what was wrong with the file that had to be put aside (empty: nothing).

    Raises:
        StateUnavailable: it cannot be opened or made, and putting it aside would not help.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connect(path), ""
    except sqlite3.OperationalError as error:
        advice = (
            "free some space" if "full" in str(error) else "check its owner and mode, and that it is a file"
        )
        raise StateUnavailable(path, f"the outbox cannot be opened ({error}); {advice}") from error
    except OSError as error:
        reason = f"the state folder cannot be made ({error.strerror}); check [device] state"
        raise StateUnavailable(path, reason) from error
    except sqlite3.DatabaseError as error:
        aside = _put_aside(path)
        _log.error("outbox broken error=%r moved_to=%s a new one begins", str(error), aside)
        return _connect(path), f"{error}; kept as {aside.name}, a new one was begun"[:200]


def _put_aside(path: Path) -> Path:
    stem = f"{path.name}.broken-{time.time_ns() // 1_000_000:015d}"
    aside = path.with_name(stem)
    path.rename(aside)
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    sync_folder(path.parent)
    _forget_old(path)
    return aside


def _forget_old(path: Path) -> None:
    """Keep the newest `ASIDE_KEPT` damaged files, and fewer when they are large."""
    aside = path.parent.glob(f"{path.name}.broken-*")
    total = 0
    for number, file in enumerate(sorted(aside, key=lambda file: file.stat().st_mtime_ns, reverse=True)):
        total += file.stat().st_size
        if number >= ASIDE_KEPT or total > ASIDE_MAX_BYTES:
            file.unlink()
            _log.warning("an old damaged outbox was deleted file=%s", file)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA journal_size_limit=4194304")
        with closing(db.execute("PRAGMA quick_check(1)")) as check:
            verdict = check.fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        _bring_up_to_date(db)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    if db.execute("PRAGMA user_version").fetchone()[0] >= VERSION:
        return
    with db:
        db.execute("BEGIN IMMEDIATE")
        is_old = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'message'").fetchone()
        for statement in _TABLES.split(";"):
            db.execute(statement)
        if is_old:
            _add_columns(db)
        for statement in _INDEXES.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")


def _add_columns(db: sqlite3.Connection) -> None:
    """A file of the first firmware knew neither buckets nor boots, and other ranks."""
    for column in ("bucket TEXT", "boot TEXT", "mono_s REAL"):
        db.execute(f"ALTER TABLE message ADD COLUMN {column}")
    for seq, topic, payload in db.execute("SELECT seq, topic, payload FROM message").fetchall():
        try:
            message = decode(Topic.parse(topic).channel, payload)
        except WireError:
            continue  # delivery finds, drops and counts it
        assert isinstance(message, Durable)
        values = (rank_of(message), bucket_of(message), seq)
        db.execute("UPDATE message SET rank = ?, bucket = ? WHERE seq = ?", values)
