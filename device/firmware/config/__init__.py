"""The device's configuration: one frozen tree, read once from a TOML file.

Open `tree.py` first: the whole file. Each section has its module (`device.py`, `camera.py`, `rule.py`);
`reading.py` reads and checks the text, `named.py` what it names beside itself, `enrolling.py` whether a
ticket may be spent with it. Every mistake is reported with
the file, the line and the path of the key. Nothing here opens a camera, a socket or a model's interpreter;
whether a source delivers is found out by whoever opens it.
"""

from device.firmware.config.camera import CameraSection, MotionSection
from device.firmware.config.device import (
    HOST_PATTERN,
    ConsoleSection,
    DeviceSection,
    ModelSection,
    MqttSection,
    OutboxSection,
    RemoteSection,
)
from device.firmware.config.enrolling import load_alone, ticket_for
from device.firmware.config.mask import MaskSection
from device.firmware.config.named import CAMERA_WORDS, check_model, check_named_things
from device.firmware.config.reading import MAX_CONFIG_BYTES, config_of, load_config, parse_config, read_table
from device.firmware.config.rule import RuleSection
from device.firmware.config.tree import Config
from device.firmware.config.update import UpdateSection
from device.firmware.config.view import ViewSection

__all__ = [
    "CAMERA_WORDS",
    "HOST_PATTERN",
    "MAX_CONFIG_BYTES",
    "CameraSection",
    "Config",
    "ConsoleSection",
    "DeviceSection",
    "MaskSection",
    "ModelSection",
    "MotionSection",
    "MqttSection",
    "OutboxSection",
    "RemoteSection",
    "RuleSection",
    "UpdateSection",
    "ViewSection",
    "check_model",
    "check_named_things",
    "config_of",
    "load_alone",
    "load_config",
    "parse_config",
    "read_table",
    "ticket_for",
]
