"""Who this board is, as it tells a laptop; reads files and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from device.check.checks import is_running
from device.errors import PehraDeviceError, StateUnavailable
from device.firmware.claim_file import is_enrolled, kept_ticket
from device.firmware.config import Config, load_config
from device.firmware.console.desk import Desk
from hardware.board.sysfs import read_text
from ota.cable import Identity, cut

CUSTOMISATION: Final = "customisation.sha256"
"""In the state folder: digest of the first-boot files that were applied, hexadecimal."""
_SERIAL_FILES: Final = ("proc/device-tree/serial-number", "sys/class/dmi/id/product_serial")


def identify(desk: Desk) -> Identity:
    """Tell who this board is; what cannot be found out is left empty."""
    config, fault = _config(desk.config_file)
    device = config.device if config is not None else None
    return Identity(
        board=cut(desk.board.name, 100),
        serial=cut(desk.serial, 100),
        firmware=cut(desk.firmware, 100),
        enrolled=is_enrolled(desk.state),
        has_claim=_has_claim(desk.state),
        device=device.id if device else "",
        site=device.site if device else "",
        customisation=cut(read_text(desk.state / CUSTOMISATION) or "", 100),
        is_running=is_running(desk.state),
        network=cut(desk.network.state(), 200),
        cameras=[camera.id for camera in config.camera] if config is not None else [],
        fault=cut(fault),
    )


def board_serial(root: Path = Path("/")) -> str:
    """Return the serial number that the board's maker gave it, empty where it tells none."""
    return next((text for text in (read_text(root / file) for file in _SERIAL_FILES) if text), "")[:64]


def _config(file: Path) -> tuple[Config | None, str]:
    if not file.exists():
        return None, ""
    try:
        return load_config(file), ""
    except PehraDeviceError as error:
        return None, str(error)


def _has_claim(state: Path) -> bool:
    try:
        return kept_ticket(state) is not None
    except StateUnavailable:
        return False
