"""Lets nobody to the console's pages and sockets who has not logged in, or whose roles do not reach there.

A middleware, so that NiceGUI's socket is behind it too: a socket needs a session, belongs to the session
that opened its page, and is closed within seconds of that session's end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final
from urllib.parse import parse_qs, quote

from nicegui import Client
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.access.caller import Caller
from fleet.access.sessions import renewed
from fleet.api.entry import identify, now_ms
from fleet.api.problems import problem
from fleet.console.pages import may_open, rule_at
from fleet.console.plain import refused_page
from fleet.errors import FleetError, NotLoggedIn
from fleet.hawkbit.routes import CONTROLLER
from fleet.services import Services

LOOK_S: Final = 4.0
"""How often an open socket's session is looked at; pages look oftener by themselves."""

OWN_DOORS: Final = ("/api/", "/updates/", "/login", "/logout")
"""Where somebody else looks who comes, as does hawkBit's API; what is at `/updates/` is public and signed."""
SOCKETS: Final = "/_nicegui_ws/"
POLICY_VIOLATION: Final = 1008
OPENING: Final = '0{"sid":"refused","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}'
REFUSAL: Final = '44{"message":"Implicit handshake failed"}'


def _has_own_door(path: str) -> bool:
    return path.startswith(OWN_DOORS) or CONTROLLER.match(path) is not None


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the caller in `scope["state"]`."""
        if scope["type"] not in ("http", "websocket") or _has_own_door(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            caller = await run_in_threadpool(self._caller, scope)
        except (NotLoggedIn, DBAPIError, PoolTimeout) as error:
            await _refuse(_answer_to(error, scope), scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        if refusal := _refusal(scope, caller):
            await _refuse(refusal, scope, receive, send)
        elif scope["type"] == "websocket" and caller.kind == "session":
            await self._watched(scope, receive, send, caller)
        else:
            await self._app(scope, receive, send)

    def _caller(self, scope: Scope) -> Caller:
        is_page = scope["type"] == "http" and not scope["path"].startswith("/_nicegui")
        caller = identify(self._services, HTTPConnection(scope), is_use=is_page)
        if caller.kind == "token":
            raise NotLoggedIn("the console is for people: log in")
        return caller

    async def _watched(self, scope: Scope, receive: Receive, send: Send, caller: Caller) -> None:
        """Run a socket until it ends or its session does."""
        over = asyncio.create_task(self._session_over(caller))
        try:
            await self._app(scope, _until(over, receive), _while_running(over, send))
        finally:
            over.cancel()

    async def _session_over(self, caller: Caller) -> None:
        """Return when the session has ended; one look that the database does not answer proves nothing."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if await run_in_threadpool(self._now, caller) is None:
                    return
            except (DBAPIError, PoolTimeout, FleetError):
                continue

    def _now(self, caller: Caller) -> Caller | None:
        with self._services.session() as session:
            return renewed(session, caller, now_ms())


def _until(over: asyncio.Task[None], receive: Receive) -> Receive:
    waiting: asyncio.Task[Message] | None = None

    async def take() -> Message:
        nonlocal waiting
        waiting = waiting or asyncio.ensure_future(_awaited(receive()))
        await asyncio.wait({waiting, over}, return_when=asyncio.FIRST_COMPLETED)
        if over.done():
            waiting.cancel()
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
        message, waiting = waiting.result(), None
        return message

    return take


def _while_running(over: asyncio.Task[None], send: Send) -> Send:
    async def give(message: Message) -> None:
        if not over.done():
            await send(message)

    return give


async def _awaited(work: Awaitable[Message]) -> Message:
    return await work


def _refusal(scope: Scope, caller: Caller) -> Response | None:
    path = scope["path"]
    if path.startswith(SOCKETS):
        is_own = caller.kind == "local" or _is_own_page(scope, caller)
        return None if is_own else problem(403, "this page was opened by another session: reload it")
    rule = rule_at(path)
    if rule is None or may_open(caller, rule):
        return None
    return refused_page(caller.name)


def _is_own_page(scope: Scope, caller: Caller) -> bool:
    """Whether the page that a socket wants to serve was opened in the same session."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    client = Client.instances.get(query.get("client_id", [""])[0])
    if client is None:
        return "client_id" in query  # NiceGUI refuses it, and the browser loads the page anew
    opened_by = client.request.scope.get("state", {}).get("caller")
    return isinstance(opened_by, Caller) and opened_by.session == caller.session


def _answer_to(error: Exception, scope: Scope) -> Response:
    if not isinstance(error, NotLoggedIn):
        return problem(503, "the database does not answer: try again")
    is_page = scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith("/_")
    if not is_page:
        return problem(401, str(error))
    query = scope["query_string"].decode("latin-1")
    here = scope["path"] + (f"?{query}" if query else "")
    return RedirectResponse("/login" + (f"?next={quote(here)}" if here != "/" else ""), 303)


async def _refuse(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await answer(scope, receive, send)
    elif scope["path"].startswith(SOCKETS):
        await _send_away(receive, send)
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})


async def _send_away(receive: Receive, send: Send) -> None:
    """Tell a page's socket, in its own words, that it is refused: the page loads anew and finds the log-in.

    The words are Engine.IO's opening and Socket.IO's CONNECT_ERROR (protocols 4 and 5); a plain close would
    leave the page trying for ever.
    """
    if (await receive())["type"] != "websocket.connect":
        return
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": OPENING})
    if (await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": REFUSAL})
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
