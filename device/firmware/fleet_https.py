"""Asks the fleet over HTTPS: before there is trust by a pinned root, afterwards by mutual TLS.

Never follows a redirect, never asks without TLS, and never says a secret before the pin was found to hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from device.errors import EnrolRefused, FleetAway, NotOurFleet

TIMEOUT_S: Final = 15.0
WHOLE_S: Final = 40.0
"""A question and its answer take no longer, also when a byte comes now and then."""
MAX_ANSWER_BYTES: Final = 262_144
NO_CHECK_TIME: Final = 0x200000
"""`X509_V_FLAG_NO_CHECK_TIME` of OpenSSL (x509_vfy.h), for which Python has no name."""
T = TypeVar("T")


class _Problem(msgspec.Struct):
    """What a refusal says (RFC 9457)."""

    detail: str = ""
    reason: str = ""


def fetch_root(url: str, pin: str) -> x509.Certificate:
    """Return the fleet's root certificate, if its key is the pinned one.

    The connection itself proves nothing, so nothing but this public certificate is asked over it.

    Raises:
        FleetAway: nobody answers now.
        NotOurFleet: whoever answers is not the fleet of the ticket.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    status, body = _ask(url, context, "GET", "/api/v1/enrol/root", b"")
    if status != 200:
        raise NotOurFleet(f"{url} does not speak of a root certificate (HTTP {status})")
    try:
        root = x509.load_pem_x509_certificate(body)
        found = root.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise NotOurFleet(f"{url} gives no root certificate ({error})") from error
    if hashlib.sha256(found).hexdigest() != pin:
        raise NotOurFleet(f"the root certificate of {url} is not the one that the ticket names")
    return root


def trusting(root_pem: str, *, valid_from_s: float, identity: Path | None = None) -> ssl.SSLContext:
    """Return the TLS context of a client that trusts one root.

    Args:
        root_pem: the root.
        valid_from_s: a moment that has certainly been (Unix seconds); while our clock is before it, nobody's
            certificate can be held against the clock, so dates are not checked.
        identity: file with our key and certificate.

    Raises:
        NotOurFleet: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=root_pem)
        if identity is not None:
            context.load_cert_chain(identity)
    except (OSError, ssl.SSLError) as error:
        raise NotOurFleet(f"the TLS files cannot be used ({error})") from error
    heed_clock(context, valid_from_s)
    return context


def heed_clock(context: ssl.SSLContext, valid_from_s: float, now: Callable[[], float] = time.time) -> None:
    """Check the dates of certificates, or not while our clock is certainly wrong."""
    if now() < valid_from_s:
        context.verify_flags |= NO_CHECK_TIME
    else:
        context.verify_flags &= ~NO_CHECK_TIME


def begin_of(certificate: Path) -> float:
    """Return since when a file's first certificate holds, Unix seconds: a moment that has certainly been.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds none.
    """
    first = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    return first.not_valid_before_utc.timestamp()


def post(url: str, context: ssl.SSLContext, path: str, question: msgspec.Struct, kind: type[T]) -> T:
    """Ask, and return the answer.

    Raises:
        FleetAway: nobody answers now, or not well: ask again later.
        NotOurFleet: TLS says that it is somebody else.
        EnrolRefused: the fleet says no.
    """
    status, body = _ask(url, context, "POST", f"/api/v1{path}", msgspec.json.encode(question))
    if status == 200:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise FleetAway(f"{url}: an answer that cannot be read ({error})") from error
    try:
        said = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        said = _Problem()
    if status in (403, 422):
        raise EnrolRefused(said.reason or "request", said.detail or f"HTTP {status}")
    raise FleetAway(f"{url}: HTTP {status} {said.detail}".rstrip())


def _ask(url: str, context: ssl.SSLContext, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    try:
        parts = urlsplit(url)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=TIMEOUT_S, context=context
        )
    except ValueError as error:
        raise FleetAway(f"{url}: {error}") from error
    limit = threading.Timer(WHOLE_S, _hang_up, [connection])
    limit.daemon = True
    limit.start()
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read(MAX_ANSWER_BYTES)
        if _is_cut(answer):
            raise http.client.IncompleteRead(said)
    except ssl.SSLCertVerificationError as error:
        raise NotOurFleet(f"{url}: {error.verify_message}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FleetAway(f"{url}: {error or type(error).__name__}") from error
    else:
        return answer.status, said
    finally:
        limit.cancel()
        connection.close()


def _is_cut(answer: http.client.HTTPResponse) -> bool:
    """Whether an answer that was read ended too early: `http.client` says so neither of head nor body."""
    return bool(answer.length) or (answer.length is None and not answer.chunked)


def _hang_up(connection: http.client.HTTPSConnection) -> None:
    """End a connection under whoever reads from it."""
    with contextlib.suppress(OSError, TypeError):
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
