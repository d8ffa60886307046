"""How long to wait after wrong log-ins: pure decisions, and the rows that remember them over a restart.

Each user and each address (of IPv6 each /64) has a count. Nobody waits longer than 15 minutes. A user who
comes from an address from which he has logged in before has a count of his own there, so that the tries of
strangers elsewhere do not keep him out; one whose browser has the mark of a log-in has a count of his own in
that browser, so that the tries of others at his address do not either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel import Session, col, delete, select

from fleet.errors import TooManyTries
from fleet.store.tables_people import LoginDelay

DELAY_MAX_S: Final = 900
FORGET_S: Final = 86_400
FREE_TRIES: Final = {"user": 5, "address": 20}
"""Tries that cost nothing; behind one address there may be a whole office."""


@dataclass(frozen=True, slots=True)
class Tries:
    """Wrong log-ins so far."""

    failures: int = 0
    last_ms: int = 0
    until_ms: int = 0


def delay_s(failures: int, free: int) -> int:
    """Return how long to wait after so many wrong tries: 1, 2, 4, ... seconds, at most 15 minutes."""
    over = failures - free
    return 0 if over < 0 else min(DELAY_MAX_S, 2 ** min(over, 20))


def settled(tries: Tries, free: int, now_ms: int) -> Tries:
    """Return the tries as they count now: forgotten after a day; a clock set back begins the wait anew."""
    if now_ms - tries.last_ms > FORGET_S * 1000:
        return Tries()
    if now_ms < tries.last_ms:
        return Tries(tries.failures, now_ms, now_ms + delay_s(tries.failures, free) * 1000)
    return tries


def after_failure(tries: Tries, free: int, now_ms: int) -> Tries:
    """Return the tries after one more that was wrong."""
    failures = settled(tries, free, now_ms).failures + 1
    return Tries(failures, now_ms, now_ms + delay_s(failures, free) * 1000)


def take_try(session: Session, keys: tuple[str, ...], now_ms: int) -> None:
    """Count one more try as wrong before it is looked at, and commit; `give_back` takes a good one back.

    Counting first means that many tries at the same moment are as many tries. One that comes too early is
    refused and not counted, so that waiting always ends.

    Raises:
        TooManyTries: with the seconds that are left.
    """
    left_ms = 0
    session.execute(delete(LoginDelay).where(col(LoginDelay.last_ms) < now_ms - FORGET_S * 1000))
    for key in sorted(keys):
        before = _locked(session, key)
        tries = settled(before, _free(key), now_ms)
        left_ms = max(left_ms, tries.until_ms - now_ms)
        _keep(session, key, tries)
    if left_ms <= 0:
        for key in sorted(keys):
            _keep(session, key, after_failure(_locked(session, key), _free(key), now_ms))
    session.commit()
    if left_ms > 0:
        raise TooManyTries(-(-left_ms // 1000))


def give_back(session: Session, keys: tuple[str, ...], now_ms: int) -> None:
    """A try was good: the user's count begins anew, the address's is one less; the caller commits."""
    for key in sorted(keys):
        failures = _locked(session, key).failures - 1 if key.startswith("address:") else 0
        _keep(session, key, Tries(max(0, failures), now_ms, 0))


def ease(session: Session, keys: tuple[str, ...], now_ms: int) -> None:
    """Half of a try was good: the next step need not wait, but nothing is forgotten. The caller commits."""
    for key in sorted(keys):
        _keep(session, key, Tries(_locked(session, key).failures, now_ms, 0))


def unlock(session: Session, name: str) -> None:
    """Forget all wrong tries of a user, from wherever they came; the caller commits."""
    session.exec(
        delete(LoginDelay).where(
            (col(LoginDelay.key) == f"user:{name}")
            | col(LoginDelay.key).startswith(f"user:{name}@", autoescape=True)
        )
    )


def waiting_until_ms(session: Session, name: str, now_ms: int) -> int:
    """Return until when the user's log-ins from unknown places wait; 0 if they do not."""
    return waits_of(session, [name], now_ms).get(name, 0)


def waits_of(session: Session, names: Sequence[str], now_ms: int) -> dict[str, int]:
    """Return until when log-ins from unknown places wait, of those of these users that do."""
    keys = [f"user:{name}" for name in names]
    query = select(LoginDelay).where(col(LoginDelay.key).in_(keys), col(LoginDelay.until_ms) > now_ms)
    return {row.key.removeprefix("user:"): row.until_ms for row in session.exec(query)}


def _free(key: str) -> int:
    return FREE_TRIES[key.partition(":")[0]]


def _locked(session: Session, key: str) -> Tries:
    """Return the tries of a key, whose row nobody else changes until the commit."""
    insert = pg_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    fresh = insert(LoginDelay).values(key=key, failures=0, last_ms=0, until_ms=0)
    session.execute(fresh.on_conflict_do_nothing(index_elements=["key"]))
    query = select(LoginDelay).where(col(LoginDelay.key) == key).with_for_update()
    row = session.exec(query.execution_options(populate_existing=True)).one()
    return Tries(row.failures, row.last_ms, row.until_ms)


def _keep(session: Session, key: str, tries: Tries) -> None:
    change = update(LoginDelay).where(col(LoginDelay.key) == key).values(**asdict(tries))
    session.execute(change.execution_options(synchronize_session=False))
