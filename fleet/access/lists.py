"""People, their tokens and their sessions in pages; each page costs the same few queries."""

from __future__ import annotations

from collections import defaultdict

from sqlmodel import Session, col, select

from fleet.access.caller import Grant
from fleet.access.lockout import waits_of
from fleet.access.roles import Role
from fleet.access.sessions import standing_of
from fleet.access.users import Person, person_of
from fleet.queries.paging import Page, pack_cursor, page_of, unpack_cursor
from fleet.store.tables_people import ApiToken, LoginSession, User, UserGrant


def page_users(session: Session, now_ms: int, *, limit: int, cursor: str | None = None) -> Page[Person]:
    """Return one page of users by name.

    Raises:
        BadQuery: the cursor is not ours.
    """
    wanted = select(User).order_by(col(User.name)).limit(limit + 1)
    if cursor:
        wanted = wanted.where(col(User.name) > unpack_cursor(cursor, (str,))[0])
    users = list(session.exec(wanted))
    shown = users[:limit]
    grants = _grants_of(session, [user.id for user in shown])
    waits = waits_of(session, [user.name for user in shown], now_ms)
    people = [person_of(user, tuple(sorted(grants[user.id])), waits.get(user.name, 0)) for user in shown]
    return Page(people, pack_cursor(shown[-1].name) if len(users) > limit else None)


def page_tokens(session: Session, user_id: str, *, limit: int, cursor: str | None = None) -> Page[ApiToken]:
    """Return one page of a user's tokens that were not revoked, newest first.

    Raises:
        BadQuery: the cursor is not ours.
    """
    wanted = select(ApiToken).where(col(ApiToken.user) == user_id, col(ApiToken.revoked_ms).is_(None))
    order = ((col(ApiToken.made_ms), int), (col(ApiToken.id), str))
    return page_of(session, wanted, order, lambda row: (row.made_ms, row.id), limit=limit, cursor=cursor)


def page_sessions(
    session: Session, user_id: str, now_ms: int, *, limit: int, cursor: str | None = None
) -> Page[LoginSession]:
    """Return one page of a user's sessions that hold, newest first.

    Raises:
        BadQuery: the cursor is not ours.
    """
    wanted = select(LoginSession).where(*standing_of(user_id, now_ms))
    order = ((col(LoginSession.made_ms), int), (col(LoginSession.hash), str))
    return page_of(session, wanted, order, lambda row: (row.made_ms, row.hash), limit=limit, cursor=cursor)


def _grants_of(session: Session, user_ids: list[str]) -> dict[str, list[Grant]]:
    found: dict[str, list[Grant]] = defaultdict(list)
    for row in session.exec(select(UserGrant).where(col(UserGrant.user).in_(user_ids))):
        if row.role in set(Role):
            found[row.user].append(Grant(Role(row.role), row.site))
    return found
