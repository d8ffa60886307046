"""Checks a configuration before a ticket is spent: it must leave room for what the fleet is about to say.

What the file says wins over the board's identity, so a file that says otherwise would keep an enrolled board
from its own fleet, with the ticket gone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from device.errors import ConfigError
from device.firmware.config.reading import config_of, read_table, read_text
from device.firmware.config.tree import Config
from device.firmware.toml_lines import line_of
from ota.enrolment import Ticket, contradiction

_TOLD: Final = ("host", "ca", "cert", "key")
"""Keys of `[mqtt]` that the fleet tells a board when it lets it in."""
_NOT_YET: Final = {"device": {"id": "not-yet"}, "mqtt": {"host": "localhost"}}
"""Stands where only the fleet can say more."""


def load_alone(path: Path) -> Config:
    """Read and check a configuration by itself, as it is before a fleet has let the board in.

    Raises:
        ConfigError: unreadable, not TOML, or a value is not allowed.
    """
    text = read_text(path)
    return config_of(_filled(read_table(text, path)), text, path)


def ticket_for(path: Path, ticket: Ticket) -> Ticket:
    """Return the ticket with the site and id that a configuration says and the ticket leaves open.

    Raises:
        ConfigError: the file cannot be read or is not good, or the board could not start with it once it has
            spent this ticket.
    """
    text = read_text(path)
    table = read_table(text, path)
    for key in _TOLD:
        if key in _section(table, "mqtt"):
            raise _fault(path, text, f"mqtt.{key}", "it would win over what the fleet tells the board")
    config = config_of(_filled(table), text, path)
    site, device = config.device.site, config.device.id if "id" in _section(table, "device") else ""
    match contradiction(ticket.site, ticket.device, site, device):
        case "site":
            raise _fault(path, text, "device.site", f"the ticket is for {ticket.site}")
        case "id":
            raise _fault(path, text, "device.id", f"the ticket is for {ticket.device}")
    return msgspec.structs.replace(ticket, site=site or ticket.site, device=device or ticket.device)


def _fault(path: Path, text: str, key: str, reason: str) -> ConfigError:
    todo = "delete the line, then enrol; the ticket is not spent"
    return ConfigError(path, line_of(text, key), key, f"{reason}: {todo}")


def _filled(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table with something where the fleet will say more; what is no section is left to be told."""
    more = {name: said | _section(table, name) for name, said in _NOT_YET.items()}
    return {**table, **{name: one for name, one in more.items() if isinstance(table.get(name, {}), dict)}}


def _section(table: dict[str, Any], name: str) -> dict[str, Any]:
    section = table.get(name)
    return section if isinstance(section, dict) else {}
