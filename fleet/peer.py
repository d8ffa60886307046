"""Who is at the other end of a connection: the web server asks for a certificate and hands it on.

uvicorn verifies a peer's certificate but does not tell the application of it; this puts it where the ASGI TLS
extension says (asgi.readthedocs.io, "TLS extension"). A browser has none and is let through without.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from fleet.errors import HomeUnusable

log = logging.getLogger(__name__)

HEAD_MAX_BYTES: Final = 65_536
"""Of a request's first line and headers; cookies and a page's address need a few thousand."""
HEAD_S: Final = 20.0
"""Until the head of a request must be there; a connection that says nothing is closed too."""
STALL_S: Final = 240.0
"""So long an answer may wait for a peer that does not read: about 200 bytes a second are taken at least."""


class PeerProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen at run time
    """One connection that tells the application of its peer's certificate, and is closed if no request comes.

    uvicorn itself waits for ever for the head of a request and for a peer that does not read its answer, and
    httptools takes a head of any size.
    """

    head_s: float = HEAD_S
    stall_s: float = STALL_S
    _stall_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Look at the certificate once, when the handshake is over."""
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        found = secured.getpeercert(binary_form=True) if secured is not None else None
        if found:
            self.app: ASGIApp = _Told(self.app, ssl.DER_cert_to_PEM_cert(found))
        self._head_timer = self.loop.call_later(self.head_s, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Take what came; the head of one request may be so long and take so long."""
        is_head, cycle = self._is_head_due, self.cycle
        super().data_received(data)
        if not is_head or self.cycle is not cycle:
            self._end_head()
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_MAX_BYTES:
            self._close(f"more than {HEAD_MAX_BYTES} bytes of a request's head")
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._end_head()
        self._end_stall()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for a peer that reads slowly, but not for ever."""
        super().pause_writing()
        self._end_stall()
        self._stall_timer = self.loop.call_later(self.stall_s, self._stall)

    def resume_writing(self) -> None:
        """Go on: the peer has taken what was sent."""
        self._end_stall()
        super().resume_writing()

    @property
    def _is_head_due(self) -> bool:
        """Whether what comes next belongs to no body."""
        return self.cycle is None or self.cycle.response_complete or not self.cycle.more_body

    def _end_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _stall(self) -> None:
        self._stall_timer = None
        if self.transport.get_protocol() is self:
            self._close(f"took nothing of an answer for {self.stall_s:g} s")

    def _give_up(self) -> None:
        self._head_timer = None
        if self.transport.get_protocol() is not self:  # it has become a socket
            return
        if self.cycle is None or self.cycle.response_complete:
            self._close(f"no whole request after {self.head_s:g} s")

    def _close(self, why: str) -> None:
        log.info("connection closed peer=%s reason=%r", (self.client or ("unknown",))[0], why)
        self._end_head()
        self.transport.abort()


class _Told:
    """The application, told of the peer's certificate in each request."""

    def __init__(self, app: ASGIApp, pem: str) -> None:
        self._app = app
        self._tls = {"client_cert_chain": [pem]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {**(scope.get("extensions") or {}), "tls": self._tls}
        await self._app({**scope, "extensions": extensions}, receive, send)


def peer_certificate(scope: Scope) -> x509.Certificate | None:
    """Return the certificate that the peer of a request came with; the handshake has verified it."""
    tls: dict[str, Any] = (scope.get("extensions") or {}).get("tls") or {}
    chain = tls.get("client_cert_chain") or []
    return x509.load_pem_x509_certificate(chain[0].encode()) if chain else None


def tls_context(server: Path, authorities: Path) -> ssl.SSLContext:
    """Return the context of a server that takes certificates of these authorities, and asks for none.

    Raises:
        HomeUnusable: a file is missing or broken.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    load_chain(context, server)
    try:
        context.load_verify_locations(authorities)
    except (OSError, ssl.SSLError) as error:
        raise HomeUnusable(authorities.parent, f"{authorities.name}: {error}") from error
    return context


def load_chain(context: ssl.SSLContext, server: Path) -> None:
    """Take key and certificate from a file, also in a context that is in use: the next handshake has them.

    Raises:
        HomeUnusable: the file is missing or broken.
    """
    try:
        context.load_cert_chain(server)
    except (OSError, ssl.SSLError) as error:
        raise HomeUnusable(server.parent, f"{server.name}: {error}") from error
