"""The device's configuration: one frozen tree, read once from a TOML file.

Every mistake is reported with the file, the line and the path of the key. Nothing here opens a camera, a
socket or a model; whether a source exists is found out by whoever opens it.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from device.errors import ConfigError
from device.firmware.geometry import line_fault, polygon_fault
from device.firmware.toml_lines import line_of
from device.models.bundle import load_bundle
from device.models.labels import CLASSES, classes_of
from ota.messages.fields import DeviceId, Name, Point
from ota.messages.structs import Severity

CAMERA_WORDS: Final = frozenset({"street", "webcam", "picamera2"})
MAX_CONFIG_BYTES: Final = 256 * 1024
HOST_PATTERN: Final = (
    r"^([A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:]+)$"
)
_IN_WORDS: Final = (
    ("[0-9A-Fa-f:]+", "a host is a name such as fleet.example.org, or an IP address"),
    ("{2,39}", "an id is 3 to 40 of a-z, 0-9 and '-', and does not start with '-'"),
    ("{0,39}", "a name is 1 to 40 of a-z, 0-9 and '-', and does not start with '-'"),
    ("(/[a-z0-9-]+)*", "a site is a path of a-z, 0-9 and '-', such as lahore/gulberg/liberty-chowk"),
)
"""Regular expressions of msgspec's errors, said for people."""

Positive = Annotated[float, Meta(gt=0)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; an unknown key is a mistake."""


class DeviceSection(_Section, frozen=True, kw_only=True):
    """Who this device is and where it hangs.

    Attributes:
        id: 3 to 40 of a-z, 0-9 and '-'.
        site: slash path such as `lahore/gulberg/liberty-chowk`.
        timezone: IANA name of the site's timezone.
        state: folder for everything that is written; default `/var/lib/pehra`.
    """

    id: DeviceId
    site: Annotated[str, Meta(pattern=r"^([a-z0-9-]+(/[a-z0-9-]+)*)?$", max_length=200)] = ""
    timezone: str = "UTC"
    state: str = "/var/lib/pehra"


class MqttSection(_Section, frozen=True, kw_only=True):
    """Where the broker is (see `LinkSettings`)."""

    host: Annotated[str, Meta(pattern=HOST_PATTERN, max_length=253)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    username: str = ""
    password: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    keepalive_s: Annotated[int, Meta(ge=5, le=300)] = 20
    resend_s: Annotated[float, Meta(ge=0.2, le=3600)] = 30.0


class ModelSection(_Section, frozen=True, kw_only=True):
    """Which detector looks.

    Attributes:
        name: a shipped model's name, a bundle folder or a `.tflite` file.
        conf: smallest score of a detection; the card's own where absent.
        threads: of the interpreter.
    """

    name: Annotated[str, Meta(min_length=1)] = "street-2"
    conf: Annotated[float, Meta(gt=0, lt=1)] | None = None
    threads: Annotated[int, Meta(ge=1, le=16)] = 1


class MotionSection(_Section, frozen=True, kw_only=True):
    """The motion gate (see `MotionSettings`)."""

    enabled: bool = True
    hold_s: Positive = 1.0
    max_skip_s: Positive = 5.0


class RuleSection(_Section, frozen=True, kw_only=True):
    """What to notice.

    Attributes:
        name: unique on its camera.
        kind: `zone` (a polygon: enter, exit, dwell) or `line` (two points: crossings).
        points: x, y in 0..1 from the top left.
        classes: which classes count; all where absent.
        dwell_s: for a zone: staying this long is an event.
        sev: `low`, `medium` or `high`.
        events: false counts without an event for each object.
    """

    name: Name
    kind: Literal["zone", "line"]
    points: Annotated[list[Point], Meta(min_length=2, max_length=64)]
    classes: list[str] = []
    dwell_s: Positive | None = None
    sev: Severity = "low"
    events: bool = True


class CameraSection(_Section, frozen=True, kw_only=True):
    """One image source.

    Attributes:
        id: `cam0`, `cam1`, ...
        source: `street`, `webcam`, `picamera2`, a file, an `rtsp://` address (docs/cameras.md).
        width: pixels to ask of the driver; even.
        height: pixels to ask of the driver; even.
        fps: frames a second to look at.
        loop: play a file again and again.
        every_frame: look at every frame of a file, however slow.
    """

    id: Name = "cam0"
    source: Annotated[str, Meta(min_length=1)]
    width: Annotated[int, Meta(ge=32, le=4096, multiple_of=2)] = 640
    height: Annotated[int, Meta(ge=32, le=4096, multiple_of=2)] = 480
    fps: Annotated[float, Meta(gt=0, le=120)] = 10.0
    loop: bool = False
    every_frame: bool = False
    motion: MotionSection = MotionSection()
    rule: Annotated[list[RuleSection], Meta(max_length=64)] = []


class Config(_Section, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        device: who.
        mqtt: to whom.
        model: with what.
        camera: through which eyes.
        health_s: seconds between health messages; the fleet declares a device offline after 50 s of silence.
    """

    device: DeviceSection
    mqtt: MqttSection
    camera: Annotated[list[CameraSection], Meta(min_length=1, max_length=8)]
    model: ModelSection = ModelSection()
    health_s: Annotated[float, Meta(ge=1, le=20)] = 20.0

    def sha256(self) -> str:
        """Return the digest of what the configuration says, secrets and order of keys aside."""
        bare = msgspec.structs.replace(self, mqtt=msgspec.structs.replace(self.mqtt, password=""))
        return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


def load_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: with file, line and path; unreadable, too large, not TOML, or a value is not allowed.
    """
    try:
        size = path.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise ConfigError(path, None, "", f"{size} bytes; a configuration has at most {MAX_CONFIG_BYTES}")
        text = path.read_text("utf-8")
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); see device.example.toml for a start"
        raise ConfigError(path, None, "", reason) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, None, "", "not UTF-8 text") from error
    config = parse_config(text, path)
    for key, file in (("ca", config.mqtt.ca), ("cert", config.mqtt.cert), ("key", config.mqtt.key)):
        if file and not os.access(file, os.R_OK):
            where = f"mqtt.{key}"
            raise ConfigError(path, line_of(text, where), where, f"{file} is not there or cannot be read")
    return config


def parse_config(text: str, path: Path) -> Config:
    """Check the text of a configuration; `path` only names it in errors.

    Raises:
        ConfigError: not TOML, or a value is not allowed.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        raise ConfigError(path, int(found[1]) if found else None, "", f"not TOML: {error}") from error
    try:
        config = msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        reason = next((words for mark, words in _IN_WORDS if mark in reason), reason)
        key = where.rstrip("`").lstrip(".")
        unknown = re.search(r"unknown field `(.+?)`", reason)
        reason = _with_words(reason, key)
        full = ".".join(part for part in (key, unknown[1] if unknown else "") if part)
        raise ConfigError(path, line_of(text, full), full, reason) from error
    for key, reason in _faults(config):
        raise ConfigError(path, line_of(text, key), key, reason)
    return config


def _with_words(reason: str, key: str) -> str:
    """Add the allowed words to an error about a word."""
    allowed = {"sev": "low, medium, high", "kind": "zone, line"}.get(key.rpartition(".")[2], "")
    return f"{reason}; there are {allowed}" if allowed and "enum" in reason else reason


def check_named_things(config: Config, path: Path) -> None:
    """Check what a configuration names beside itself: the model, its classes, the sources.

    Args:
        config: a good configuration.
        path: its file, for the line in an error.

    Raises:
        ConfigError: a rule waits for a class that the model cannot see, or a source is no file and no camera.
        ModelUnavailable: there is no such model.
        ModelRefused: it is no int8 model.
    """
    bundle = load_bundle(config.model.name, int8_only=True)
    seen = {CLASSES[cls] for cls in classes_of(bundle.card.labels) if cls >= 0}
    text = path.read_text("utf-8")
    for number, camera in enumerate(config.camera):
        where = f"camera[{number}]"
        if not _is_source(camera.source):
            reason = f"no camera and no file is called {camera.source!r}; see docs/cameras.md for the words"
            raise ConfigError(path, line_of(text, f"{where}.source"), f"{where}.source", reason)
        for index, rule in enumerate(camera.rule):
            unseen = sorted(set(rule.classes) - seen)
            if unseen:
                key = f"{where}.rule[{index}].classes"
                reason = f"{config.model.name} cannot see {', '.join(unseen)}: the rule would stay silent"
                raise ConfigError(path, line_of(text, key), key, reason)


def _is_source(source: str) -> bool:
    word = source.partition(":")[0]
    return "://" in source or word in CAMERA_WORDS or Path(source).exists()


def _faults(config: Config) -> list[tuple[str, str]]:
    faults = []
    try:
        ZoneInfo(config.device.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(("device.timezone", f"no timezone {config.device.timezone!r}, try 'Asia/Karachi'"))
    if bool(config.mqtt.cert) != bool(config.mqtt.key):
        faults.append(("mqtt.cert", "a certificate needs its key, and a key its certificate"))
    if config.mqtt.cert and not config.mqtt.ca:
        faults.append(("mqtt.cert", "a certificate is used with TLS only: give the broker's ca too"))
    faults += _repeated([camera.id for camera in config.camera], "camera[{}].id", "camera")
    for number, camera in enumerate(config.camera):
        where = f"camera[{number}].rule"
        faults += _repeated([rule.name for rule in camera.rule], where + "[{}].name", "rule")
        for index, rule in enumerate(camera.rule):
            faults += [(f"{where}[{index}].{key}", reason) for key, reason in _rule_faults(rule)]
    return faults


def _repeated(names: list[str], where: str, what: str) -> list[tuple[str, str]]:
    return [
        (where.format(number), f"another {what} is called {name!r} already")
        for number, name in enumerate(names)
        if name in names[:number]
    ]


def _rule_faults(rule: RuleSection) -> list[tuple[str, str]]:
    faults = []
    fault = polygon_fault(rule.points) if rule.kind == "zone" else line_fault(rule.points)
    if fault:
        faults.append(("points", fault))
    faults += [
        ("classes", f"no class {cls!r}; there are {', '.join(CLASSES)}")
        for cls in rule.classes
        if cls not in CLASSES
    ]
    if rule.dwell_s is not None and rule.kind == "line":
        faults.append(("dwell_s", "only a zone can be dwelt in"))
    return faults
