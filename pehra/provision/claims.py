"""A claim as a person has it, a file or a line, turned into the text that the board is given."""

from __future__ import annotations

from pathlib import Path

from ota.enrolment import MAX_TICKET_BYTES, TICKET_PREFIX, Ticket, parse_ticket, ticket_text
from ota.errors import BadMessage
from pehra.provision.errors import ProvisionError


class NoClaim(ProvisionError):
    """What was given is no claim."""


def claim_of(said: str) -> Ticket:
    """Read a claim: a line that begins with `pehra:`, JSON, or the name of a file with one of both.

    Raises:
        NoClaim: neither; says what to do.
    """
    text = said.strip().strip("'\"")
    if not text:
        raise NoClaim("no claim was given: make one in the fleet's console")
    try:
        if text.startswith(TICKET_PREFIX) or text.lstrip().startswith("{"):
            return parse_ticket(text)
        with Path(text).expanduser().open("rb") as file:
            return parse_ticket(file.read(MAX_TICKET_BYTES + 1))
    except BadMessage as error:
        raise NoClaim(f"this is no claim: {error.reason}") from error
    except (OSError, ValueError) as error:
        said_why = getattr(error, "strerror", None) or str(error)
        raise NoClaim(f"{text[:80]!r} is neither a claim nor a file that can be read ({said_why})") from error


def claim_line(ticket: Ticket) -> str:
    """Return what goes over the cable."""
    return ticket_text(ticket)
