"""How much a request may send, and for how long: one ASGI middleware in front of all that reads bodies.

It takes a body whole before anything else sees the request, so that nobody who has not even logged in fills
the memory: not with one large body, not with many, not with many that never end. A path that writes to the
disk what comes gets it as it comes, once it has looked at who sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.api.problems import problem

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What is taken.

    Attributes:
        body_bytes: of one request.
        larger_bytes: path -> what it may send instead.
        all_bytes: of all requests that are being read, together.
        slow_s: until a body must be there; of one that comes in pieces, the next piece.
        in_pieces: paths that read their body themselves.
    """

    body_bytes: int = MEBIBYTE
    larger_bytes: Mapping[str, int] = field(
        # 10,000 boards with the longest serial numbers, ids and sites that there may be are 3.4 MB
        default_factory=lambda: MappingProxyType({"/api/v1/claims": 4 * MEBIBYTE})
    )
    all_bytes: int = 64 * MEBIBYTE
    slow_s: float = 60.0
    in_pieces: frozenset[str] = frozenset({"/api/v1/releases/os"})

    def of_path(self, path: str) -> int:
        """Return how many bytes a request to a path may send."""
        return self.larger_bytes.get(path, self.body_bytes)


class BodyGuard:
    """The middleware."""

    def __init__(self, app: ASGIApp, limits: BodyLimits | None = None) -> None:
        self._app = app
        self._limits = limits or BodyLimits()
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a body and pass the request on with it, or refuse it."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        if scope["path"] in self._limits.in_pieces:
            await _InPieces(receive, send, self._limits.slow_s).run(self._app, scope)
            return
        body = bytearray()
        try:
            await self._pass_on(scope, receive, send, body)
        finally:
            self._held_bytes -= len(body)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, body: bytearray) -> None:
        try:
            is_whole = await self._read(scope, receive, body)
        except _Refused as refused:
            answer = problem(refused.status, str(refused))
            answer.headers["Connection"] = "close"  # else the rest of the body would still be read
            await answer(scope, receive, send)
            return
        if is_whole:
            await self._app(scope, _again(bytes(body), receive), send)

    async def _read(self, scope: Scope, receive: Receive, body: bytearray) -> bool:
        """Fill `body`; returns whether it is whole, and not the client gone."""
        most = self._limits.of_path(scope["path"])
        _check_length(_declared_length(scope), most)
        try:
            async with asyncio.timeout(self._limits.slow_s):
                while (message := await receive())["type"] == "http.request":
                    self._take(message.get("body", b""), body, most)
                    if not message.get("more_body", False):
                        return True
        except TimeoutError:
            raise _Refused(408, f"the body was not there after {self._limits.slow_s:g} s") from None
        return False

    def _take(self, piece: bytes, body: bytearray, most: int) -> None:
        _check_length(len(body) + len(piece), most)
        if self._held_bytes + len(piece) > self._limits.all_bytes:
            raise _Refused(503, "too much is being sent to this fleet manager at once: try again")
        body += piece
        self._held_bytes += len(piece)


class _InPieces:
    """One request whose body is read as it comes; who is answered before its end sends no more."""

    def __init__(self, receive: Receive, send: Send, slow_s: float) -> None:
        self._receive = receive
        self._send = send
        self._slow_s = slow_s
        self._is_whole = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Pass the request on."""
        await app(scope, self._next, self._answer)

    async def _next(self) -> Message:
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._slow_s):
                message = await self._receive()
        except TimeoutError:  # the same as if it had gone
            return {"type": "http.disconnect"}
        self._is_whole = not message.get("more_body", False)
        return message

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._is_whole:
            headers = [*message.get("headers", []), (b"connection", b"close")]
            message = {**message, "headers": headers}
        await self._send(message)


class _Refused(Exception):
    """A body is not taken."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "content-length" in headers or "transfer-encoding" in headers


def _declared_length(scope: Scope) -> int:
    word = Headers(scope=scope).get("content-length", "")
    return int(word) if word.isascii() and word.isdigit() else 0


def _check_length(length: int, most: int) -> None:
    if length > most:
        raise _Refused(413, f"the body is larger than {most} bytes, which is all that is taken here")


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read; then what comes from the client, which is that it goes."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again
