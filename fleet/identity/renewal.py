"""Gives a device a new certificate before its old one ends, and ends the old one once the new is in use.

The device proves itself by the old certificate (mutual TLS). The old one is not revoked when the new one is
signed but when the device first comes with it: an answer that is lost on the way must not lock it out.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from sqlmodel import Session, col, select

from fleet.access.audit import record
from fleet.errors import EnrolmentRefused
from fleet.identity.authority import Signer, as_pem, issue_client, key_digest
from fleet.identity.claims import as_ms
from fleet.identity.csr import read_csr
from fleet.identity.enrolment import certificate_row
from fleet.identity.holding import hold_identity
from fleet.identity.revocation import revoke_certificates
from fleet.store.tables_identity import Certificate, Identity

log = logging.getLogger(__name__)

RENEW_FROM: Final = 1 / 2
"""Part of a certificate's life before which no other is given: devices ask after two thirds, but one whose
clock is a year ahead would ask again and again, and each answer is a line of the revocation list."""
STANDING_MAX: Final = 4
"""Certificates of one device that may stand at once: a device that asks for ever is refused."""


def known_certificate(session: Session, peer: x509.Certificate, now: datetime) -> Certificate:
    """Return the row of a certificate that a peer came with; its device is held until the transaction ends.

    Raises:
        EnrolmentRefused: it is not one of ours, it has ended, or its device is no longer trusted.
    """
    row = session.get(Certificate, format(peer.serial_number, "x"))
    if row is None or row.pem != as_pem(peer):
        raise EnrolmentRefused("foreign", "this certificate is not one of this fleet's devices")
    hold_identity(session, row.device)
    identity = session.get(Identity, row.device)
    if row.revoked_ms is not None or identity is None or identity.state != "active":
        raise EnrolmentRefused("revoked", f"{row.device} is no longer trusted: enrol it anew with a ticket")
    if not row.begin_ms <= as_ms(now) < row.end_ms:
        raise EnrolmentRefused("expired", "the certificate is not valid now: enrol anew with a ticket")
    return row


def renew(
    session: Session, issuing: Signer, old: Certificate, csr: str, now: datetime, life: timedelta
) -> Certificate:
    """Return a new certificate for the device of an old one; the same key again gets the same.

    Raises:
        EnrolmentRefused: the request is not what it must be, or too many certificates stand.
    """
    key = read_csr(csr, old.device)
    wanted = select(Certificate).where(
        Certificate.device == old.device,
        col(Certificate.revoked_ms).is_(None),
        Certificate.end_ms > as_ms(now),
    )
    standing = list(session.exec(wanted))
    same = [row for row in standing if row.key_sha256 == key_digest(key)]
    if same:
        return same[0]
    if as_ms(now) < old.begin_ms + (old.end_ms - old.begin_ms) * RENEW_FROM:
        raise EnrolmentRefused("too-early", f"the certificate of {old.device} is young: is its clock right?")
    if len(standing) >= STANDING_MAX:
        raise EnrolmentRefused("too-many", f"{len(standing)} certificates of {old.device} stand already")
    row = certificate_row(issue_client(issuing, key, old.device, now, life), old.device, key)
    session.add(row)
    record(session, f"device {row.device}", "device.renew", row.device, {"certificate": row.number})
    session.commit()
    session.refresh(row)
    log.info("certificate renewed device=%s number=%s", row.device, row.number)
    return row


def confirm(session: Session, current: Certificate, now: datetime) -> list[str]:
    """End all older certificates of a device that came with this one; return their numbers."""
    newer = select(Certificate.number).where(
        Certificate.device == current.device,
        Certificate.begin_ms > current.begin_ms,
        col(Certificate.revoked_ms).is_(None),
    )
    if session.exec(newer).first() is not None:
        return []
    ended = revoke_certificates(session, current.device, "superseded", now, keep=current.number)
    session.commit()
    return ended
