"""What can be asked over the cable: a table of requests, and a small function for each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from device.check import checks_of, run_checks
from device.errors import NetworkRefused, PehraDeviceError, StateUnavailable
from device.firmware.claim_file import keep_ticket, kept_ticket
from device.firmware.config import Config, check_named_things, load_config
from device.firmware.console.desk import Desk
from device.firmware.console.identity import identify
from device.firmware.console.job import Told
from device.firmware.console.journal import hidden
from device.firmware.console.picture import budget_bytes
from device.firmware.fleet_word import make_room, takes_ticket
from device.firmware.state_lock import is_running
from ota.cable import (
    OLDEST,
    VERSION,
    Answer,
    Checked,
    Done,
    GiveClaim,
    Hello,
    Identify,
    LogLine,
    Looking,
    Picture,
    ReadLog,
    Refused,
    Request,
    Restart,
    RunCheck,
    SetWifi,
    TakePicture,
    Welcome,
    cut,
    wifi_fault,
)
from ota.enrolment import parse_ticket
from ota.errors import BadMessage

_log = logging.getLogger(__name__)

PIECE_BYTES: Final = 1024


def handle(desk: Desk, request: Request, told: Told) -> Answer:
    """Do what is asked, one deed at a time."""
    handler = HANDLERS[type(request)]
    if not isinstance(request, SetWifi | GiveClaim | RunCheck | Restart):
        return handler(desk, request, told)
    if not desk.deed.acquire(blocking=False):
        return Refused(code="busy", reason="what was asked before is still being done", todo="wait a minute")
    try:
        return handler(desk, request, told)
    finally:
        desk.deed.release()


def welcome(desk: Desk, request: Hello, told: Told) -> Answer:
    """Agree on a version, or say who must be updated."""
    if OLDEST <= request.version <= VERSION:
        _log.info("console: laptop program=%r", request.program)
        return Welcome(version=VERSION, oldest=OLDEST, program=f"pehra {desk.firmware}")
    who = "the laptop" if request.version < OLDEST else "the board"
    return Refused(
        code="version",
        reason=f"the laptop speaks version {request.version}, this board {OLDEST} to {VERSION}",
        todo=f"update Pehra on {who}",
    )


def tell_identity(desk: Desk, request: Identify, told: Told) -> Answer:
    """Tell who this board is."""
    return identify(desk)


def set_wifi(desk: Desk, request: SetWifi, told: Told) -> Answer:
    """Join a network."""
    fault = wifi_fault(request.ssid, request.password)
    if fault:
        return Refused(
            code="bad", reason=fault, todo="give name and password as the network's owner wrote them"
        )
    try:
        desk.network.join(request.ssid, request.password, hidden=request.hidden)
    except NetworkRefused as error:
        return Refused(code="wifi", reason=cut(error.reason), todo=cut(error.what_to_do))
    _log.info("console: wifi joined ssid=%r", request.ssid)
    return Done(note=cut(f"joined {request.ssid!r}: {desk.network.state()}"))


def take_claim(desk: Desk, request: GiveClaim, told: Told) -> Answer:
    """Keep a ticket, unless this board is somebody's already."""
    if not takes_ticket(desk.state):
        return Refused(
            code="enrolled",
            reason="this board is enrolled already and takes no other claim",
            todo="decommission it in its fleet first, which wipes it; then give the claim again",
        )
    try:
        ticket = parse_ticket(request.ticket)
        keep_ticket(desk.state, ticket)
        make_room(desk.state)
    except BadMessage as error:
        return Refused(
            code="bad", reason=cut(str(error)), todo="give the claim that the fleet made, as it is"
        )
    except StateUnavailable as error:
        return Refused(code="state", reason=cut(str(error)), todo="run the console as the camera's user")
    _log.info("console: claim kept fleet=%s site=%r", ticket.url, ticket.site)
    desk.on_ticket(ticket)
    return Done(note=f"the claim is kept; the board enrols with {ticket.url}")


def run_check(desk: Desk, request: RunCheck, told: Told) -> Answer:
    """Run `device check` and tell each line as it is found."""
    try:
        config = load_config(desk.config_file)
        check_named_things(config, desk.config_file)
    except PehraDeviceError as error:
        return Refused(code="config", reason=cut(str(error)), todo="mend that line, then check again")
    desk.aim.end()
    failed = doubtful = 0
    for check in checks_of(config, desk.board, with_cameras=not request.quick):
        if told.stop.is_set():
            break
        told.tell(Looking(check=cut(check.name, 100)))
        for finding in run_checks([check]).findings:
            failed += finding.result == "fail"
            doubtful += finding.result == "warn"
            name = cut(finding.check, 100)
            told.tell(
                Checked(check=name, result=finding.result, found=cut(finding.found), todo=cut(finding.do))
            )
    if failed:
        return Refused(
            code="check", reason=f"{failed} failed, {doubtful} to look at", todo="see the lines above"
        )
    return Done(note=f"nothing failed, {doubtful} to look at")


def read_log(desk: Desk, request: ReadLog, told: Told) -> Answer:
    """Tell the last lines of the log."""
    try:
        lines = desk.read_log(request.lines)
    except StateUnavailable as error:
        return Refused(code="log", reason=cut(str(error)), todo="on the board: journalctl -u pehra-device")
    for line in hidden(lines, *_secrets(desk)):
        told.tell(LogLine(text=cut(line)))
    return Done(note=f"{len(lines)} lines")


def take_picture(desk: Desk, request: TakePicture, told: Told) -> Answer:
    """Send what a camera sees, small enough for this line."""
    seen = desk.aim.view(request.camera, budget_bytes(told.bytes_per_s), told.stop)
    if isinstance(seen, Refused):
        return seen
    jpeg = seen.small.jpeg
    for start in range(0, len(jpeg), PIECE_BYTES):
        told.tell(jpeg[start : start + PIECE_BYTES])
    focus = round(seen.focus, 1)
    width, height = seen.small.width, seen.small.height
    return Picture(camera=seen.camera, width=width, height=height, bytes=len(jpeg), focus=focus)


def restart(desk: Desk, request: Restart, told: Told) -> Answer:
    """Start the camera's service anew."""
    try:
        desk.restart()
    except StateUnavailable as error:
        todo = "on the board: systemctl restart pehra-device"
        return Refused(code="restart", reason=cut(str(error)), todo=todo)
    is_up = is_running(desk.state)
    return Done(
        note="the camera's service runs" if is_up else "it is being started: identify says when it runs"
    )


def _secrets(desk: Desk) -> list[str]:
    """What must not stand in a line that leaves."""
    secrets = []
    try:
        ticket = kept_ticket(desk.state)
        secrets += [ticket.claim] if ticket is not None else []
    except StateUnavailable as error:
        _log.warning("console: %s", error)
    try:
        config: Config = load_config(desk.config_file)
        secrets.append(config.mqtt.password)
    except PehraDeviceError as error:
        _log.info("console: no configuration to hide secrets of reason=%r", str(error))
    return secrets


HANDLERS: Final[dict[type[Request], Callable[[Desk, Any, Told], Answer]]] = {
    Hello: welcome,
    Identify: tell_identity,
    SetWifi: set_wifi,
    GiveClaim: take_claim,
    RunCheck: run_check,
    ReadLog: read_log,
    TakePicture: take_picture,
    Restart: restart,
}
