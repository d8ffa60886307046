"""Log-in, log-out, one's own sessions and password."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from fleet.access.lists import page_sessions
from fleet.access.login import NeedsCode, log_in, log_out
from fleet.access.second_factor import begin_totp, confirm_totp, drop_totp
from fleet.access.sessions import end_own_session, find_caller
from fleet.access.users import change_password
from fleet.api.cookies import end_replaced, forget_cookie, give_session
from fleet.api.deps import PUBLIC, AnyCaller, Cursor, Limit, OwnAccount, ServicesDep, SessionDep
from fleet.api.entry import SESSION_COOKIE, now_ms, visit_of
from fleet.api.models_people import (
    CodeIn,
    Done,
    EnrolmentOut,
    LoginIn,
    MeOut,
    PasswordIn,
    ProofIn,
    RecoveryOut,
    SessionList,
    SessionOut,
)
from fleet.errors import NotLoggedIn
from fleet.queries.paging import Storable

router = APIRouter(tags=["people"])

SessionId = Annotated[Storable, Path(max_length=64)]


@router.post("/sessions", summary="Log in", dependencies=[PUBLIC])
def post_session(
    request: Request, response: Response, session: SessionDep, services: ServicesDep, body: LoginIn
) -> MeOut:
    """Log in with name, password and, where it is on, a TOTP code; the answer sets the session's cookie."""
    entered = log_in(session, body.name, body.password, visit_of(request), code=body.code)
    if isinstance(entered, NeedsCode):
        raise NotLoggedIn("this user logs in with a code too: send it as `code`")
    end_replaced(session, request)
    give_session(response, request, entered.secret)
    caller = find_caller(session, entered.secret, now_ms())
    assert caller is not None
    return MeOut.of(caller)


@router.get("/me", summary="Read who you are and what you may do")
def read_me(caller: AnyCaller) -> MeOut:
    """The caller's name, roles, and permissions with the sites where they hold."""
    return MeOut.of(caller)


@router.get("/sessions", summary="List your sessions")
def read_sessions(
    caller: OwnAccount, session: SessionDep, limit: Limit = 100, cursor: Cursor = None
) -> SessionList:
    """The browsers in which you are logged in, newest first; in pages."""
    page = page_sessions(session, caller.user_id, now_ms(), limit=limit, cursor=cursor)
    items = [SessionOut.of(row, caller) for row in page.items]
    return SessionList(items=items, next_cursor=page.next_cursor)


@router.delete("/sessions/current", summary="Log out")
def delete_session(caller: OwnAccount, request: Request, response: Response, session: SessionDep) -> Done:
    """End the session that asks, and forget its cookie."""
    log_out(session, caller, now_ms())
    forget_cookie(response, request, SESSION_COOKIE)
    return Done()


@router.delete("/sessions/{id}", summary="End one of your sessions")
def delete_other_session(caller: OwnAccount, session: SessionDep, id: SessionId) -> Done:
    """End a session of yours, of this browser or another."""
    end_own_session(session, caller, id, now_ms())
    return Done()


@router.put("/me/password", summary="Change your password")
def put_password(caller: OwnAccount, session: SessionDep, body: PasswordIn) -> Done:
    """Set your password; all your sessions end, this one too."""
    change_password(session, caller, body.old, body.new, now_ms=now_ms())
    return Done()


@router.post("/me/totp", summary="Begin with TOTP")
def post_totp(caller: OwnAccount, session: SessionDep, body: ProofIn) -> EnrolmentOut:
    """Get a secret for an authenticator app; it counts once a code of it was sent back."""
    begun = begin_totp(session, caller, body.password, now_ms=now_ms())
    return EnrolmentOut(uri=begun.uri, secret=begun.secret)


@router.put("/me/totp", summary="Turn TOTP on")
def put_totp(caller: OwnAccount, session: SessionDep, body: CodeIn) -> RecoveryOut:
    """Send a code of the new secret; the answer holds the recovery codes."""
    return RecoveryOut(codes=confirm_totp(session, caller, body.code, now_ms=now_ms()))


@router.post("/me/totp/off", summary="Turn TOTP off")
def post_totp_off(caller: OwnAccount, session: SessionDep, body: ProofIn) -> Done:
    """Log in with the password alone from now on."""
    drop_totp(session, caller, body.password, now_ms=now_ms())
    return Done()
