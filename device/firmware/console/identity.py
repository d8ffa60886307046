"""Who this board is, as it tells a laptop; reads files and changes nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

from device.errors import PehraDeviceError, StateUnavailable
from device.firmware.claim_file import is_enrolled, kept_ticket
from device.firmware.config import Config, load_config
from device.firmware.console.desk import Desk
from device.firmware.customised import read_applied
from device.firmware.enrol import read_refused
from device.firmware.fleet_word import read_word, words_of
from device.firmware.identity import read_identity
from device.firmware.state_lock import is_running
from ota.cable import Identity, cut
from ota.enrolment import Ticket, ticket_json


def identify(desk: Desk) -> Identity:
    """Tell who this board is; what cannot be found out is left empty."""
    config, fault = _config(desk.config_file)
    word = read_word(desk.state)
    ticket, device, site = _ticket(desk.state), *_name(desk.state, config)
    return Identity(
        board=cut(desk.board.name, 100),
        serial=cut(desk.serial, 100),
        firmware=cut(desk.firmware, 100),
        enrolled=is_enrolled(desk.state) and not word,
        has_claim=ticket is not None,
        refusal=_refusal(desk.state, ticket),
        standing=cut(words_of(word)),
        device=device,
        site=site,
        customisation=_customisation(desk.state),
        is_running=is_running(desk.state),
        network=cut(desk.network.state(), 200),
        cameras=[camera.id for camera in config.camera] if config is not None else [],
        fault=cut(fault),
    )


def _config(file: Path) -> tuple[Config | None, str]:
    if not file.exists():
        return None, ""
    try:
        return load_config(file), ""
    except PehraDeviceError as error:
        return None, str(error)


def _name(state: Path, config: Config | None) -> tuple[str, str]:
    """Return id and site: the certificate's, else the configuration's."""
    try:
        identity = read_identity(state)
    except StateUnavailable:
        identity = None
    if identity is not None:
        return identity.device, identity.site
    return (config.device.id, config.device.site) if config is not None else ("", "")


def _ticket(state: Path) -> Ticket | None:
    try:
        return kept_ticket(state)
    except StateUnavailable:
        return None


def _refusal(state: Path, ticket: Ticket | None) -> str:
    """Return why the fleet refused the ticket that waits; empty where it did not."""
    refused = read_refused(state)
    if refused is None or ticket is None:
        return ""
    is_of_it = refused.ticket_sha256 == hashlib.sha256(ticket_json(ticket)).hexdigest()
    return cut(f"{refused.reason}: {refused.detail}") if is_of_it else ""


def _customisation(state: Path) -> str:
    """Return what the first boot made of the card; empty on a board that was set up by hand."""
    applied = read_applied(state)
    if applied is None:
        return ""
    return (
        applied.sha256 if applied.result == "ok" else cut(f"{applied.sha256}, FAILED at {applied.step}", 100)
    )
