"""Log-in sessions of browsers: made, looked up, ended; pure rules for how long they last.

The cookie holds 256 random bits, the database their hash. Every log-in makes a new id, so that one that was
planted in a browser before (session fixation) is worth nothing afterwards.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, func, update
from sqlmodel import Session, col, delete, select

from fleet.access import audit
from fleet.access.caller import Caller, Grant
from fleet.access.places import matching, network_of
from fleet.access.roles import Role
from fleet.access.secrets import hash_of, new_secret
from fleet.errors import NotFound
from fleet.store.tables_people import LoginSession, User, UserGrant

IDLE_S: Final = 12 * 3600
ABSOLUTE_S: Final = 7 * 86_400
KNOWN_PLACE_S: Final = 30 * 86_400
TOUCH_S: Final = 60
CLOCK_SLACK_S: Final = 300
"""How far our clock may be set back under a session; beyond that its age is anybody's guess, and it ends."""

PUBLIC_CHARS: Final = 16


def is_standing(made_ms: int, seen_ms: int, now_ms: int) -> bool:
    """Whether a session of that age still holds."""
    if now_ms < made_ms - CLOCK_SLACK_S * 1000:
        return False
    return now_ms - made_ms < ABSOLUTE_S * 1000 and now_ms - seen_ms < IDLE_S * 1000


def open_session(session: Session, user: User, *, address: str, agent: str, now_ms: int) -> str:
    """Make a session for a user who was proved; returns the id for the cookie. The caller commits."""
    _forget_old(session, now_ms)
    secret = new_secret()
    session.add(
        LoginSession(
            hash=hash_of(secret),
            user=user.id,
            address=address[:64],
            agent="".join(c for c in agent if c.isprintable())[:200],
            made_ms=now_ms,
            seen_ms=now_ms,
        )
    )
    session.flush()
    return secret


def find_caller(session: Session, secret: str, now_ms: int, *, is_use: bool = True) -> Caller | None:
    """Return who a cookie belongs to, or None when its session has ended or its user may not log in.

    Args:
        session: to read with; committed when the moment of the last use is kept.
        secret: what the cookie holds.
        now_ms: Unix milliseconds.
        is_use: a person does something, which puts the idle end off; a page that is merely open does not.
    """
    found = session.get(LoginSession, hash_of(secret))
    if found is None or found.ended_ms is not None:
        return None
    if not is_standing(found.made_ms, found.seen_ms, now_ms):
        return None
    caller = _caller(session, found)
    if caller is not None and is_use and abs(now_ms - found.seen_ms) >= TOUCH_S * 1000:
        found.seen_ms = now_ms
        session.add(found)
        session.commit()
    return caller


def renewed(session: Session, caller: Caller, now_ms: int) -> Caller | None:
    """Return the caller as he stands now, for a page that has been open a while; None when he is out."""
    if caller.kind != "session":
        return caller
    found = session.get(LoginSession, caller.session)
    if found is None or found.ended_ms is not None:
        return None
    return _caller(session, found) if is_standing(found.made_ms, found.seen_ms, now_ms) else None


def grants_of(session: Session, user_id: str) -> tuple[Grant, ...]:
    """Return a user's grants; a role that this version does not know gives nothing."""
    rows = session.exec(select(UserGrant).where(col(UserGrant.user) == user_id)).all()
    return tuple(sorted(Grant(Role(row.role), row.site) for row in rows if row.role in set(Role)))


def standing_of(user_id: str, now_ms: int) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that leave the sessions of a user that hold; the same as `is_standing`."""
    made_ms, seen_ms = col(LoginSession.made_ms), col(LoginSession.seen_ms)
    return (
        col(LoginSession.user) == user_id,
        col(LoginSession.ended_ms).is_(None),
        made_ms <= now_ms + CLOCK_SLACK_S * 1000,
        made_ms > now_ms - ABSOLUTE_S * 1000,
        seen_ms > now_ms - IDLE_S * 1000,
    )


def public_id(row: LoginSession) -> str:
    """Return the name of a session in lists and paths; it opens nothing."""
    return row.hash[:PUBLIC_CHARS]


def end_session(session: Session, hashed: str, now_ms: int) -> None:
    """End one session; again changes nothing. The caller commits."""
    found = session.get(LoginSession, hashed)
    if found is not None and found.ended_ms is None:
        found.ended_ms = now_ms
        session.add(found)


def end_own_session(session: Session, caller: Caller, public: str, now_ms: int) -> None:
    """End one of the caller's own sessions by its public id, and commit.

    Raises:
        NotFound: the caller has none of that id.
    """
    is_it = func.substr(col(LoginSession.hash), 1, PUBLIC_CHARS) == public
    query = select(LoginSession).where(*standing_of(caller.user_id, now_ms), is_it)
    found = session.exec(query.limit(1)).first()
    if found is None:
        raise NotFound("you have no session of that id: see /api/v1/sessions")
    end_session(session, found.hash, now_ms)
    audit.record(session, caller, "session.end", public, {"of": found.address}, at_ms=now_ms)
    session.commit()


def end_all_sessions(session: Session, user_id: str, now_ms: int) -> None:
    """End every session of a user. The caller commits."""
    session.execute(
        update(LoginSession)
        .where(col(LoginSession.user) == user_id, col(LoginSession.ended_ms).is_(None))
        .values(ended_ms=now_ms)
    )


def is_known_place(session: Session, user_id: str, address: str, now_ms: int) -> bool:
    """Whether the user has logged in from this address, or its network, in the last 30 days."""
    query = select(LoginSession.address).where(*_recently(user_id, now_ms)).distinct()
    return network_of(address) in {network_of(one) for one in session.exec(query)}


def marked_session(session: Session, user_id: str, mark: str, now_ms: int) -> str:
    """Return the hash of the user's session of the last 30 days that left this mark; empty for none."""
    if not mark:
        return ""
    return matching(mark, session.exec(select(LoginSession.hash).where(*_recently(user_id, now_ms))))


def _recently(user_id: str, now_ms: int) -> tuple[ColumnElement[bool], ...]:
    since_ms = now_ms - KNOWN_PLACE_S * 1000
    return col(LoginSession.user) == user_id, col(LoginSession.made_ms) > since_ms


def _caller(session: Session, found: LoginSession) -> Caller | None:
    user = session.get(User, found.user)
    if user is None or user.is_disabled:
        return None
    return Caller(
        user.name,
        "session",
        user_id=user.id,
        grants=grants_of(session, user.id),
        session=found.hash,
        address=found.address,
    )


def _forget_old(session: Session, now_ms: int) -> None:
    session.exec(delete(LoginSession).where(col(LoginSession.made_ms) < now_ms - KNOWN_PLACE_S * 1000))
