"""Log-in, its second step and log-out as plain forms.

Each form carries a token that goes with a cookie of the same browser, so that no other site can send it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from fleet.access.login import (
    STEP_S,
    Entered,
    NeedsCode,
    enter_by_provider,
    give_code,
    log_in,
    log_out,
    open_step,
    refuse_provider,
    take_step,
)
from fleet.access.secrets import form_token, is_same, new_secret
from fleet.access.sign_on import user_by_provider
from fleet.api.cookies import end_replaced, forget_cookie, give_cookie, give_session
from fleet.api.deps import PUBLIC, ServicesDep, SessionDep
from fleet.api.entry import SESSION_COOKIE, STEP_COOKIE, identify, now_ms, read_cookie, visit_of
from fleet.console.pages import safe_next
from fleet.console.plain import code_page, login_page
from fleet.errors import Conflict, NotLoggedIn, TooManyTries

router = APIRouter(include_in_schema=False, dependencies=[PUBLIC])

Word = Annotated[str, Form(max_length=2000)]
Next = Annotated[str, Query(alias="next", max_length=2000)]
STALE: Final = "this form was too old: please try again"


@router.get("/login")
def show_login(request: Request, services: ServicesDep, next_path: Next = "/") -> Response:
    """Show the form, or go on for who is in already."""
    to = safe_next(next_path)
    try:
        identify(services, request)
    except NotLoggedIn:
        return _ask(request, services, to)
    return RedirectResponse(to, 303)


@router.post("/login")
def post_login(
    request: Request,
    services: ServicesDep,
    session: SessionDep,
    name: Word = "",
    password: Word = "",
    form: Word = "",
    next_path: Annotated[str, Form(alias="next", max_length=2000)] = "/",
) -> Response:
    """Look at name and password; on to the console, to the code, or back to the form."""
    to = safe_next(next_path)
    if not _is_ours(request, STEP_COOKIE, form):
        return _ask(request, services, to, said=STALE, status=403)
    try:
        entered = log_in(session, name, password, visit_of(request))
    except (NotLoggedIn, TooManyTries) as error:
        return _ask(request, services, to, name=name[:64], said=str(error), status=_status(error))
    if isinstance(entered, NeedsCode):
        answer = RedirectResponse("/login/code?" + urlencode({"next": to}), 303)
        give_cookie(answer, request, STEP_COOKIE, entered.secret, age_s=STEP_S)
        return answer
    return _enter(request, session, entered, to)


@router.get("/login/code")
def show_code(request: Request, next_path: Next = "/") -> Response:
    """Ask for the code."""
    step = read_cookie(request, STEP_COOKIE)
    return code_page(form_token(step), next_path=safe_next(next_path))


@router.post("/login/code")
def post_code(
    request: Request,
    session: SessionDep,
    code: Word = "",
    form: Word = "",
    next_path: Annotated[str, Form(alias="next", max_length=2000)] = "/",
) -> Response:
    """Look at the code; on to the console, or ask again."""
    to, step = safe_next(next_path), read_cookie(request, STEP_COOKIE)
    if not _is_ours(request, STEP_COOKIE, form):
        return RedirectResponse("/login", 303)
    try:
        entered = give_code(session, step, code, visit_of(request))
    except (NotLoggedIn, TooManyTries) as error:
        return code_page(form_token(step), next_path=to, said=str(error), status=_status(error))
    return _enter(request, session, entered, to)


@router.get("/login/sso")
def begin_sso(
    request: Request, services: ServicesDep, session: SessionDep, next_path: Next = "/"
) -> Response:
    """Send the browser to the provider of single sign-on."""
    to, sign_on = safe_next(next_path), services.sign_on
    if sign_on is None:
        return RedirectResponse("/login", 303)
    try:
        url, kept = sign_on.begin(sign_on.redirect_uri(str(request.base_url)))
    except NotLoggedIn as error:
        return _ask(request, services, to, said=str(error), status=503)
    step = open_step(session, "sso", kept | {"next": to}, now_ms())
    session.commit()
    answer = RedirectResponse(url, 303)
    give_cookie(answer, request, STEP_COOKIE, step, age_s=STEP_S)
    return answer


@router.get("/login/sso/callback")
def finish_sso(request: Request, services: ServicesDep, session: SessionDep) -> Response:
    """Let in whom the provider vouches for."""
    if services.sign_on is None:
        return RedirectResponse("/login", 303)
    visit = visit_of(request)
    try:
        kept = take_step(session, read_cookie(request, STEP_COOKIE), "sso", visit.now_ms)
        identity = services.sign_on.finish(kept, dict(request.query_params), visit.now_ms / 1000)
        entered = enter_by_provider(session, user_by_provider(session, identity, visit.now_ms), visit)
    except (NotLoggedIn, Conflict) as error:
        refuse_provider(session, str(error), visit)
        return _ask(request, services, "/", said=str(error), status=401)
    return _enter(request, session, entered, kept["next"])


@router.post("/logout")
def post_logout(request: Request, services: ServicesDep, session: SessionDep, form: Word = "") -> Response:
    """End the session and show the form; again changes nothing."""
    answer = RedirectResponse("/login", 303)
    if _is_ours(request, SESSION_COOKIE, form):
        with suppress(NotLoggedIn):
            log_out(session, identify(services, request), now_ms())
        forget_cookie(answer, request, SESSION_COOKIE)
    return answer


def _ask(
    request: Request, services: ServicesDep, to: str, *, name: str = "", said: str = "", status: int = 200
) -> Response:
    cookie = read_cookie(request, STEP_COOKIE) or new_secret()
    sso = services.sign_on.label if services.sign_on else ""
    answer = login_page(form_token(cookie), next_path=to, name=name, said=said, sso=sso, status=status)
    give_cookie(answer, request, STEP_COOKIE, cookie, age_s=3600)
    return answer


def _enter(request: Request, session: SessionDep, entered: Entered, to: str) -> Response:
    end_replaced(session, request)
    answer = RedirectResponse(to, 303)
    give_session(answer, request, entered.secret)
    forget_cookie(answer, request, STEP_COOKIE)
    return answer


def _is_ours(request: Request, cookie: str, form: str) -> bool:
    value = read_cookie(request, cookie)
    return bool(value) and is_same(form, form_token(value))


def _status(error: Exception) -> int:
    return 429 if isinstance(error, TooManyTries) else 401
