"""One engine at a time, by a lock of the database that ends with the transaction, or with the process.

PostgreSQL: a transaction-level advisory lock. SQLite: the lock of its one writer, taken at the beginning.
"""

from __future__ import annotations

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
