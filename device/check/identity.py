"""The board's identity: until when its certificate holds, and whether its fleet still trusts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from device.check.finding import Finding, ok, warn
from device.check.finding import fail as failed
from device.errors import FleetAway, NotOurFleet, StateUnavailable
from device.firmware.fleet_word import ask_word, words_of
from device.firmware.identity import own_certificate
from device.firmware.renewal import renew_after

_TICKET: Final = (
    "ask your administrator for a ticket (`pehra fleet device replace`), then `pehra device enrol`, "
    "or give it by cable"
)


def look_at_identity(
    state: Path, now: datetime, ask: Callable[[Path, datetime], str] = ask_word
) -> Iterator[Finding]:
    """Judge the certificate, and ask the fleet.

    Args:
        state: the board's state folder.
        now: the board's clock.
        ask: asks the fleet; see `ask_word`.
    """
    try:
        certificate = own_certificate(state)
        end = certificate.not_valid_after_utc
        until = f"certificate until {end:%Y-%m-%d}, {(end - now).days} days left"
        reason = ask(state, now)
    except StateUnavailable as error:
        yield failed("identity", str(error), _TICKET)
    except (FleetAway, NotOurFleet) as error:
        yield warn(
            "identity", f"{until}; the fleet does not say whether it holds: {error}", "see the link's lines"
        )
    else:
        if reason:
            yield failed("identity", f"{until}; {words_of(reason)}", _TICKET)
        elif now >= renew_after(certificate):
            yield warn(
                "identity", f"{until}; trusted, but its renewal is due", "let the service run: it renews"
            )
        else:
            yield ok("identity", f"{until}; trusted by its fleet")
