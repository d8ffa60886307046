"""Opens the database: brings its tables up to date and sets how durable a commit is.

SQLite runs in WAL with `synchronous=FULL`: with NORMAL the last commits can vanish at a power cut
(sqlite.org/pragma.html#pragma_synchronous), and they are already acknowledged to the devices.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from fleet.errors import DatabaseUnusable, first_line

log = logging.getLogger(__name__)

BUSY_TIMEOUT_MS: Final = 5000
PRIVATE_MODE: Final = 0o600
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def open_database(url: str) -> Engine:
    """Return an engine whose tables are at the newest step.

    Raises:
        DatabaseUnusable: it cannot be opened, a step failed, or it is of a newer version.
    """
    # A password may also stand in the query part of the URL.
    shown = make_url(url).set(query={}).render_as_string(hide_password=True)
    try:
        engine = connect_database(url)
        _migrate(engine)
    except CommandError as error:
        reason = f"its tables are of another version of pehra ({error}): run that one or a newer one on it"
        raise DatabaseUnusable(shown, reason) from error
    except (SQLAlchemyError, ImportError, OSError, ValueError) as error:
        raise DatabaseUnusable(shown, first_line(error)) from error
    log.info("database opened url=%s", shown)
    return engine


def alembic_config() -> Config:
    """Return Alembic's configuration without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def connect_database(url: str) -> Engine:
    """Return an engine with a pool of its own for a database that `open_database` has opened.

    Raises:
        OSError: the file of the database cannot be made.
    """
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=10)
    _close_to_others(make_url(url))
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _set_sqlite_pragmas)
    return engine


def _close_to_others(url: URL) -> None:
    """Let the owner alone read a database's file; SQLite gives the same mode to those beside it.

    In it are sessions, secrets of second factors and what the cameras saw. A new file is made here, so that
    there is no moment in which others could open it. One that is there is never opened: to close it again
    would end SQLite's locks on it (sqlite.org/howtocorrupt.html, 2.2).
    """
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return
    file = Path(url.database)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_MODE))
    for one in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm", "-journal"))):
        try:
            if one.stat().st_mode & 0o077:
                one.chmod(PRIVATE_MODE)
        except FileNotFoundError:
            continue
        except PermissionError as error:
            log.warning("database is open to others file=%s reason=%s", one, error.strerror)


def _set_sqlite_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(engine: Engine) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            # Python's sqlite3 opens no transaction for DDL: half of the tables would outlive a kill.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
