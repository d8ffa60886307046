"""Ends what was given: certificates are revoked, devices retired. What follows is `keeper.py`'s work."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from sqlalchemy import func, update
from sqlmodel import Session, col, select

from fleet.access.audit import record
from fleet.access.caller import SYSTEM, Caller
from fleet.errors import BadQuery, Conflict, NotFound
from fleet.identity.authority import Revoked
from fleet.identity.claims import as_ms, check_site_path
from fleet.identity.holding import hold_identity
from fleet.store.tables import Device
from fleet.store.tables_identity import Certificate, Claim, Identity

log = logging.getLogger(__name__)

REASONS: Final = {
    "unspecified": x509.ReasonFlags.unspecified,
    "keyCompromise": x509.ReasonFlags.key_compromise,
    "superseded": x509.ReasonFlags.superseded,
    "cessationOfOperation": x509.ReasonFlags.cessation_of_operation,
}
"""Words of RFC 5280, section 5.3.1, that a device's certificate ends with."""
REPLACED: Final = "replaced"
"""Our own word for a certificate whose board was replaced: its standing session is to be cut off."""
_FLAGS: Final = REASONS | {REPLACED: x509.ReasonFlags.superseded}


def get_identity(session: Session, device: str) -> Identity:
    """Return the identity of a device.

    Raises:
        NotFound: no device of this id was ever let in.
    """
    identity = session.get(Identity, device)
    if identity is None:
        raise NotFound(f"no device {device[:60]!r} was ever enrolled")
    return identity


def list_identities(session: Session) -> list[Identity]:
    """Return all identities by id."""
    return list(session.exec(select(Identity).order_by(Identity.device)))


def list_certificates(session: Session, device: str) -> list[Certificate]:
    """Return a device's certificates, newest first."""
    wanted = select(Certificate).where(Certificate.device == device)
    return list(session.exec(wanted.order_by(col(Certificate.begin_ms).desc())))


def revoke_device(
    session: Session, device: str, reason: str, now: datetime, by: Caller | str = SYSTEM
) -> Identity:
    """Trust a device no longer; the second time changes nothing.

    Raises:
        NotFound: no device of this id was ever let in.
        BadQuery: an unknown reason.
    """
    if reason not in REASONS:
        raise BadQuery(f"reason {reason[:40]!r}: one of {', '.join(REASONS)}")
    hold_identity(session, device)
    identity = get_identity(session, device)
    revoke_certificates(session, device, reason, now)
    _cancel_claims(session, device)
    if identity.state in ("active", "leaving"):
        identity.state, identity.since_ms, identity.reason = "revoked", as_ms(now), reason
        record(session, by, "device.revoke", device, {"reason": reason})
        log.warning("device revoked id=%s reason=%s", device, reason)
    return _committed(session, identity)


def begin_leaving(session: Session, device: str, now: datetime, by: Caller | str = SYSTEM) -> Identity:
    """Tell a device to wipe itself; it is retired once it has answered, or when nobody waits any longer.

    Raises:
        NotFound: no device of this id was ever let in.
        Conflict: it is revoked, so that nothing can be told to it.
    """
    hold_identity(session, device)
    identity = get_identity(session, device)
    if identity.state == "revoked":
        raise Conflict(f"{device} is revoked, so nothing can be told to it: retire it without its answer")
    _cancel_claims(session, device)
    if identity.state == "active":
        identity.state, identity.since_ms = "leaving", as_ms(now)
        record(session, by, "device.decommission", device)
    return _committed(session, identity)


def move_device(
    session: Session, device: str, site: str, now: datetime, by: Caller | str = SYSTEM
) -> Identity:
    """Let a device hang elsewhere; who may see and change it follows at once.

    Raises:
        NotFound: no device of this id was ever let in.
        BadClaim: no such site can be.
    """
    check_site_path(site)
    hold_identity(session, device)
    identity = get_identity(session, device)
    if identity.site != site:
        record(session, by, "device.move", device, {"from": identity.site, "to": site}, at_ms=as_ms(now))
        identity.site = site
        shown = session.get(Device, device)
        if shown is not None:
            shown.site = site
            session.add(shown)
        log.info("device moved id=%s site=%s", device, site)
    return _committed(session, identity)


def retire_device(
    session: Session, device: str, reason: str, now: datetime, by: Caller | str = SYSTEM
) -> Identity:
    """End a device for good: its certificates are revoked, its id is free for a claim made for it.

    Raises:
        NotFound: no device of this id was ever let in.
    """
    hold_identity(session, device)
    identity = get_identity(session, device)
    revoke_certificates(session, device, "cessationOfOperation", now)
    _cancel_claims(session, device)
    if identity.state != "retired":
        identity.state, identity.since_ms, identity.reason = "retired", as_ms(now), reason[:200]
        record(session, by, "device.retire", device, {"reason": reason[:200]})
        log.info("device retired id=%s reason=%r", device, reason)
    return _committed(session, identity)


def revoke_certificates(
    session: Session, device: str, reason: str, now: datetime, *, keep: str = ""
) -> list[str]:
    """Revoke a device's certificates but one, without committing; return their numbers."""
    wanted = select(Certificate).where(
        Certificate.device == device, Certificate.number != keep, col(Certificate.revoked_ms).is_(None)
    )
    ended = list(session.exec(wanted))
    for certificate in ended:
        certificate.revoked_ms, certificate.reason = as_ms(now), reason
        session.add(certificate)
    return [certificate.number for certificate in ended]


def revoked_stamp(session: Session, now: datetime) -> tuple[int, int]:
    """Return how many certificates belong on the revocation list, and when the latest was revoked.

    As long as both stay, so does the list: a revocation is never taken back.
    """
    wanted = select(func.count(), func.max(col(Certificate.revoked_ms))).where(
        col(Certificate.revoked_ms).is_not(None), Certificate.end_ms > as_ms(now)
    )
    number, latest_ms = session.exec(wanted).one()
    return number, latest_ms or 0


def read_revoked(session: Session, now: datetime) -> list[Revoked]:
    """Return what belongs on the revocation list: an expired certificate needs no line any more."""
    wanted = select(Certificate).where(
        col(Certificate.revoked_ms).is_not(None), Certificate.end_ms > as_ms(now)
    )
    return [
        Revoked(
            int(row.number, 16),
            datetime.fromtimestamp((row.revoked_ms or 0) / 1000, tz=UTC),
            _FLAGS.get(row.reason, x509.ReasonFlags.unspecified),
        )
        for row in session.exec(wanted.order_by(Certificate.number))
    ]


def _cancel_claims(session: Session, device: str) -> None:
    """End the tickets that were made for a device before: an old one must not undo its end."""
    session.execute(
        update(Claim)
        .where(col(Claim.device) == device, col(Claim.used) < col(Claim.uses))
        .values(is_cancelled=True),
        execution_options={"synchronize_session": False},
    )


def _committed(session: Session, identity: Identity) -> Identity:
    session.add(identity)
    session.commit()
    session.refresh(identity)
    return identity
