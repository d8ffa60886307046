"""API tokens for programs: a part of one user's permissions, until a day. Shown once, kept as a hash."""

from __future__ import annotations

from typing import Final

from sqlmodel import Session, col, select

from fleet.access import audit
from fleet.access.caller import Caller, Scope, lies_within, site_prefix
from fleet.access.roles import Permission, permission_of
from fleet.access.secrets import hash_of, new_token
from fleet.access.sessions import grants_of
from fleet.access.words import check_text
from fleet.errors import BadInput, Conflict, Forbidden, NotFound
from fleet.queries.sites import EVERYWHERE, Sites
from fleet.store.tables_people import ApiToken, User

DAYS_MAX: Final = 366
TOKENS_MAX: Final = 50
USED_EVERY_MS: Final = 60_000
CLOCK_SLACK_MS: Final = 300_000
NOT_FOR_TOKENS: Final = frozenset({Permission.MANAGE_TOKENS})
"""A token makes no tokens: one that leaks would live on in another."""


def make_token(
    session: Session,
    caller: Caller,
    name: str,
    permissions: list[str],
    sites: list[str],
    *,
    days: int,
    now_ms: int,
) -> tuple[ApiToken, str]:
    """Make a token for the caller and commit; returns its row, and the token itself, which is not kept.

    Raises:
        BadInput: a name, a permission, a site or the days make no sense.
        Forbidden: the caller does not have what the token should.
        Conflict: the caller has a token of that name, or too many.
    """
    wanted, places = _scope(caller, permissions, sites)
    if not 1 <= days <= DAYS_MAX:
        raise BadInput(f"a token holds 1 to {DAYS_MAX} days")
    name = check_text(name, "a token's name", 64)
    audit.hold(session)
    own = list_tokens(session, caller.user_id)
    if any(one.name == name for one in own):
        raise Conflict(f"you have a token {name!r} already: it is shown only when it is made")
    if len(own) >= TOKENS_MAX:
        raise Conflict(f"you have {TOKENS_MAX} tokens: revoke one first")
    public, token = new_token()
    row = ApiToken(
        id=public,
        hash=hash_of(token),
        user=caller.user_id,
        name=name,
        permissions=sorted(wanted),
        sites=list(places),
        made_ms=now_ms,
        expires_ms=now_ms + days * 86_400_000,
    )
    session.add(row)
    what = {"name": row.name, "permissions": " ".join(row.permissions), "sites": " ".join(places)}
    audit.record(session, caller, "token.make", public, what | {"days": days}, at_ms=now_ms)
    session.commit()
    session.refresh(row)
    return row, token


def list_tokens(session: Session, user_id: str) -> list[ApiToken]:
    """Return the tokens of a user that were not revoked, newest first."""
    query = select(ApiToken).where(col(ApiToken.user) == user_id, col(ApiToken.revoked_ms).is_(None))
    return list(session.exec(query.order_by(col(ApiToken.made_ms).desc(), col(ApiToken.id))))


def revoke_token(session: Session, caller: Caller, public: str, now_ms: int) -> None:
    """Revoke one of the caller's own tokens and commit.

    Raises:
        NotFound: the caller has none of that id.
    """
    row = session.get(ApiToken, public)
    if row is None or row.user != caller.user_id or row.revoked_ms is not None:
        raise NotFound("you have no token of that id: see /api/v1/tokens")
    row.revoked_ms = now_ms
    session.add(row)
    audit.record(session, caller, "token.revoke", public, {"name": row.name}, at_ms=now_ms)
    session.commit()


def find_token_caller(session: Session, token: str, now_ms: int) -> Caller | None:
    """Return who a token speaks for, or None when it is unknown, expired, revoked or its user disabled."""
    row = session.exec(select(ApiToken).where(col(ApiToken.hash) == hash_of(token))).first()
    if row is None or row.revoked_ms is not None:
        return None
    if not row.made_ms - CLOCK_SLACK_MS <= now_ms < row.expires_ms:
        return None
    user = session.get(User, row.user)
    if user is None or user.is_disabled:
        return None
    permissions = frozenset(Permission(word) for word in row.permissions if word in set(Permission))
    scope = Scope(permissions - NOT_FOR_TOKENS, tuple(row.sites))
    caller = Caller(user.name, "token", user_id=user.id, grants=grants_of(session, user.id), scope=scope)
    if row.used_ms is None or abs(now_ms - row.used_ms) >= USED_EVERY_MS:
        row.used_ms = now_ms
        session.add(row)
        session.commit()
    return caller


def _scope(caller: Caller, permissions: list[str], sites: list[str]) -> tuple[set[Permission], Sites]:
    if not permissions:
        raise BadInput("a token needs at least one permission")
    wanted = {permission_of(word) for word in permissions}
    places = tuple(sorted({site_prefix(site) for site in sites})) or EVERYWHERE
    for permission in sorted(wanted):
        if permission in NOT_FOR_TOKENS:
            raise BadInput(f"a token cannot have {permission}")
        caller.need(permission)
        held = caller.sites(permission)
        if places != EVERYWHERE and not all(any(lies_within(p, h) for h in held) for p in places):
            raise Forbidden(f"{caller.name} does not have {permission} at all of these sites")
    return wanted, places
