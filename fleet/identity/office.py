"""The fleet's counter: what boards and administrators ask for, with the home's keys and addresses at hand.

Puts `claims`, `enrolment`, `renewal` and `revocation` together for API, console and command line; a session
comes in with each call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.desired import document_of
from fleet.errors import EnrolmentRefused
from fleet.identity.authority import pin_of
from fleet.identity.claims import Terms, make_claim
from fleet.identity.enrolment import APPROVAL_RETRY_S, enrol
from fleet.identity.home import Home
from fleet.identity.renewal import confirm, known_certificate, renew
from fleet.identity.revocation import get_identity
from fleet.store import tables
from fleet.store.tables_identity import Certificate, Claim, Identity
from ota.enrolment import EnrolAnswer, EnrolRequest, Ticket
from ota.messages import format_ts


class Office:
    """One fleet's counter.

    Args:
        home: made by `pehra fleet init`.
        now: the clock.

    Raises:
        HomeUnusable: the home lacks something.
    """

    def __init__(self, home: Home, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.home = home
        self.addresses = home.read_addresses()
        self._issuing = home.issuing()
        self._now = now
        self._root = home.certificate(home.root_certificate)
        self.root_pem = home.root_certificate.read_text()
        self._chain_pem = home.issuing_certificate.read_text()
        self._life = timedelta(days=self.addresses.device_days)

    def new_ticket(self, session: Session, terms: Terms, by: Caller | str) -> tuple[Claim, Ticket]:
        """Make a claim; the ticket is never shown again.

        Raises:
            BadClaim: the terms make no sense.
        """
        url, pin = self.addresses.url, pin_of(self._root)
        return make_claim(session, terms, url=url, pin=pin, by=by, now=self._now())

    def enrol(self, session: Session, request: EnrolRequest) -> EnrolAnswer:
        """Answer a board that comes with a claim.

        Raises:
            EnrolmentRefused: asking again changes nothing.
        """
        enrolment, certificate = enrol(session, self._issuing, request, self._now(), self._life)
        if certificate is None:
            return EnrolAnswer(
                state="waiting", device=enrolment.device, now=self._stamp(), retry_s=APPROVAL_RETRY_S
            )
        return self._answer(session, certificate)

    def renew(self, session: Session, peer: x509.Certificate | None, csr: str) -> EnrolAnswer:
        """Answer a device that wants a new certificate and proves itself by the old one.

        Raises:
            EnrolmentRefused: it is not one of ours, no longer trusted, or its request is not right.
        """
        old = self._known(session, peer)
        return self._answer(session, renew(session, self._issuing, old, csr, self._now(), self._life))

    def confirm(self, session: Session, peer: x509.Certificate | None) -> list[str]:
        """End the older certificates of a device that came with its newest; return their numbers.

        Raises:
            EnrolmentRefused: it is not one of ours, or no longer trusted.
        """
        return confirm(session, self._known(session, peer), self._now())

    def _known(self, session: Session, peer: x509.Certificate | None) -> Certificate:
        if peer is None:
            raise EnrolmentRefused("foreign", "come with the device's certificate (mutual TLS)")
        return known_certificate(session, peer, self._now())

    def _answer(self, session: Session, certificate: Certificate) -> EnrolAnswer:
        identity = session.get(Identity, certificate.device)
        assert identity is not None, certificate.device
        return EnrolAnswer(
            state="enrolled",
            device=certificate.device,
            now=self._stamp(),
            site=identity.site,
            timezone=identity.timezone,
            certificate=certificate.pem,
            chain=self._chain_pem,
            root=self.root_pem,
            mqtt_host=self.addresses.hosts[0],
            mqtt_port=self.addresses.mqtt_port,
            desired=_first_desired(session, certificate.device, self._now()),
        )

    def _stamp(self) -> str:
        return format_ts(self._now().timestamp())


def _first_desired(session: Session, device: str, now: datetime) -> dict[str, object] | None:
    """Return what is wanted of a device already: of one that takes over from another, for example."""
    wanted = session.get(tables.Desired, device)
    if wanted is None:
        return None
    said: dict[str, object] = msgspec.to_builtins(document_of(wanted, now.timestamp()))
    return said


def replacement_terms(session: Session, device: str, serial: str) -> Terms:
    """Return the terms with which a new board takes over from a device.

    Args:
        session: of the database.
        device: whose place is taken.
        serial: of the new board; empty for any.

    Raises:
        NotFound: no device of this id was ever let in.
    """
    old = get_identity(session, device)
    return Terms(site=old.site, timezone=old.timezone, device=device, serial=serial, replaces=True)
