"""What the fleet wants of a device's configuration: kept here; `fleet.director` tells the device.

Whether it holds is the device's word alone (`Reported`); here only what no device could ever read is refused.
"""

from __future__ import annotations

import hashlib
import logging
import tomllib
from typing import Final

from sqlmodel import Session

from fleet.access import audit
from fleet.access.caller import Caller
from fleet.director.documents import document_of
from fleet.director.marks import mark
from fleet.errors import BadOverlay
from fleet.queries.devices import get_device
from fleet.store import tables
from ota.messages import MAX_MESSAGE_BYTES, encode, new_id
from ota.messages.desired import MAX_OVERLAY_BYTES, MAX_OVERLAY_LINES

log = logging.getLogger(__name__)

LINE_CHARS: Final = 200


def want_config(session: Session, device: str, overlay: str, now_s: float, caller: Caller) -> tables.Desired:
    """Keep the overlay that is wanted of a device, and who wants it; the same again changes nothing.

    Raises:
        NotFound: no message of the device has ever come.
        BadOverlay: no device could read it.
    """
    get_device(session, device)
    check_overlay(overlay)
    sha256 = hashlib.sha256(overlay.encode()).hexdigest()
    before = session.get(tables.Desired, device)
    if before is not None and before.sha256 == sha256:
        return before
    mark(session.connection(), [device], now_s)
    wanted = session.get_one(tables.Desired, device, populate_existing=True)
    wanted.config_seq = wanted.seq
    wanted.action, wanted.sha256, wanted.overlay = new_id(), sha256, overlay
    wanted.made_ms = round(now_s * 1000)
    if len(encode(document_of(wanted, [], now_s))) > MAX_MESSAGE_BYTES:
        session.rollback()
        raise BadOverlay(
            f"with its quotes escaped it does not fit into {MAX_MESSAGE_BYTES} bytes: shorten it"
        )
    session.add(wanted)
    session.flush()
    detail: audit.Detail = {"seq": wanted.seq, "sha256": sha256}
    audit.record(session, caller, "config.change", device, detail, at_ms=wanted.made_ms)
    session.commit()
    session.refresh(wanted)
    log.info("configuration wanted device=%s seq=%d sha256=%.12s", device, wanted.seq, sha256)
    return wanted


def check_overlay(overlay: str) -> None:
    """Check what can be checked without the device.

    Raises:
        BadOverlay: too large, a line is too long, or it is not TOML.
    """
    lines = overlay.split("\n")
    try:
        size = len(overlay.encode())
    except UnicodeEncodeError as error:
        raise BadOverlay("it holds letters that are none (surrogates)") from error
    if size > MAX_OVERLAY_BYTES or len(lines) > MAX_OVERLAY_LINES:
        raise BadOverlay(f"at most {MAX_OVERLAY_BYTES} bytes and {MAX_OVERLAY_LINES} lines")
    for number, line in enumerate(lines, start=1):
        if len(line) > LINE_CHARS:
            raise BadOverlay(
                f"line {number} has {len(line)} letters, at most {LINE_CHARS} are allowed: break it"
            )
    try:
        tomllib.loads(overlay)
    except RecursionError as error:
        raise BadOverlay("not TOML: nested too deeply") from error
    except ValueError as error:
        raise BadOverlay(f"not TOML: {error}") from error


def config_of(session: Session, device: str) -> tables.Desired | None:
    """Return the configuration that is wanted of a device; None where none is."""
    wanted = session.get(tables.Desired, device)
    return wanted if wanted is not None and wanted.sha256 else None


def config_state(wanted: tables.Desired | None, device: tables.Device) -> str:
    """Return one word: how far the device has come with what is wanted (`none` where nothing is)."""
    if wanted is None or not wanted.sha256:
        return "none"
    reported = device.reported or {}
    return (
        str(reported.get("outcome", "waiting"))
        if (reported.get("seq") or 0) >= wanted.config_seq
        else "waiting"
    )
