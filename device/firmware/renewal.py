"""Gets this board a new certificate when two thirds of the old one's life are over, without anybody's help.

The old one stays in force until the new one has been used: an answer that is lost is simply asked for again
with the same key. Both are told apart by one file that is written whole.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from cryptography import x509

from device.errors import EnrolRefused, FleetAway, NotOurFleet, StateUnavailable
from device.firmware.claim_file import CERTIFICATE, IDENTITY
from device.firmware.fleet_https import post, trusting
from device.firmware.identity import (
    NEXT_KEY,
    ROOT,
    Identity,
    check_answer,
    keep_renewed,
    own_certificate,
    own_key,
    read_identity,
    signing_request,
)
from device.firmware.whole_file import write_whole
from ota.enrolment import EnrolAnswer, RenewRequest

_log = logging.getLogger(__name__)

RENEW_AT: Final = 2 / 3
RETRY_S: Final = 60.0
LOOK_MAX_S: Final = 3600.0
LOOK_MIN_S: Final = 0.5
UNCONFIRMED: Final = "unconfirmed"
T = TypeVar("T")


class _Nothing(msgspec.Struct):
    """A question without words."""


class Renewal:
    """A part of the daemon: `run` until told to stop.

    Args:
        state: the board's state folder.
        is_linked: whether the broker has taken us in with the certificate in use.
        on_renewed: called when another certificate lies ready; the link is to be made anew with it.
    """

    def __init__(self, state: Path, is_linked: Callable[[], bool], on_renewed: Callable[[], None]) -> None:
        self._state = state
        self._is_linked = is_linked
        self._on_renewed = on_renewed
        self._complaint = ""

    def run(self, stop: threading.Event) -> None:
        """Look whether it is time, ask, and say once that the new one is in use."""
        while not stop.wait(self._next_s()):
            try:
                self.work(datetime.now(UTC))
            except (FleetAway, NotOurFleet, EnrolRefused, StateUnavailable) as error:
                self._complain(str(error))
                stop.wait(RETRY_S)
            else:
                self._complaint = ""

    def work(self, now: datetime) -> None:
        """Do what is due.

        Raises:
            FleetAway: nobody answers now.
            NotOurFleet: whoever answers is not our fleet.
            EnrolRefused: the fleet says no.
            StateUnavailable: a file cannot be read or written.
        """
        identity = read_identity(self._state)
        if identity is None:
            return
        mark = self._state / IDENTITY / UNCONFIRMED
        if mark.exists():
            if self._is_linked():
                self._confirm(identity, mark)
            return
        if now >= renew_after(own_certificate(self._state)):
            self._renew(identity, mark)

    def _renew(self, identity: Identity, mark: Path) -> None:
        root_pem = (self._state / IDENTITY / ROOT).read_text()
        self._drop_used_key()
        key = own_key(self._state, NEXT_KEY)
        request = RenewRequest(csr=signing_request(key, identity.device))
        answer = self._ask(identity, "/enrol/renew", request, EnrolAnswer)
        check_answer(answer, key, x509.load_pem_x509_certificate(root_pem.encode()))
        try:
            write_whole(mark, b"")
        except OSError as error:
            raise StateUnavailable(mark, str(error.strerror)) from error
        keep_renewed(self._state, identity, answer)
        _log.info("certificate renewed device=%s", identity.device)
        self._on_renewed()

    def _drop_used_key(self) -> None:
        """Remove a next key that is in use already: a cut left it there after its certificate was written.

        Asked for again, the fleet would answer with the same certificate for ever.
        """
        file = self._state / IDENTITY / NEXT_KEY
        if (
            file.exists()
            and own_key(self._state, NEXT_KEY).public_key() == own_certificate(self._state).public_key()
        ):
            file.unlink(missing_ok=True)

    def _confirm(self, identity: Identity, mark: Path) -> None:
        self._ask(identity, "/enrol/confirm", _Nothing(), dict)
        mark.unlink(missing_ok=True)
        _log.info("the renewed certificate is in use, older ones have ended")

    def _ask(self, identity: Identity, path: str, question: msgspec.Struct, kind: type[T]) -> T:
        folder = self._state / IDENTITY
        begun_s = own_certificate(self._state).not_valid_before_utc.timestamp()
        context = trusting((folder / ROOT).read_text(), valid_from_s=begun_s, identity=folder / CERTIFICATE)
        return post(identity.url, context, path, question, kind)

    def _next_s(self) -> float:
        """Return how long nothing will be due, as far as can be known."""
        folder = self._state / IDENTITY
        if (folder / UNCONFIRMED).exists():
            return LOOK_MIN_S
        try:
            left_s = renew_after(own_certificate(self._state)).timestamp() - time.time()
        except StateUnavailable:
            return RETRY_S
        return min(max(left_s, LOOK_MIN_S), LOOK_MAX_S)

    def _complain(self, reason: str) -> None:
        if reason != self._complaint:
            _log.warning("the certificate cannot be renewed now reason=%r", reason)
        self._complaint = reason


def renew_after(certificate: x509.Certificate) -> datetime:
    """Return the moment at which two thirds of a certificate's life are over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * RENEW_AT
