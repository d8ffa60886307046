"""Lets a board be let in: a ticket comes in, an identity goes out, whatever happens to the link in between.

Each step can be cut and is simply done again: the key is made once, the same claim and key get the same
certificate, and the certificate is written last. What the fleet refuses is not asked again with that ticket.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization

from device.errors import EnrolRefused, FleetAway, NotOurFleet, StateUnavailable
from device.firmware.claim_file import IDENTITY, is_enrolled, kept_ticket
from device.firmware.fleet_https import fetch_root, post, trusting
from device.firmware.identity import (
    Identity,
    check_answer,
    is_ended,
    keep_identity,
    own_key,
    signing_request,
)
from device.firmware.trust_roots import keep_roots, leave_other_fleet
from ota.enrolment import EnrolAnswer, EnrolRequest, Ticket, ticket_json
from ota.messages import parse_ts
from ota.whole import write_private

_log = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 2.0
MAX_RETRY_S: Final = 60.0
LOOK_S: Final = 0.5
CLOCK_OFF_S: Final = 300.0
LOCK: Final = "enrol.lock"
REFUSED: Final = "refused.json"


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why a ticket was refused for good; kept so that it is not asked again after a restart."""

    ticket_sha256: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a board says of itself when it asks to be let in: model, and serial number where it has one."""

    board: str = ""
    serial: str = ""


def enrol_once(state: Path, ticket: Ticket, hardware: Hardware) -> EnrolAnswer:
    """Ask once to be let in, and keep the identity if the answer is one.

    Returns:
        The answer: `enrolled`, or `waiting` for an administrator.

    Raises:
        FleetAway: nobody answers now.
        NotOurFleet: whoever answers is not the fleet of the ticket.
        EnrolRefused: the fleet says no, for good.
        StateUnavailable: the state folder cannot be read or written.
    """
    root = fetch_root(ticket.url, ticket.pin)
    root_pem = root.public_bytes(serialization.Encoding.PEM).decode()
    key = own_key(state)
    context = trusting(root_pem, valid_from_s=parse_ts(ticket.made))
    request = EnrolRequest(
        claim=ticket.claim,
        csr=signing_request(key, ticket.device),
        site=ticket.site,
        serial=hardware.serial,
        board=hardware.board,
        device=ticket.device,
    )
    answer = post(ticket.url, context, "/enrol", request, EnrolAnswer)
    if answer.state == "enrolled":
        check_answer(answer, key, root)
        leave_other_fleet(state, ticket.pin)
        keep_roots(state, answer.director_roots, answer.image_root)
        identity = Identity(
            device=answer.device,
            site=answer.site,
            timezone=answer.timezone,
            url=ticket.url,
            pin=ticket.pin,
            mqtt_host=answer.mqtt_host,
            mqtt_port=answer.mqtt_port,
        )
        keep_identity(state, identity, answer, root_pem)
    return answer


def needs_ticket(state: Path, *, has_broker: bool) -> bool:
    """Whether this board has to be let in before it can do its work.

    Args:
        state: its state folder.
        has_broker: whether its configuration says by itself where the broker is.
    """
    if is_enrolled(state):
        return False
    if is_ended(state) or not has_broker:
        return True
    try:
        return kept_ticket(state) is not None
    except StateUnavailable as error:
        _log.error("enrol: the ticket is of no use, the configuration says where the broker is: %s", error)
        return False


class Enroller:
    """Asks until the board is let in.

    Args:
        state: its state folder.
        hardware: what it says of itself.
        on_standing: told in a few words how far it is, at each change.
    """

    def __init__(
        self, state: Path, hardware: Hardware, on_standing: Callable[[str], None] = lambda _: None
    ) -> None:
        self._state = state
        self._hardware = hardware
        self._on_standing = on_standing
        self._standing = self._fault = ""

    def run(self, stop: threading.Event) -> bool:
        """Ask again and again, with growing waits; return whether the board was let in before `stop`."""
        wait_s = FIRST_RETRY_S
        while not stop.is_set():
            if is_enrolled(self._state):
                return True
            ticket = self._ticket()
            if ticket is None or was_refused(self._state, ticket):
                wait_s = FIRST_RETRY_S
                if not self._fault:
                    self._stand(self._why_not(ticket))
                stop.wait(LOOK_S)
                continue
            pause_s = self._try_alone(ticket, wait_s)
            if is_enrolled(self._state):
                return True
            wait_s = min(2 * wait_s, MAX_RETRY_S)
            self._pause(stop, pause_s, ticket)
        return False

    def _ticket(self) -> Ticket | None:
        """Return the ticket that waits; one that cannot be read is said, and is none."""
        try:
            ticket, self._fault = kept_ticket(self._state), ""
        except StateUnavailable as error:
            ticket, self._fault = None, str(error)
            self._stand(self._fault)
        return ticket

    def _try_alone(self, ticket: Ticket, wait_s: float) -> float:
        """Ask once, unless another process of this board does: the service, or the command at the cable."""
        try:
            with _alone(self._state) as is_alone:
                return self._try(ticket, wait_s) if is_alone else LOOK_S
        except StateUnavailable as error:
            self._stand(str(error))
            return wait_s

    def _try(self, ticket: Ticket, wait_s: float) -> float:
        """Ask once; return how long to wait before the next time."""
        try:
            answer = enrol_once(self._state, ticket, self._hardware)
        except EnrolRefused as error:
            _note_refused(self._state, ticket, error)
            self._stand(f"refused ({error.reason}): {error.detail}")
            return 0.0
        except NotOurFleet as error:
            # A portal that wants a log-in, or an attacker: neither is the fleet, and both may go away.
            self._stand(f"not our fleet: {error}")
            return MAX_RETRY_S
        except FleetAway as error:
            self._stand(f"no answer: {error}")
            return wait_s
        if answer.state == "waiting":
            self._stand(f"{answer.device} waits for an administrator's approval")
            return answer.retry_s or wait_s
        off_s = parse_ts(answer.now) - time.time()
        if abs(off_s) > CLOCK_OFF_S:
            _log.warning("enrol: our clock is wrong by_s=%.0f: it is set by the network's time", off_s)
        self._stand(f"enrolled as {answer.device}")
        return 0.0

    def _why_not(self, ticket: Ticket | None) -> str:
        if ticket is None:
            return "waits for a ticket (pehra provision, or pehra device enrol)"
        refused = read_refused(self._state)
        reason = f"{refused.reason}: {refused.detail}" if refused else ""
        return f"its ticket was refused ({reason}); waits for another"

    def _pause(self, stop: threading.Event, pause_s: float, ticket: Ticket) -> None:
        """Wait, but not with a ticket that has meanwhile been replaced by another."""
        end_s = time.monotonic() + pause_s
        while time.monotonic() < end_s and not stop.wait(LOOK_S):
            self._on_standing(self._standing)
            if self._ticket() != ticket:
                return

    def _stand(self, words: str) -> None:
        if words != self._standing:
            _log.info("enrol: %s", words)
            self._standing = words
        self._on_standing(words)


@contextmanager
def _alone(state: Path) -> Iterator[bool]:
    """Hold the board's one right to ask, if nobody else does; the system gives it back when we die."""
    try:
        with (state / IDENTITY / LOCK).open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield not is_enrolled(state)
    except OSError as error:
        raise StateUnavailable(state / IDENTITY, f"{error.strerror}: it cannot be written") from error


def read_refused(state: Path) -> Refused | None:
    """Return why the last ticket was refused; None where none was."""
    try:
        return msgspec.json.decode((state / IDENTITY / REFUSED).read_bytes(), type=Refused)
    except (OSError, msgspec.DecodeError):
        return None


def was_refused(state: Path, ticket: Ticket) -> bool:
    """Whether this very ticket was refused for good."""
    refused = read_refused(state)
    return refused is not None and refused.ticket_sha256 == _digest(ticket)


def _note_refused(state: Path, ticket: Ticket, error: EnrolRefused) -> None:
    note = Refused(ticket_sha256=_digest(ticket), reason=error.reason, detail=error.detail[:300])
    try:
        write_private(state / IDENTITY / REFUSED, msgspec.json.encode(note))
    except OSError as fault:
        raise StateUnavailable(state / IDENTITY, f"{fault.strerror}: it cannot be written") from fault


def _digest(ticket: Ticket) -> str:
    return hashlib.sha256(ticket_json(ticket)).hexdigest()
