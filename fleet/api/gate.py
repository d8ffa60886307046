"""What every request must pass before anything looks at it; pure rules and one ASGI middleware.

No token in a URL (it would be in logs and histories), no change from another site's page (CSRF), and in a
fleet without log-in no host name but this machine's (DNS rebinding). Who somebody is, is asked later.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.access.secrets import holds_token
from fleet.api.problems import problem

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_NAMES: Final = frozenset({"token", "access_token", "api_token", "api_key"})
OWN_SITES: Final = frozenset({"same-origin", "none"})
ALWAYS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}
REFUSED_URL: Final = (
    "a token in a URL is never accepted, because URLs are kept in logs and histories: "
    "send it as `Authorization: Bearer pehra_...`, and revoke this one"
)


def is_token_in_url(path: str, query: str) -> bool:
    """Whether a URL has an API token in it, or an argument of which one would think so."""
    if holds_token(unquote(path)) or holds_token(unquote(query)):
        return True
    return any(name.lower() in TOKEN_NAMES for name, _ in parse_qsl(query, keep_blank_values=True))


def is_loopback_name(host: str) -> bool:
    """Whether a Host header names this machine itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        urlsplit(f"//{host}").port  # noqa: B018 - a port that is none raises
    except ValueError:
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def foreign_origin(headers: Mapping[str, str], *, needs_word: bool) -> str | None:
    """Return why a change or a socket is not from a page of ours, or None if it may be.

    Args:
        headers: with names in small letters.
        needs_word: it is authenticated by a cookie, so that the browser must say where it comes from.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in OWN_SITES:
        return "it comes from another site's page"
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return "it comes from another site's page"
    if needs_word and site is None and origin is None:
        return "it has a cookie, but neither Origin nor Sec-Fetch-Site"
    return None


class Gate:
    """The middleware; outermost, so that nothing else sees what it refuses."""

    def __init__(self, app: ASGIApp, *, is_open: bool) -> None:
        self._app = app
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with headers that every answer gets."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if refused := self._refusal(scope):
            await problem(*refused)(scope, receive, _closing(scope, send))
            return
        await self._app(scope, receive, _with_headers(scope, send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if is_token_in_url(scope["path"], scope["query_string"].decode("latin-1")):
            return 400, REFUSED_URL
        if self._is_open and not is_loopback_name(headers.get("host", "")):
            return 421, "this fleet has no log-in, so it answers only to 127.0.0.1 and localhost"
        if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
            return None
        needs_word = scope["type"] == "http" and "cookie" in headers and "authorization" not in headers
        if why := foreign_origin(headers, needs_word=needs_word and not self._is_open):
            return 403, f"refused, because {why}"
        return None


def _closing(scope: Scope, send: Send) -> Send:
    """A socket that is not open yet is refused with a plain close (the server answers 403)."""
    if scope["type"] == "http":
        return send

    async def close(message: Message) -> None:
        if message["type"].endswith("response.start"):
            await send({"type": "websocket.close", "code": 1008})

    return close


def _with_headers(scope: Scope, send: Send) -> Send:
    is_kept = str(scope["path"]).startswith("/_nicegui/")

    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ALWAYS.items():
                headers.setdefault(name, value)
            if not is_kept:
                headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_more
