"""The list of checks of one device, in the order in which a technician would mend them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from device.check.board import look_at_board
from device.check.camera import look_at_camera
from device.check.clock import is_kept, look_at_clock
from device.check.disk import look_at_disk
from device.check.finding import Finding, warn
from device.check.identity import look_at_identity
from device.check.link import look_at_link
from device.check.model import look_at_model
from device.check.run import Check
from device.firmware.claim_file import CERTIFICATE, IDENTITY
from device.firmware.config import CameraSection, Config
from device.firmware.state_lock import is_running
from hardware.board import Board
from hardware.camera.isolated import opener_of
from hardware.camera.sharing import Order
from hardware.camera.sources import has_driver

BOARD_S, CLOCK_S, DISK_S, LINK_S, MODEL_S, CAMERA_S = 10.0, 10.0, 20.0, 40.0, 90.0, 40.0
IDENTITY_S = 50.0
"""Longer than one question to the fleet may take (`fleet_https.WHOLE_S`)."""


def checks_of(config: Config, board: Board, *, with_cameras: bool) -> list[Check]:
    """Return what is to be looked at.

    Args:
        config: of this device, a good one.
        board: that it runs on.
        with_cameras: false leaves the cameras out, which take the longest.
    """
    state = Path(config.device.state)
    is_up = is_running(state)
    checks = [
        Check("board", BOARD_S, lambda stop: look_at_board(board, state)),
        *_identity_check(config, state),
        Check("clock", CLOCK_S, lambda stop: look_at_clock(time.time(), is_kept())),
        Check("disk", DISK_S, lambda stop: look_at_disk(state)),
        Check(
            "link",
            LINK_S,
            lambda stop: look_at_link(config.device.id, config.mqtt, stop, may_log_in=not is_up),
        ),
        Check("model", MODEL_S, lambda stop: look_at_model(config, board.profile, stop)),
    ]
    if with_cameras:
        checks += [_camera_check(section, is_up=is_up) for section in config.camera]
    return checks


def _identity_check(config: Config, state: Path) -> list[Check]:
    """The check of a board that goes by its own identity."""
    if config.mqtt.cert != str(state / IDENTITY / CERTIFICATE):
        return []
    return [Check("identity", IDENTITY_S, lambda stop: look_at_identity(state, datetime.now(UTC)))]


def _camera_check(section: CameraSection, *, is_up: bool) -> Check:
    name = f"camera: {section.id}"
    if is_up and has_driver(section.source) and "://" not in section.source:
        busy = warn(
            name,
            "not tried: the device runs and has the camera",
            "to try it: `systemctl stop pehra`, check, `systemctl start pehra`",
        )
        return Check(name, 1.0, lambda stop: [busy])
    order = Order(section.source, section.width, section.height, section.fps)

    def look(stop: threading.Event) -> Iterable[Finding]:
        return look_at_camera(section, opener_of(order), stop)

    return Check(name, CAMERA_S, look)
