"""What the fleet says of this board's certificate when the broker takes it in no longer, kept until it does.

A broker that refuses says no reason: to the board, to be revoked looks like a broken network. The fleet
says it over HTTPS, to whoever comes with the certificate. The word lies in `STATE/identity/word`, so that the
cable and commands know it too, and ends with the next link or the next certificate.
"""

from __future__ import annotations

import logging
import random
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from device.errors import EnrolRefused, FleetAway, StateUnavailable
from device.firmware.claim_file import CERTIFICATE, IDENTITY, WORD, is_enrolled
from device.firmware.fleet_https import post, trusting
from device.firmware.identity import ROOT, Identity, own_certificate, read_identity
from ota.whole import write_whole

_log = logging.getLogger(__name__)

AWAY_S: Final = 60.0
"""So long the link may be away before the fleet is asked; up to twice that: not all boards at once."""
ASK_S: Final = 300.0
ASK_MAX_S: Final = 3600.0
_SAID: Final = {
    "revoked": "revoked by its fleet",
    "expired": "its certificate has expired",
    "foreign": "its fleet does not know its certificate",
}
T = TypeVar("T")


class Nothing(msgspec.Struct):
    """A question without words."""


class Doubt:
    """Decides when the fleet is asked: seldom, and ever more seldom while it says the same.

    Args:
        patience_s: of a link that is away without anybody having refused us.
    """

    def __init__(self, patience_s: float | None = None) -> None:
        self._patience_s = random.uniform(AWAY_S, 2 * AWAY_S) if patience_s is None else patience_s  # noqa: S311
        self._away_since_s: float | None = None
        self._next_s = float("-inf")
        self._pause_s = ASK_S

    def is_due(self, now_s: float, *, is_linked: bool, is_turned_away: bool) -> bool:
        """Whether to ask now; whoever is told so asks.

        Args:
            now_s: monotonic.
            is_linked: the broker has taken us in.
            is_turned_away: it answered, and did not take us in.
        """
        if is_linked:
            self._away_since_s, self._pause_s = None, ASK_S
            return False
        if self._away_since_s is None:
            self._away_since_s = now_s
        if now_s < self._next_s or not (is_turned_away or now_s - self._away_since_s >= self._patience_s):
            return False
        self._next_s = now_s + self._pause_s
        return True

    def hear(self, reason: str) -> None:
        """Take in what was answered: a word that stands is asked for less and less often."""
        self._pause_s = min(2 * self._pause_s, ASK_MAX_S) if reason else ASK_S


class FleetWord:
    """The word that stands, for whoever says how the board is.

    Args:
        state: the board's state folder.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self.reason = read_word(state)

    @property
    def words(self) -> str:
        """What it means, for people; empty while the board is trusted as far as is known."""
        return words_of(self.reason)

    def note(self, reason: str) -> None:
        """Keep a word, or none; logged when it is another.

        Raises:
            StateUnavailable: it cannot be kept.
        """
        if reason == self.reason:
            return
        self.reason = reason
        if reason:
            _log.error("fleet: %s", self.words)
        else:
            _log.info("fleet: this board is trusted")
        keep_word(self._state, reason)


def ask_word(state: Path, now: datetime) -> str:
    """Ask the fleet whether it trusts this board; return nothing, `revoked`, `expired` or `foreign`.

    A certificate that has ended does not get through TLS: then nobody is asked.

    Raises:
        FleetAway: nobody answers now, or something else.
        NotOurFleet: whoever answers is not our fleet.
        StateUnavailable: a file cannot be read.
    """
    identity = read_identity(state)
    if identity is None:
        return ""
    if now >= own_certificate(state).not_valid_after_utc:
        return "expired"
    try:
        ask_fleet(state, identity, "/enrol/confirm", Nothing(), dict)
    except EnrolRefused as error:
        if error.reason not in _SAID:
            raise FleetAway(str(error)) from error
        return error.reason
    return ""


def ask_fleet(state: Path, identity: Identity, path: str, question: msgspec.Struct, kind: type[T]) -> T:
    """Ask the fleet over HTTPS, with the board's certificate.

    Raises:
        FleetAway: nobody answers now.
        NotOurFleet: whoever answers is not our fleet.
        EnrolRefused: the fleet says no.
        StateUnavailable: a file cannot be read.
    """
    folder = state / IDENTITY
    begun_s = own_certificate(state).not_valid_before_utc.timestamp()
    try:
        root_pem = (folder / ROOT).read_text()
    except OSError as error:
        raise StateUnavailable(
            folder / ROOT, f"{error.strerror}: enrol the board anew with a ticket"
        ) from error
    context = trusting(root_pem, valid_from_s=begun_s, identity=folder / CERTIFICATE)
    return post(identity.url, context, path, question, kind)


def words_of(reason: str) -> str:
    """Return what a word means, for people."""
    return f"{_SAID[reason]}: it needs a new ticket" if reason in _SAID else ""


def read_word(state: Path) -> str:
    """Return the word that is kept; empty where none is, or none that is known."""
    try:
        said = (state / IDENTITY / WORD).read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
    return said if said in _SAID and is_enrolled(state) else ""


def keep_word(state: Path, reason: str) -> None:
    """Keep a word, or none.

    Raises:
        StateUnavailable: the folder cannot be written.
    """
    file = state / IDENTITY / WORD
    try:
        if reason:
            write_whole(file, f"{reason}\n".encode(), 0o644)
        else:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise StateUnavailable(file, f"{error.strerror}: the fleet's word cannot be kept") from error


def takes_ticket(state: Path) -> bool:
    """Whether this board may take a ticket: it has no certificate, or one that its fleet trusts no longer."""
    return not is_enrolled(state) or bool(read_word(state))


def make_room(state: Path) -> None:
    """Drop a certificate that the fleet trusts no longer, when the ticket for another is kept already.

    Raises:
        StateUnavailable: the folder cannot be written.
    """
    if not read_word(state):
        return
    try:
        (state / IDENTITY / CERTIFICATE).unlink(missing_ok=True)
    except OSError as error:
        raise StateUnavailable(state / IDENTITY, f"{error.strerror}: it cannot be written") from error
    keep_word(state, "")
