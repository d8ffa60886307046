"""Lets boards in: a claim and a signing request come in, an identity and a certificate go out.

The same claim with the same key is the same enrolment, whenever it comes: a link that was cut at any step
costs nothing. A refusal is final for that claim and key; nothing that fails here succeeds when tried again.
"""

from __future__ import annotations

import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from fleet.access.audit import Detail, record
from fleet.access.caller import Caller
from fleet.broker.acl import FLEET
from fleet.errors import Conflict, EnrolmentRefused, NotFound
from fleet.identity.authority import Signer, as_pem, issue_client, key_digest
from fleet.identity.claims import as_ms, digest, name_of
from fleet.identity.csr import read_csr
from fleet.identity.holding import hold_claim, hold_identity
from fleet.identity.revocation import REPLACED, revoke_certificates
from fleet.store.tables import Device
from fleet.store.tables_identity import Certificate, Claim, ClaimBoard, Enrolment, Identity
from ota.enrolment import EnrolRequest, contradiction
from ota.messages import new_id

log = logging.getLogger(__name__)

APPROVAL_RETRY_S: Final = 15.0


def enrol(
    session: Session, issuing: Signer, request: EnrolRequest, now: datetime, life: timedelta
) -> tuple[Enrolment, Certificate | None]:
    """Let a board in, or say where it stands; return its enrolment, and its certificate once it has one.

    Raises:
        EnrolmentRefused: asking again changes nothing; `reason` says why in a word.
    """
    try:
        return _enrol(session, issuing, request, now, life)
    except IntegrityError:  # in the same moment another claim gave the same id: now we see that it is taken
        session.rollback()
        return _enrol(session, issuing, request, now, life)


def _enrol(
    session: Session, issuing: Signer, request: EnrolRequest, now: datetime, life: timedelta
) -> tuple[Enrolment, Certificate | None]:
    claim = session.exec(select(Claim).where(Claim.secret_sha256 == digest(request.claim))).first()
    if claim is None:
        raise EnrolmentRefused("claim-unknown", "there is no such claim: ask for a new ticket")
    # A board that lost patience asks again while its first question is still being answered.
    hold_claim(session, claim.id)
    before = _earlier(session, claim, request)
    if before is not None:
        return _resume(session, issuing, before, request, now, life)
    enrolment, key = _admit(session, claim, request, now)
    if claim.needs_approval:
        _commit(session, enrolment)
        log.info("board waits for approval device=%s serial=%s", enrolment.device, enrolment.serial)
        return enrolment, None
    return enrolment, _issue(session, issuing, enrolment, key, now, life, replaces=claim.replaces)


def decide(session: Session, enrolment_id: str, state: str, by: Caller | str, now: datetime) -> Enrolment:
    """Approve (`approved`) or refuse (`refused`) a board that waits; a second click changes nothing.

    Raises:
        NotFound: no board waits under this id.
        Conflict: it was decided otherwise before.
    """
    decided = session.execute(
        update(Enrolment)
        .where(col(Enrolment.id) == enrolment_id, col(Enrolment.state) == "waiting")
        .values(state=state, decided_by=name_of(by)[:100], decided_ms=as_ms(now))
    )
    enrolment = session.get(Enrolment, enrolment_id)
    if enrolment is None:
        raise NotFound(f"no board waits under {enrolment_id[:60]!r}")
    if decided.rowcount == 1:  # type: ignore[attr-defined]  # a cursor result, whatever the stubs say
        record(session, by, f"enrolment.{state}", enrolment.device, {"enrolment": enrolment.id})
        session.commit()
        log.info("enrolment decided device=%s state=%s by=%r", enrolment.device, state, name_of(by))
    session.refresh(enrolment)
    stands = "approved" if enrolment.state == "enrolled" else enrolment.state
    if stands != state:
        who = enrolment.decided_by or "the fleet"
        raise Conflict(f"{enrolment.device} was {stands} by {who}: it needs another ticket to ask again")
    return enrolment


def list_enrolments(session: Session, state: str = "") -> list[Enrolment]:
    """Return enrolments, newest first."""
    wanted = select(Enrolment).order_by(col(Enrolment.asked_ms).desc())
    return list(session.exec(wanted.where(Enrolment.state == state) if state else wanted))


def _earlier(session: Session, claim: Claim, request: EnrolRequest) -> Enrolment | None:
    """Return the enrolment of this claim and key, from before a cut."""
    try:
        key = key_digest(_key_of(request.csr))
    except EnrolmentRefused:
        return None
    wanted = select(Enrolment).where(Enrolment.claim == claim.id, Enrolment.key_sha256 == key)
    return session.exec(wanted).first()


def _resume(
    session: Session,
    issuing: Signer,
    enrolment: Enrolment,
    request: EnrolRequest,
    now: datetime,
    life: timedelta,
) -> tuple[Enrolment, Certificate | None]:
    if enrolment.serial and request.serial and enrolment.serial != request.serial:
        raise EnrolmentRefused("key-used", "another board has this key: a copied card must make its own")
    if enrolment.state == "waiting":
        return enrolment, None
    if enrolment.state == "refused":
        raise EnrolmentRefused("refused", "an administrator refused this board: ask for a new ticket")
    key = read_csr(request.csr, enrolment.device)
    if enrolment.state == "approved":
        claim = session.get_one(Claim, enrolment.claim)
        _check_free(session, claim, enrolment.device, key)
        return enrolment, _issue(session, issuing, enrolment, key, now, life, replaces=claim.replaces)
    wanted = select(Certificate).where(
        Certificate.device == enrolment.device,
        Certificate.key_sha256 == enrolment.key_sha256,
        Certificate.end_ms > as_ms(now),
        col(Certificate.revoked_ms).is_(None),
    )
    certificate = session.exec(wanted).first()
    if certificate is None:
        raise EnrolmentRefused("claim-used", "this claim was spent, and its certificate has ended since")
    return enrolment, certificate


def _admit(
    session: Session, claim: Claim, request: EnrolRequest, now: datetime
) -> tuple[Enrolment, ec.EllipticCurvePublicKey]:
    """Check everything, and spend one use of the claim in the same transaction."""
    _check_claim(claim, request, now)
    listed = _listed(session, claim, request)
    device = claim.device or (listed.device if listed else "") or request.device or _new_name(session)
    site = _site_of(claim, listed, request)
    key = read_csr(request.csr, device)
    _check_free(session, claim, device, key)
    spent = session.execute(
        update(Claim)
        .where(col(Claim.id) == claim.id, col(Claim.used) < col(Claim.uses))
        .values(used=Claim.used + 1)
    )
    if spent.rowcount != 1:  # type: ignore[attr-defined]  # a cursor result, whatever the stubs say
        session.rollback()
        raise EnrolmentRefused("claim-used", "the claim is spent: ask for a new ticket")
    enrolment = Enrolment(
        id=new_id(),
        claim=claim.id,
        key_sha256=key_digest(key),
        device=device,
        site=site,
        timezone=claim.timezone,
        serial=request.serial,
        board=request.board,
        state="waiting",
        asked_ms=as_ms(now),
    )
    session.add(enrolment)
    return enrolment, key


def _check_claim(claim: Claim, request: EnrolRequest, now: datetime) -> None:
    if claim.is_cancelled:
        raise EnrolmentRefused("claim-expired", "the claim was cancelled: ask for a new ticket")
    if claim.used >= claim.uses:
        raise EnrolmentRefused("claim-used", "the claim is spent by another board: ask for a new ticket")
    if as_ms(now) >= claim.expires_ms:
        raise EnrolmentRefused("claim-expired", "the claim has expired: ask for a new ticket")
    if claim.serial and claim.serial != request.serial:
        raise EnrolmentRefused("claim-serial", "the claim is for a board with another serial number")
    if claim.device and request.device not in ("", claim.device):
        raise EnrolmentRefused("id-taken", f"the claim is for {claim.device}, not for {request.device}")


def _listed(session: Session, claim: Claim, request: EnrolRequest) -> ClaimBoard | None:
    if not claim.has_list:
        return None
    listed = session.get(ClaimBoard, (claim.id, request.serial))
    if listed is None:
        raise EnrolmentRefused("claim-serial", "the board's serial number is not on the claim's list")
    wanted = select(Enrolment.id).where(Enrolment.claim == claim.id, Enrolment.serial == request.serial)
    if session.exec(wanted).first() is not None:
        raise EnrolmentRefused("claim-used", "a board with this serial number has enrolled with it already")
    return listed


def _site_of(claim: Claim, listed: ClaimBoard | None, request: EnrolRequest) -> str:
    """Return where the device hangs; a card may say more exactly what its claim leaves open."""
    allowed = (listed.site if listed else "") or claim.site
    said = request.site
    if contradiction(allowed, "", said):
        raise EnrolmentRefused("claim-site", f"the claim is for site {allowed}, the card says {said}")
    return said or allowed


def _check_free(session: Session, claim: Claim, device: str, key: ec.EllipticCurvePublicKey) -> None:
    """Check that id and key may be this board's; it stays so until the transaction ends."""
    hold_identity(session, device)
    _check_name(session, claim, device)
    _check_key(session, key, device)


def _check_name(session: Session, claim: Claim, device: str) -> None:
    if device == FLEET:
        raise EnrolmentRefused("id-taken", f"{FLEET!r} is the fleet's own name")
    known = session.get(Identity, device)
    if known is None or claim.replaces:
        return
    if known.state in ("active", "leaving"):
        raise EnrolmentRefused("id-taken", f"{device} is enrolled already: replace it, or choose another id")
    if claim.device != device:
        raise EnrolmentRefused("id-taken", f"{device} was a device once: only a claim made for it revives it")


def _check_key(session: Session, key: ec.EllipticCurvePublicKey, device: str) -> None:
    wanted = select(Certificate.device).where(
        Certificate.key_sha256 == key_digest(key), Certificate.device != device
    )
    other = session.exec(wanted).first()
    if other is not None:
        raise EnrolmentRefused("key-used", f"this key is {other}'s: a copied card must make a key of its own")


def _issue(
    session: Session,
    issuing: Signer,
    enrolment: Enrolment,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
    *,
    replaces: bool,
) -> Certificate:
    """Sign, and let the device be; all in one transaction."""
    device = enrolment.device
    known = session.get(Identity, device)
    if replaces and known is not None:
        revoke_certificates(session, device, REPLACED, now)
        enrolment.site = enrolment.site or known.site
        enrolment.timezone = known.timezone if enrolment.timezone == "UTC" else enrolment.timezone
    identity = known or Identity(device=device, state="", since_ms=0, enrolled_ms=0)
    identity.state, identity.since_ms, identity.enrolled_ms = "active", as_ms(now), as_ms(now)
    identity.site, identity.timezone, identity.reason = enrolment.site, enrolment.timezone, ""
    identity.serial, identity.board = enrolment.serial, enrolment.board
    enrolment.state = "enrolled"
    enrolment.decided_ms = enrolment.decided_ms or as_ms(now)
    certificate = certificate_row(issue_client(issuing, key, device, now, life), device, key)
    shown = session.get(Device, device) or Device(id=device, state="enrolled", first_seen_ms=as_ms(now))
    shown.site = enrolment.site
    session.add(shown)
    session.add_all([identity, certificate, enrolment])
    detail: Detail = {"claim": enrolment.claim, "certificate": certificate.number, "replaces": replaces}
    record(session, f"board {enrolment.serial or '?'}", "device.enrol", device, detail)
    _commit(session, enrolment)
    log.info("device enrolled id=%s site=%s replaces=%s", device, enrolment.site, replaces)
    return certificate


def certificate_row(
    certificate: x509.Certificate, device: str, key: ec.EllipticCurvePublicKey
) -> Certificate:
    """Return what the database keeps of a certificate."""
    return Certificate(
        number=format(certificate.serial_number, "x"),
        device=device,
        key_sha256=key_digest(key),
        pem=as_pem(certificate),
        begin_ms=as_ms(certificate.not_valid_before_utc.astimezone(UTC)),
        end_ms=as_ms(certificate.not_valid_after_utc.astimezone(UTC)),
    )


def _commit(session: Session, enrolment: Enrolment) -> None:
    session.add(enrolment)
    session.commit()
    session.refresh(enrolment)


def _key_of(csr: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a request whatever name it asks for: to find the enrolment that it belongs to."""
    try:
        key = x509.load_pem_x509_csr(csr.encode()).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise EnrolmentRefused("csr", str(error)) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise EnrolmentRefused("csr", "not an elliptic curve")
    return key


def _new_name(session: Session) -> str:
    while True:
        name = f"cam-{secrets.token_hex(4)}"
        if session.get(Identity, name) is None:
            return name
