"""The cookies of log-in: readable by no script, sent to no other site, over TLS only where there is TLS."""

from __future__ import annotations

from sqlmodel import Session
from starlette.requests import HTTPConnection
from starlette.responses import Response

from fleet.access.places import mark_of
from fleet.access.secrets import hash_of
from fleet.access.sessions import ABSOLUTE_S, KNOWN_PLACE_S, end_session
from fleet.api.entry import MARK_COOKIE, SESSION_COOKIE, cookie_name, now_ms, read_cookie


def give_cookie(
    response: Response, connection: HTTPConnection, base: str, value: str, *, age_s: int = ABSOLUTE_S
) -> None:
    """Set a cookie.

    SameSite is Lax, not Strict: a link in a mail must open the console, and a change needs our Origin anyway.
    """
    scheme = connection.url.scheme
    response.set_cookie(
        cookie_name(base, scheme),
        value,
        max_age=age_s,
        path="/",
        secure=scheme == "https",
        httponly=True,
        samesite="lax",
    )


def give_session(response: Response, connection: HTTPConnection, secret: str) -> None:
    """Set the cookie of a session, and the mark by which the browser is known after its end."""
    give_cookie(response, connection, SESSION_COOKIE, secret)
    give_cookie(response, connection, MARK_COOKIE, mark_of(hash_of(secret)), age_s=KNOWN_PLACE_S)


def forget_cookie(response: Response, connection: HTTPConnection, base: str) -> None:
    """Take a cookie back."""
    scheme = connection.url.scheme
    response.delete_cookie(
        cookie_name(base, scheme), path="/", secure=scheme == "https", httponly=True, samesite="lax"
    )


def end_replaced(session: Session, connection: HTTPConnection) -> None:
    """End the session whose cookie a new log-in replaces, and commit."""
    if before := read_cookie(connection, SESSION_COOKIE):
        end_session(session, hash_of(before), now_ms())
        session.commit()
