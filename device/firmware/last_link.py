"""The way to the fleet that worked last, kept for the day on which the configuration is broken."""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from device.firmware.config import Config, DeviceSection, MqttSection
from ota.whole import write_private

_log = logging.getLogger(__name__)

LAST_LINK_FILE: Final = "last-link.json"


class LastLink(msgspec.Struct, frozen=True):
    """Who the device is, and how it reached the fleet; holds the password: the file is its owner's alone."""

    device: DeviceSection
    mqtt: MqttSection

    def config(self) -> Config:
        """A configuration without cameras: enough to speak."""
        return Config(device=self.device, mqtt=self.mqtt, camera=[])


def keep_link(config: Config) -> None:
    """Note that a link works; written only when it is another than before."""
    link = LastLink(config.device, config.mqtt)
    folder = Path(config.device.state)
    if link != kept_link(folder):
        try:
            write_private(folder / LAST_LINK_FILE, msgspec.json.encode(link))
        except OSError as error:
            _log.warning("the last link cannot be written error=%r", str(error))


def kept_link(folder: Path) -> LastLink | None:
    """The link that was noted last in a state folder, if one was and it can be read."""
    try:
        return msgspec.json.decode((folder / LAST_LINK_FILE).read_bytes(), type=LastLink)
    except (OSError, ValueError):
        return None


def state_folder(config_file: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the state of a broken configuration probably lies: as it says, as systemd says, or as usual."""
    try:
        said = tomllib.loads(config_file.read_text("utf-8")).get("device", {}).get("state")
        if isinstance(said, str) and said:
            return Path(said)
    except (OSError, ValueError, AttributeError):
        pass
    return Path(environment.get("STATE_DIRECTORY", "").partition(":")[0] or DeviceSection(id="any").state)


def names_broker(config_file: Path) -> bool:
    """Whether a configuration says by itself where the broker is; true also where it cannot be read."""
    try:
        table = tomllib.loads(config_file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return True
    mqtt = table.get("mqtt")
    return not isinstance(mqtt, dict) or "host" in mqtt if "mqtt" in table else False
