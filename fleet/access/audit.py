"""The audit log: who did or looked at what, in rows that are only ever added.

`record` belongs at the end of a transaction: it takes the lock of the log's end, and the row is there
exactly if the change is. No secret is given to it; a detail whose name sounds like one is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, update
from sqlmodel import Session, col, select

from fleet.access.caller import Caller
from fleet.access.chain import Finding, Head, Link, canonical, chained_hash, check_chain
from fleet.queries.paging import Page, pack_cursor, unpack_cursor
from fleet.store.tables_people import AuditEntry, AuditHead

Detail = Mapping[str, str | int | float | bool | None]
SAME_LOOK_MS: Final = 60_000
TEXT_CHARS: Final = 300
_SECRETS: Final = ("password", "secret", "code", "cookie", "key", "hash")
_READ_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows; an empty field does not filter.

    Attributes:
        action: an action or the beginning of one (`user`, `login.`).
        since_ms: from this moment on (Unix milliseconds).
        until_ms: before this moment.
    """

    who: str = ""
    action: str = ""
    target: str = ""
    since_ms: int | None = None
    until_ms: int | None = None


def record(
    session: Session,
    who: Caller | str,
    action: str,
    target: str = "",
    detail: Detail | None = None,
    *,
    at_ms: int | None = None,
) -> int:
    """Add a row to the log within the session's transaction, and return its number.

    Call it last before the commit: appends wait for each other until then.

    Args:
        session: whose transaction this belongs to; the caller commits.
        who: who did it; of a `Caller` the address is kept too.
        action: `noun.verb`, for example `device.revoke`.
        target: what it was done to; device, user, `lahore/gulberg`, ...
        detail: what else matters; never a secret.
        at_ms: Unix milliseconds; now when it is left out.

    Raises:
        ValueError: a name in `detail` is one of a secret.
    """
    at_ms = round(time.time() * 1000) if at_ms is None else at_ms
    name = who.name if isinstance(who, Caller) else who
    entry = _entry(name, action, target, _detail_text(who, detail), at_ms)
    advance = (
        update(AuditHead)
        .where(col(AuditHead.id) == 1)
        .values(n=AuditHead.n + 1)
        .returning(col(AuditHead.n), col(AuditHead.hash))
        .execution_options(synchronize_session=False)
    )
    entry.n, entry.previous = session.execute(advance).one()
    entry.hash = chained_hash(
        entry.previous, entry.n, at_ms, entry.who, entry.action, entry.target, entry.detail
    )
    session.execute(
        update(AuditHead)
        .where(col(AuditHead.id) == 1)
        .values(hash=entry.hash)
        .execution_options(synchronize_session=False)
    )
    session.add(entry)
    session.flush()
    return entry.n


def look(
    session: Session, who: Caller, action: str, target: str = "", detail: Detail | None = None, *, at_ms: int
) -> None:
    """Keep that somebody looks at something, and commit; the same again within a minute is the same look."""
    text = _detail_text(who, detail)
    wanted = _entry(who.name, action, target, text, at_ms)
    is_known = session.exec(
        select(AuditEntry.n)
        .where(
            col(AuditEntry.who) == wanted.who,
            col(AuditEntry.action) == wanted.action,
            col(AuditEntry.at_ms) > at_ms - SAME_LOOK_MS,
            col(AuditEntry.at_ms) <= at_ms,
            col(AuditEntry.target) == wanted.target,
            col(AuditEntry.detail) == text,
        )
        .limit(1)
    ).first()
    if is_known is None:
        record(session, who, action, target, detail, at_ms=at_ms)
        session.commit()


def list_entries(
    session: Session, wanted: AuditFilter, *, limit: int, cursor: str | None
) -> Page[AuditEntry]:
    """Return one page of the log, newest first.

    Raises:
        BadQuery: the cursor is not ours.
    """
    where = _conditions(wanted)
    if cursor:
        where.append(col(AuditEntry.n) < unpack_cursor(cursor, (int,))[0])
    query = select(AuditEntry).where(*where).order_by(col(AuditEntry.n).desc()).limit(limit + 1)
    found = list(session.exec(query))
    if len(found) <= limit:
        return Page(found, None)
    return Page(found[:limit], pack_cursor(found[limit - 1].n))


def all_entries(session: Session) -> Iterator[AuditEntry]:
    """Return every row, oldest first, a few hundred at a time."""
    query = select(AuditEntry).order_by(col(AuditEntry.n)).execution_options(yield_per=_READ_ROWS)
    yield from session.exec(query)


def read_head(session: Session) -> Head:
    """Return the end of the log as it is kept beside the rows."""
    head = session.exec(select(AuditHead)).one()
    return Head(head.n, head.hash)


def verify(session: Session, known: Iterable[Head] = ()) -> list[Finding]:
    """Return what is wrong with the log, oldest row first; an empty list is a whole log.

    Args:
        session: to read with.
        known: ends that were written down elsewhere.
    """
    links = (
        Link(e.n, e.at_ms, e.who, e.action, e.target, e.detail, e.previous, e.hash)
        for e in all_entries(session)
    )
    return list(check_chain(links, [read_head(session), *known]))


def _entry(who: str, action: str, target: str, detail: str, at_ms: int) -> AuditEntry:
    return AuditEntry(
        n=0,
        at_ms=at_ms,
        who=_plain(who)[:80],
        action=_plain(action)[:40],
        target=_plain(target),
        detail=detail,
        previous="",
        hash="",
    )


def _detail_text(who: Caller | str, detail: Detail | None) -> str:
    told = {name: value for name, value in (detail or {}).items() if value not in (None, "")}
    if secret := next((name for name in told if any(word in name for word in _SECRETS)), None):
        raise ValueError(f"{secret!r} does not belong into the audit log")
    if isinstance(who, Caller):
        told |= {"from": who.address} if who.address else {}
        is_person = who.kind in ("session", "local") or who.name == who.kind
        told |= {} if is_person else {"by": who.kind}
    return canonical({name: _plain(v) if isinstance(v, str) else v for name, v in told.items()})


def _plain(text: str) -> str:
    """Return a text that both databases hold: what they do not is replaced."""
    held = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
    return held[:TEXT_CHARS]


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = []
    if wanted.who:
        where.append(col(AuditEntry.who) == wanted.who)
    if wanted.action:
        where.append(col(AuditEntry.action).startswith(wanted.action, autoescape=True))
    if wanted.target:
        where.append(col(AuditEntry.target).icontains(wanted.target, autoescape=True))
    if wanted.since_ms is not None:
        where.append(col(AuditEntry.at_ms) >= wanted.since_ms)
    if wanted.until_ms is not None:
        where.append(col(AuditEntry.at_ms) < wanted.until_ms)
    return where


def hold(session: Session) -> None:
    """Take the lock of the log's end now, for a decision that must not be made by two at once."""
    session.execute(
        update(AuditHead)
        .where(col(AuditHead.id) == 1)
        .values(n=AuditHead.n)
        .execution_options(synchronize_session=False)
    )
