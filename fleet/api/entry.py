"""Who a request comes from: its cookie or its bearer token, looked up in the database."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

from sqlmodel import Session
from starlette.requests import HTTPConnection

from fleet.access.caller import LOCAL, Caller
from fleet.access.login import Visit
from fleet.access.sessions import find_caller
from fleet.access.tokens import find_token_caller
from fleet.errors import NotLoggedIn
from fleet.services import Services

SESSION_COOKIE: Final = "pehra_session"
STEP_COOKIE: Final = "pehra_login"
MARK_COOKIE: Final = "pehra_known"
BEARER: Final = "bearer "


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


def cookie_name(base: str, scheme: str) -> str:
    """Return a cookie's name; over TLS with the prefix that binds it to this host (RFC 6265bis, 4.1.3.2)."""
    return f"__Host-{base}" if scheme in ("https", "wss") else base


def read_cookie(connection: HTTPConnection, base: str) -> str:
    """Return the value of one of our cookies, empty without it."""
    return connection.cookies.get(cookie_name(base, connection.url.scheme), "")


def address_of(connection: HTTPConnection) -> str:
    """Return where a request comes from."""
    return connection.client.host[:64] if connection.client else ""


def visit_of(connection: HTTPConnection) -> Visit:
    """Return where and when somebody knocks."""
    agent, mark = connection.headers.get("user-agent", ""), read_cookie(connection, MARK_COOKIE)
    return Visit(address_of(connection), agent, now_ms(), mark)


def identify(services: Services, connection: HTTPConnection, *, is_use: bool = True) -> Caller:
    """Return who a request comes from.

    Args:
        services: of this fleet.
        connection: a request or a socket.
        is_use: whether it puts off the idle end of a session.

    Raises:
        NotLoggedIn: neither a session that holds nor a good token.
    """
    if services.settings.is_open:
        return replace(LOCAL, address=address_of(connection))
    authorization = connection.headers.get("authorization")
    with services.session() as session:
        if authorization is not None:
            found = _by_token(session, authorization)
        else:
            secret = read_cookie(connection, SESSION_COOKIE)
            found = find_caller(session, secret, now_ms(), is_use=is_use) if secret else None
    if found is None:
        raise NotLoggedIn(_what_lacks(connection, authorization))
    return replace(found, address=address_of(connection))


def _by_token(session: Session, authorization: str) -> Caller | None:
    if not authorization.lower().startswith(BEARER):
        return None
    return find_token_caller(session, authorization[len(BEARER) :].strip(), now_ms())


def _what_lacks(connection: HTTPConnection, authorization: str | None) -> str:
    if authorization is not None:
        return "the token is unknown, expired or revoked: make another one (docs/access.md)"
    if read_cookie(connection, SESSION_COOKIE):
        return "the session has ended: log in again"
    return "log in, or send a token as `Authorization: Bearer pehra_...` (docs/access.md)"
