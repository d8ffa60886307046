"""Who a client of hawkBit's API is: by its device's certificate, or by its target token.

A token is 256 random bits, so that nobody guesses one; wrong ones are counted all the same, so that a client
that goes on and on with an old one costs next to nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from sqlmodel import Session

from fleet.access.audit import record
from fleet.access.caller import Caller
from fleet.access.lockout import Tries, after_failure, settled
from fleet.access.secrets import hash_of, is_same, new_secret
from fleet.errors import NotFound, NotLoggedIn, TooManyTries
from fleet.identity.authority import as_pem
from fleet.identity.claims import as_ms, name_of
from fleet.store.tables import Device
from fleet.store.tables_identity import Certificate, Identity
from fleet.store.tables_os import OsToken

SCHEME: Final = "TargetToken"
FREE_TRIES: Final = 5
PLACES_MAX: Final = 10_000
_NO_HASH: Final = "0" * 64
_REFUSED: Final = (
    "come with the device's certificate, or with `Authorization: TargetToken ...` of "
    "`pehra fleet device token DEVICE` (docs/os-images.md)"
)


class Guesses:
    """Counts wrong tokens by device and address, in memory; a good one is never refused for others' wrong."""

    def __init__(self) -> None:
        self._tries: OrderedDict[tuple[str, str], Tries] = OrderedDict()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Let every client begin anew."""
        with self._lock:
            self._tries.clear()

    def check(self, device: str, address: str, now_ms: int) -> None:
        """Refuse to look at another try for a while.

        Raises:
            TooManyTries: with the seconds that are left.
        """
        with self._lock:
            tries = settled(self._tries.get((device, address), Tries()), FREE_TRIES, now_ms)
        if (left_ms := tries.until_ms - now_ms) > 0:
            raise TooManyTries(-(-left_ms // 1000))

    def note(self, device: str, address: str, now_ms: int, *, is_good: bool) -> None:
        """Count a try that was wrong, or forget those before one that was good."""
        with self._lock:
            before = self._tries.pop((device, address), Tries())
            if not is_good:
                self._tries[device, address] = after_failure(before, FREE_TRIES, now_ms)
            while len(self._tries) > PLACES_MAX:
                self._tries.popitem(last=False)


def check_client(
    session: Session,
    device: str,
    *,
    certificate: x509.Certificate | None,
    authorization: str,
    now: datetime | None = None,
) -> None:
    """Let a client be the device that it says it is.

    Raises:
        NotLoggedIn: it is not, or the device is no longer trusted.
    """
    now = now or datetime.now(UTC)
    identity = session.get(Identity, device)
    has_certificate = certificate is not None and _is_of(session, certificate, device, now)
    has_token = _has_token(session, device, authorization, identity)
    if identity is None or identity.state != "active" or not (has_certificate or has_token):
        raise NotLoggedIn(_REFUSED, SCHEME)


def make_token(session: Session, device: str, by: Caller | str, now_ms: int) -> str:
    """Return a new token of a device, which is not kept; it takes the place of the one before. Commits.

    Raises:
        NotFound: no such device is trusted here.
    """
    identity = session.get(Identity, device)
    if identity is None or identity.state != "active":
        raise NotFound(f"no device {device[:60]!r} is let in here")
    token = new_secret()
    session.merge(OsToken(device=device, hash=hash_of(token), made_ms=now_ms, made_by=name_of(by)[:100]))
    record(session, by, "device.token", device, at_ms=now_ms)
    session.commit()
    return token


def revoke_token(session: Session, device: str, by: Caller | str, now_ms: int) -> bool:
    """End the token of a device; return whether there was one. Commits."""
    row = session.get(OsToken, device)
    if row is None:
        return False
    session.delete(row)
    record(session, by, "device.token.revoke", device, at_ms=now_ms)
    session.commit()
    return True


def need_known(session: Session, device: str) -> None:
    """Refuse a device that nobody has heard of, in a fleet that asks for no proof.

    Raises:
        NotFound: it is one.
    """
    if session.get(Device, device) is None:
        raise NotFound(f"no device {device[:60]!r} has reported to this fleet")


def _is_of(session: Session, certificate: x509.Certificate, device: str, now: datetime) -> bool:
    row = session.get(Certificate, format(certificate.serial_number, "x"))
    return (
        row is not None
        and row.device == device
        and row.pem == as_pem(certificate)
        and row.revoked_ms is None
        and row.begin_ms <= as_ms(now) < row.end_ms
    )


def _has_token(session: Session, device: str, authorization: str, identity: Identity | None) -> bool:
    scheme, _, token = authorization.partition(" ")
    row = session.get(OsToken, device)
    is_right = is_same(hash_of(token.strip()), row.hash if row is not None else _NO_HASH)
    is_of_this_board = row is not None and identity is not None and row.made_ms >= identity.enrolled_ms
    return scheme.lower() == SCHEME.lower() and is_right and is_of_this_board
