"""The whole configuration, and what its parts must be to each other."""

from __future__ import annotations

import hashlib
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from device.firmware.config.camera import CameraSection
from device.firmware.config.device import (
    ConsoleSection,
    DeviceSection,
    ModelSection,
    MqttSection,
    OutboxSection,
    RemoteSection,
)
from device.firmware.config.mask import mask_faults
from device.firmware.config.rule import rule_faults
from device.firmware.config.section import Section
from device.firmware.config.update import UpdateSection
from ota.errors import BadWindow
from ota.windows import parse_window


class Config(Section, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        device: who.
        mqtt: to whom.
        model: with what.
        camera: through which eyes.
        outbox: how much waits for the fleet.
        remote: what the fleet may do.
        console: whether a cable is answered.
        update: how releases are installed.
        health_s: seconds between health messages; the fleet declares a device offline after 50 s of silence.
    """

    device: DeviceSection
    mqtt: MqttSection
    camera: Annotated[list[CameraSection], Meta(min_length=1, max_length=8)]
    model: ModelSection = ModelSection()
    outbox: OutboxSection = OutboxSection()
    remote: RemoteSection = RemoteSection()
    console: ConsoleSection = ConsoleSection()
    update: UpdateSection = UpdateSection()
    health_s: Annotated[float, Meta(ge=1, le=20)] = 20.0

    def sha256(self) -> str:
        """Return the digest of what the configuration says, secrets and order of keys aside."""
        bare = msgspec.structs.replace(self, mqtt=msgspec.structs.replace(self.mqtt, password=""))
        return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


def config_faults(config: Config) -> list[tuple[str, str]]:
    """Return what is wrong beyond single values, as path of the key and reason."""
    faults = []
    try:
        ZoneInfo(config.device.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(("device.timezone", f"no timezone {config.device.timezone!r}, try 'Asia/Karachi'"))
    try:
        parse_window(config.update.download_window)
    except BadWindow as error:
        faults.append(("update.download_window", error.reason))
    if bool(config.mqtt.cert) != bool(config.mqtt.key):
        faults.append(("mqtt.cert", "a certificate needs its key, and a key its certificate"))
    if config.mqtt.cert and not config.mqtt.ca:
        faults.append(("mqtt.cert", "a certificate is used with TLS only: give the broker's ca too"))
    faults += _repeated([camera.id for camera in config.camera], "camera[{}].id", "camera")
    for number, camera in enumerate(config.camera):
        where = f"camera[{number}].rule"
        faults += _repeated([rule.name for rule in camera.rule], where + "[{}].name", "rule")
        for index, rule in enumerate(camera.rule):
            faults += [(f"{where}[{index}].{key}", reason) for key, reason in rule_faults(rule, camera.rule)]
        masks = f"camera[{number}].mask"
        faults += _repeated([mask.name for mask in camera.mask], masks + "[{}].name", "mask")
        faults += [(masks + key, reason) for key, reason in mask_faults(camera.mask)]
    return faults


def _repeated(names: list[str], where: str, what: str) -> list[tuple[str, str]]:
    return [
        (where.format(number), f"another {what} is called {name!r} already")
        for number, name in enumerate(names)
        if name in names[:number]
    ]
