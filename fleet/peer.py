"""Who is at the other end of a TLS connection: the web server asks for a certificate and hands it on.

uvicorn verifies a peer's certificate but does not tell the application of it; this puts it where the ASGI TLS
extension says (asgi.readthedocs.io, "TLS extension"). A browser has none and is let through without.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from fleet.errors import HomeUnusable


class PeerProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen at run time
    """One connection that tells the application of its peer's certificate."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Look at the certificate once, when the handshake is over."""
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        found = secured.getpeercert(binary_form=True) if secured is not None else None
        if found:
            self.app: ASGIApp = _Told(self.app, ssl.DER_cert_to_PEM_cert(found))


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
