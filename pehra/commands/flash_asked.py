"""What was asked of `pehra flash`, turned into what `hardware.flash` needs: tickets, passwords, rows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import typer

from hardware.errors import SettingInvalid
from hardware.flash.batch import Row, read_rows
from hardware.flash.settings import Setup, Wifi, ssh_keys
from hardware.flash.settings import wifi as wifi_of
from ota.enrolment import TICKET_PREFIX, Ticket, contradiction, parse_ticket, ticket_json
from ota.errors import BadMessage

PASSWORD: Final = "PEHRA_WIFI_PASSWORD"  # noqa: S105 (the name of a variable)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of `pehra flash`, as they were given."""

    image: Path
    to: str
    site: str = ""
    device: str = ""
    claim: str = ""
    wifi: str = ""
    wifi_password_file: Path | None = None
    wifi_hidden: bool = False
    country: str = ""
    wheelhouse: Path | None = None
    hostname: str = ""
    ssh_key: Path | None = None
    user: str = "tech"
    timezone: str = ""
    keyboard: str = ""
    locale: str = ""
    sha256: str = ""
    batch: Path | None = None
    labels: Path | None = None
    yes: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """One card: its row, and what its first boot will be told; None for the plain image."""

    row: Row
    setup: Setup | None


def plan(asked: Asked) -> list[Planned]:
    """Return every card that was asked for, checked in full; asks for the Wi-Fi's password where it must.

    Raises:
        SettingInvalid: what cannot be; nothing was written.
    """
    if asked.batch is None:
        rows = [Row(asked.device, asked.site)]
    elif asked.device or asked.site or asked.hostname:
        raise SettingInvalid(
            "--batch", "id, site and host name come from the CSV", "leave --id, --site and --hostname out"
        )
    else:
        rows = read_rows(asked.batch)
    network = _wifi(asked)
    keys = ssh_keys(_read(asked.ssh_key)) if asked.ssh_key else ()
    if asked.ssh_key and not keys:
        raise SettingInvalid(asked.ssh_key, "there is no key in it", "name the file that ends in .pub")
    common = _ticket(asked.claim) if asked.claim else None
    return [Planned(row, _setup(asked, row, network, keys, common)) for row in rows]


def _setup(
    asked: Asked, row: Row, network: Wifi | None, keys: tuple[str, ...], common: Ticket | None
) -> Setup | None:
    ticket = _ticket(row.claim, row.device) if row.claim else common
    wanted = (
        row.device, row.site, ticket, network, asked.hostname, keys, asked.timezone, asked.keyboard,
        asked.locale, asked.wheelhouse,
    )  # fmt: skip
    if not any(wanted):
        return None
    if ticket is not None:
        ticket = _fitted(ticket, row)
    return Setup(
        site=row.site or (ticket.site if ticket else ""),
        device=row.device or (ticket.device if ticket else ""),
        claim=ticket_json(ticket) if ticket else b"",
        wifi=network,
        hostname=asked.hostname or row.device or (ticket.device if ticket else ""),
        user=asked.user,
        ssh_keys=keys,
        timezone=asked.timezone,
        keyboard=asked.keyboard,
        locale=asked.locale,
        wheelhouse=asked.wheelhouse,
    )


def _fitted(ticket: Ticket, row: Row) -> Ticket:
    """The ticket with the card's own site and id.

    Raises:
        SettingInvalid: they are not what the ticket allows.
    """
    match contradiction(ticket.site, ticket.device, row.site, row.device):
        case "site":
            todo = f"say {ticket.site} or a site below it, or ask the fleet for another ticket"
            raise SettingInvalid(f"ticket for site {ticket.site}", f"the card shall have {row.site}", todo)
        case "id":
            todo = f"say {ticket.device}, or ask the fleet for another ticket"
            raise SettingInvalid(f"ticket for id {ticket.device}", f"the card shall have {row.device}", todo)
    return msgspec.structs.replace(ticket, site=row.site or ticket.site, device=row.device or ticket.device)


def _ticket(given: str, whose: str = "") -> Ticket:
    text = given.strip()
    if not text.startswith((TICKET_PREFIX, "{")):
        text = _read(Path(given))
    try:
        return parse_ticket(text)
    except BadMessage as error:
        what = f"claim of {whose}" if whose else "claim"
        raise SettingInvalid(what, error.reason, "copy it again from the fleet") from error


def _wifi(asked: Asked) -> Wifi | None:
    if not asked.wifi:
        return None
    if not asked.country:
        raise SettingInvalid("--country", "the radio must know where it is", "for example --country PK")
    if asked.wifi_password_file is not None:
        password = _read(asked.wifi_password_file).rstrip("\r\n")
    elif PASSWORD in os.environ:
        password = os.environ[PASSWORD]
    else:
        password = str(typer.prompt(f"Password of {asked.wifi}", hide_input=True, err=True))
    return wifi_of(asked.wifi, password, asked.country, is_hidden=asked.wifi_hidden)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(path, f"it cannot be read ({error})", "name a text file") from error
