"""Gets this board a new certificate when two thirds of the old one's life are over, without anybody's help.

While the broker does not take the board in, it asks the fleet whether it is still trusted (`fleet_word.py`),
and a board that is not asks for no certificate: it waits for a ticket.

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
from typing import Final

from cryptography import x509

from device.errors import EnrolRefused, FleetAway, NotOurFleet, StateUnavailable
from device.firmware.claim_file import CERTIFICATE, IDENTITY
from device.firmware.fleet_word import Doubt, FleetWord, Nothing, ask_fleet, ask_word
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
from device.firmware.trust_roots import keep_roots, lacks_roots
from ota.enrolment import EnrolAnswer, RenewRequest, TrustAnswer
from ota.whole import write_private

_log = logging.getLogger(__name__)

RENEW_AT: Final = 2 / 3
RETRY_S: Final = 60.0
ASK_ROOTS_S: Final = 3600.0
"""A fleet that has no director, or no image repository, is asked again after so long."""
LOOK_MAX_S: Final = 5.0
LOOK_MIN_S: Final = 0.5
UNCONFIRMED: Final = "unconfirmed"
_TROUBLE: Final = (FleetAway, NotOurFleet, EnrolRefused, StateUnavailable)


class Renewal:
    """A part of the daemon: `run` until told to stop.

    Args:
        state: the board's state folder.
        is_linked: whether the broker has taken us in with the certificate in use.
        on_renewed: called when another certificate lies ready, or the one in use was given up for a ticket;
            the link is to be made anew.
        is_turned_away: whether the broker answered and did not take us in.
        word: what the fleet says of us; kept here.
        doubt: when it is asked.
    """

    def __init__(
        self,
        state: Path,
        is_linked: Callable[[], bool],
        on_renewed: Callable[[], None],
        *,
        is_turned_away: Callable[[], bool] = lambda: False,
        word: FleetWord | None = None,
        doubt: Doubt | None = None,
    ) -> None:
        self._state = state
        self._is_linked = is_linked
        self._on_renewed = on_renewed
        self._is_turned_away = is_turned_away
        self._word = word or FleetWord(state)
        self._doubt = doubt or Doubt()
        self._complaint = ""
        self._ask_roots_s = 0.0

    def run(self, stop: threading.Event) -> None:
        """Look whether it is time, ask, and say once that the new one is in use."""
        in_use, again_s = self._in_use(), 0.0
        while not stop.wait(LOOK_MAX_S if time.monotonic() < again_s else self._next_s()):
            now_s = time.monotonic()
            self.heed(now_s, datetime.now(UTC))
            self.ask_roots(now_s)
            if self._in_use() != in_use:
                in_use = self._in_use()
                self._on_renewed()
            elif now_s >= again_s and not self._word.reason:
                again_s = now_s + (0.0 if self._has_worked() else RETRY_S)
                in_use = self._in_use()

    def heed(self, now_s: float, now: datetime) -> None:
        """Ask the fleet whether it trusts us, if the link gives reason to and it was not asked just before.

        Args:
            now_s: monotonic.
            now: the board's clock.
        """
        is_linked, is_turned_away = self._is_linked(), self._is_turned_away()
        is_due = self._doubt.is_due(now_s, is_linked=is_linked, is_turned_away=is_turned_away)
        try:
            if is_linked:
                self._word.note("")
            elif is_due:
                reason = ask_word(self._state, now)
                self._word.note(reason)
                self._doubt.hear(reason)
        except _TROUBLE as error:
            _log.info("fleet: it does not say whether it trusts this board reason=%r", str(error))

    def ask_roots(self, now_s: float) -> None:
        """Ask whom this board is to believe, where it was let in before its fleet could say so.

        Args:
            now_s: monotonic.
        """
        if now_s < self._ask_roots_s or not self._is_linked() or not lacks_roots(self._state):
            return
        self._ask_roots_s = now_s + ASK_ROOTS_S
        try:
            identity = read_identity(self._state)
            if identity is not None:
                answer = ask_fleet(self._state, identity, "/enrol/trust", Nothing(), TrustAnswer)
                keep_roots(self._state, answer.director_roots, answer.image_root)
        except _TROUBLE as error:
            _log.info("trust: the fleet does not say whom to believe reason=%r", str(error))

    def _has_worked(self) -> bool:
        try:
            self.work(datetime.now(UTC))
        except _TROUBLE as error:
            self._complain(str(error))
            return False
        self._complaint = ""
        return True

    def _in_use(self) -> bytes:
        """Return the file with the certificate; empty where there is none."""
        try:
            return (self._state / IDENTITY / CERTIFICATE).read_bytes()
        except OSError:
            return b""

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
        answer = ask_fleet(self._state, identity, "/enrol/renew", request, EnrolAnswer)
        check_answer(answer, key, x509.load_pem_x509_certificate(root_pem.encode()))
        try:
            write_private(mark, b"")
        except OSError as error:
            raise StateUnavailable(mark, str(error.strerror)) from error
        keep_roots(self._state, answer.director_roots, answer.image_root)
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
        ask_fleet(self._state, identity, "/enrol/confirm", Nothing(), dict)
        mark.unlink(missing_ok=True)
        _log.info("the renewed certificate is in use, older ones have ended")

    def _next_s(self) -> float:
        """Return how long nothing will be due, as far as can be known; the link is looked at in between."""
        folder = self._state / IDENTITY
        if (folder / UNCONFIRMED).exists():
            return LOOK_MIN_S
        try:
            left_s = renew_after(own_certificate(self._state)).timestamp() - time.time()
        except StateUnavailable:
            return LOOK_MAX_S
        return min(max(left_s, LOOK_MIN_S), LOOK_MAX_S)

    def _complain(self, reason: str) -> None:
        if reason != self._complaint:
            _log.warning("the certificate cannot be renewed now reason=%r", reason)
        self._complaint = reason


def renew_after(certificate: x509.Certificate) -> datetime:
    """Return the moment at which two thirds of a certificate's life are over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * RENEW_AT
