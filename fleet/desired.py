"""What the fleet wants of a device's configuration: kept here, and told to the device as a retained document.

A document is told when it is new, after each reconnection (a broker may have forgotten it), and once a day,
so that it never expires while it is wanted. Whether it holds is the device's word alone (`Reported`); here
only what no device could ever read is refused. Documents are not signed yet.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import tomllib
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session, select

from fleet.access import audit
from fleet.access.caller import Caller
from fleet.errors import BadOverlay, first_line
from fleet.link import Link
from fleet.queries.devices import get_device
from fleet.store import tables
from ota.messages import MAX_MESSAGE_BYTES, Channel, Desired, Topic, encode, format_ts, new_id
from ota.messages.structs import MAX_OVERLAY_BYTES, MAX_OVERLAY_LINES

log = logging.getLogger(__name__)

VALID_S: Final = 30 * 86_400.0
REPEAT_S: Final = 86_400.0
LOOK_S: Final = 1.0
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
    wanted = before or tables.Desired(device=device, seq=0, action="", sha256="", overlay="", made_ms=0)
    wanted.seq = max(
        wanted.seq + 1, int(now_s)
    )  # beyond what the device has seen, even if we lost our memory
    wanted.action, wanted.sha256, wanted.overlay = new_id(), sha256, overlay
    wanted.made_ms = round(now_s * 1000)
    if len(encode(document_of(wanted, now_s))) > MAX_MESSAGE_BYTES:
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


def document_of(wanted: tables.Desired, now_s: float) -> Desired:
    """Return the document that tells a device what is wanted of it."""
    return Desired(
        id=new_id(),
        ts=format_ts(now_s),
        device=wanted.device,
        action=wanted.action,
        seq=wanted.seq,
        expires=format_ts(now_s + VALID_S),
        config=wanted.sha256,
        overlay=wanted.overlay.split("\n"),
    )


def config_state(wanted: tables.Desired | None, device: tables.Device) -> str:
    """Return one word: how far the device has come with what is wanted (`none` where nothing is)."""
    if wanted is None:
        return "none"
    reported = device.reported or {}
    return str(reported.get("outcome", "waiting")) if reported.get("seq") == wanted.seq else "waiting"


class Director:
    """Tells devices what is wanted of them; `run` is a part of the fleet."""

    def __init__(self, engine: Engine, link: Link) -> None:
        self._engine = engine
        self._link = link
        self._news = threading.Event()
        self._up_since_s: float | None = None
        self._told: dict[str, int] = {}
        self._repeat_s = 0.0

    def wake(self) -> None:
        """Say that somebody wants something new."""
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Tell what is new, and everything anew after a reconnection and once a day, until `stop`."""
        while not stop.is_set():
            is_new = self._news.wait(LOOK_S)
            self._news.clear()
            try:
                self._look(time.monotonic(), is_new=is_new)
            except (DBAPIError, PoolTimeout) as error:
                self._news.set()
                log.error("documents wait, the database does not answer reason=%r", first_line(error))
                stop.wait(LOOK_S)

    def _look(self, mono_s: float, *, is_new: bool) -> None:
        if not self._link.is_up:
            return
        if self._link.up_since_s != self._up_since_s or mono_s >= self._repeat_s:
            self._up_since_s, self._repeat_s = self._link.up_since_s, mono_s + REPEAT_S
            self._told.clear()
            is_new = True
        if is_new and not self._tell():
            self._up_since_s = None  # the link went away in the middle: once more in the next round

    def _tell(self) -> bool:
        with Session(self._engine) as session:
            for wanted in session.exec(select(tables.Desired)):
                if self._told.get(wanted.device) == wanted.seq:
                    continue
                document = document_of(wanted, time.time())
                if not self._link.publish(Topic(wanted.device, Channel.DESIRED), document):
                    return False
                self._told[wanted.device] = wanted.seq
        return True
