"""The fleet's counter: what boards and administrators ask for, with the home's keys and addresses at hand.

Puts `claims`, `enrolment`, `renewal` and `revocation` together for API, console and command line; a session
comes in with each call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from cryptography import x509
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.director.documents import documents_of
from fleet.director.home import DirectorHome
from fleet.director.seal import Seal
from fleet.errors import EnrolmentRefused
from fleet.identity.authority import pin_of
from fleet.identity.claims import Terms, make_claim
from fleet.identity.enrolment import APPROVAL_RETRY_S, enrol
from fleet.identity.home import Home
from fleet.identity.renewal import confirm, known_certificate, renew
from fleet.identity.revocation import get_identity
from fleet.store import tables
from fleet.store.tables_identity import Certificate, Claim, Identity
from ota.enrolment import EnrolAnswer, EnrolRequest, Ticket, TrustAnswer
from ota.messages import format_ts

ROOTS_MAX: Final = 64
"""Of a chain in an answer: who knows no root begins with the first that is told, over a pinned connection."""


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
        self._director = DirectorHome(home.folder)

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

    def trust(self) -> TrustAnswer:
        """Return whom devices are to believe: the director's roots, and the image repository's first one."""
        image = self.home.image_root
        return TrustAnswer(
            director_roots=[content.decode() for content in self._director.chain()[-ROOTS_MAX:]],
            image_root=image.read_text("utf-8") if image.is_file() else "",
        )

    def known_trust(self, session: Session, peer: x509.Certificate | None) -> TrustAnswer:
        """Answer a device that was let in before there was somebody to believe.

        Raises:
            EnrolmentRefused: it is not one of ours, or no longer trusted.
        """
        self._known(session, peer)
        return self.trust()

    def _known(self, session: Session, peer: x509.Certificate | None) -> Certificate:
        if peer is None:
            raise EnrolmentRefused("foreign", "come with the device's certificate (mutual TLS)")
        return known_certificate(session, peer, self._now())

    def _answer(self, session: Session, certificate: Certificate) -> EnrolAnswer:
        identity = session.get(Identity, certificate.device)
        assert identity is not None, certificate.device
        trust = self.trust()
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
            desired=self._first_desired(session, certificate.device),
            director_roots=trust.director_roots,
            image_root=trust.image_root,
        )

    def _first_desired(self, session: Session, device: str) -> dict[str, object] | None:
        """Return what is wanted of a device already: of one that takes over from another, for example."""
        wanted = session.get(tables.Desired, device)
        if wanted is None or not self._director.exists:
            return None
        (document,) = documents_of(session, [wanted], self._now().timestamp())
        said: dict[str, object] = msgspec.to_builtins(Seal(self._director).sign(document))
        return said

    def _stamp(self) -> str:
        return format_ts(self._now().timestamp())


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
