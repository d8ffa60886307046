"""The ticket that a board waits to enrol with: kept in its state folder until it is spent.

Whoever brings a ticket (the card's boot partition, the cable, a command) keeps it here; `enrol.py` takes it
from here. A board that is enrolled takes no other ticket.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from device.errors import StateUnavailable
from ota.enrolment import MAX_TICKET_BYTES, Ticket, parse_ticket, ticket_json
from ota.errors import BadMessage
from ota.whole import write_private

IDENTITY: Final = "identity"
CLAIM: Final = "claim.json"
CERTIFICATE: Final = "device.pem"
WORD: Final = "word"


def is_enrolled(state: Path) -> bool:
    """Whether this board has a certificate."""
    return (state / IDENTITY / CERTIFICATE).exists()


def keep_ticket(state: Path, ticket: Ticket) -> None:
    """Keep a ticket until it is spent; a later one replaces it.

    Raises:
        StateUnavailable: the folder cannot be written.
    """
    folder = state / IDENTITY
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / CLAIM, ticket_json(ticket))
    except OSError as error:
        raise StateUnavailable(folder, f"{error.strerror}: the ticket cannot be kept") from error


def kept_ticket(state: Path) -> Ticket | None:
    """Return the ticket that waits, or None.

    Raises:
        StateUnavailable: there is one, but it cannot be read.
    """
    file = state / IDENTITY / CLAIM
    try:
        with file.open("rb") as opened:
            return parse_ticket(opened.read(MAX_TICKET_BYTES + 1))
    except FileNotFoundError:
        return None
    except (OSError, BadMessage) as error:
        raise StateUnavailable(file, f"{error}: give the board its ticket again") from error


def drop_ticket(state: Path) -> None:
    """Forget the ticket, spent or refused for good; the second time changes nothing."""
    (state / IDENTITY / CLAIM).unlink(missing_ok=True)
