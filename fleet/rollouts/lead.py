"""One engine at a time, by a lock of the database that ends with the transaction or the process; one clock.

PostgreSQL: a transaction-level advisory lock. SQLite: the lock of its one writer, taken at the beginning.
"""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

LOCK_NUMBER: Final = 0x50_65_68_72_61
"""`Pehra` in ASCII; no other advisory lock of ours is taken on the same database."""


def take_lead(session: Session) -> bool:
    """Begin a transaction in which no other engine decides; return False where another has it now."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError:  # busy for longer than the timeout
            return False
        return True
    taken = connection.execute(text("select pg_try_advisory_xact_lock(:number)"), {"number": LOCK_NUMBER})
    return bool(taken.scalar_one())


def clock_ms(session: Session) -> int:
    """Return what all engines take for now, Unix milliseconds.

    It is the clock of PostgreSQL's machine, because clocks of several fleet managers differ; who uses SQLite
    is on one machine.
    """
    if session.connection().dialect.name == "sqlite":
        return time.time_ns() // 1_000_000
    seconds = session.execute(text("select extract(epoch from clock_timestamp())")).scalar_one()
    return round(float(seconds) * 1000)
