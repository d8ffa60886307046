"""What the demo is going to run: options, and the configuration of each of its cameras.

Checks everything that a person can get wrong before anything is started.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.errors import ModelRefused, ModelUnavailable
from device.models.bundle import load_bundle
from hardware.camera.sources import open_camera
from hardware.errors import CameraUnavailable
from pehra.demo.processes import is_port_free

TIMEZONE: Final = "Asia/Karachi"
SIZE: Final = (640, 480)
STREET_FPS: Final = 8.0
CAMERAS: Final = 4
"""How many run unless asked otherwise."""

START_S: Final = 60.0
START_CAMERA_S: Final = 5.0
POLL_S: Final = 0.1
NIGHT_EVERY: Final = 4
SITES: Final = (
    "gulberg/liberty-chowk",
    "gulberg/main-boulevard",
    "saddar/mall-road",
    "johar-town/canal-road",
)

STREET_LINE: Final = "street-line"
STREET_LINE_POINTS: Final = ((0.3, 0.15), (0.3, 1.0))
"""Across road and pavements, beside the zebra crossing: where people wait and turn is no place to count."""

STREET_RULES: Final = f"""
[[camera.rule]]
name = "{STREET_LINE}"
kind = "line"
points = {[list(point) for point in STREET_LINE_POINTS]}

[[camera.rule]]
name = "near-side"
kind = "zone"
points = [[0.05, 0.6], [0.95, 0.6], [0.95, 1.0], [0.05, 1.0]]
dwell_s = 6
"""
PICTURE_RULES: Final = """
[[camera.rule]]
name = "across"
kind = "line"
points = [[0.0, 0.6], [1.0, 0.6]]

[[camera.rule]]
name = "along"
kind = "line"
points = [[0.5, 0.0], [0.5, 1.0]]

[[camera.rule]]
name = "centre"
kind = "zone"
points = [[0.2, 0.3], [0.8, 0.3], [0.8, 1.0], [0.2, 1.0]]
dwell_s = 5
"""


class CannotStart(Exception):
    """Something that a person must mend first; the sentence says what."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the person asked for.

    Attributes:
        cameras: how many, from 1; None for the usual number of this source.
        duration_s: end by itself after this; None runs until Ctrl-C.
        port: of the console.
        source: a camera source for all cameras instead of the simulated street, or empty.
        model: name or file of the detector.
        is_secure: mutual TLS, claims and roles, as in the field.
    """

    cameras: int | None
    duration_s: float | None
    port: int
    source: str
    model: str
    is_secure: bool = False

    @property
    def url(self) -> str:
        """Where the console will be."""
        return f"https://localhost:{self.port}" if self.is_secure else f"http://127.0.0.1:{self.port}"

    @property
    def is_one_device(self) -> bool:
        """Whether the source is a thing on this machine that only one program can open."""
        kind = self.source.partition(":")[0]
        return kind in ("webcam", "picamera2", "jetson") or self.source.startswith("/dev/video")

    @property
    def camera_count(self) -> int:
        """How many cameras run."""
        return self.cameras or (1 if self.is_one_device else CAMERAS)

    @property
    def start_s(self) -> float:
        """How long the parts may take to come up: every camera is a process of its own on one machine."""
        return START_S + START_CAMERA_S * self.camera_count


def check(options: DemoOptions, stop: threading.Event) -> None:
    """Make sure that the demo can start; return early when `stop` is set.

    Raises:
        CannotStart: the port is taken, the model cannot be used, or the source gives no picture, or gives it
            to fewer cameras than were asked for.
    """
    if options.is_one_device and options.camera_count > 1:
        raise CannotStart(
            f"source {options.source}: one camera cannot be opened {options.camera_count} times: "
            "leave --cameras out, or set it to 1"
        )
    if not is_port_free(options.port):
        raise CannotStart(
            f"port {options.port} is in use: end what listens there, or choose another with --port"
        )
    try:
        load_bundle(options.model, int8_only=True)
    except (ModelUnavailable, ModelRefused) as error:
        raise CannotStart(str(error)) from error
    if options.source:
        _check_source(options.source, stop)


def camera_config(options: DemoOptions, number: int, head: str) -> str:
    """Return the TOML text of one camera's device, numbered from 1; `head` says who it is."""
    street = street_source(options, number)
    return f"""\
health_s = 5

{head}
[model]
name = {_quoted(options.model)}

[[camera]]
id = "cam0"
source = {_quoted(street or options.source)}
width = {SIZE[0]}
height = {SIZE[1]}
fps = {STREET_FPS}
loop = {"false" if street else "true"}
{STREET_RULES if street else PICTURE_RULES}"""


def head_with_password(number: int, folder: Path, broker_port: int, password: str) -> str:
    """Return the sections that say who a device is and how it logs in at the broker."""
    device = device_id(number)
    return f"""\
[device]
id = "{device}"
site = "{site_of(number)}"
timezone = "{TIMEZONE}"
state = {_quoted(str(folder / device))}

[mqtt]
host = "127.0.0.1"
port = {broker_port}
username = "{device}"
password = "{password}"
"""


def head_to_enrol(number: int, folder: Path) -> str:
    """Return the section of a device that is told by its fleet who it is."""
    return f"[device]\nstate = {_quoted(str(folder / device_id(number)))}\n"


def site_of(number: int) -> str:
    """Return where the demo's n-th device hangs, numbered from 1."""
    return f"lahore/{SITES[(number - 1) % len(SITES)]}"


def street_source(options: DemoOptions, number: int) -> str:
    """Return the simulated street of a camera, numbered from 1; empty if it looks at something else."""
    if options.source:
        return options.source if options.source.partition(":")[0] == "street" else ""
    return f"street:seed={number}{',night=1' if number % NIGHT_EVERY == 0 else ''}"


def device_id(number: int) -> str:
    """Return the id of the demo's n-th device, numbered from 1."""
    return f"demo-{number:02d}"


def _check_source(source: str, stop: threading.Event) -> None:
    """Take one picture in a thread of its own: an address that does not answer would hold back Ctrl-C."""
    trouble: list[CannotStart] = []

    def look() -> None:
        try:
            _take_picture(source, stop)
        except CannotStart as error:
            trouble.append(error)

    looking = threading.Thread(target=look, name="check", daemon=True)
    looking.start()
    while looking.is_alive() and not stop.is_set():
        looking.join(POLL_S)
    if trouble and not stop.is_set():
        raise trouble[0]


def _take_picture(source: str, stop: threading.Event) -> None:
    try:
        camera = open_camera(source, width=SIZE[0], height=SIZE[1], fps=STREET_FPS)
        try:
            if next(iter(camera.frames(stop)), None) is None:
                raise CannotStart(f"source {source}: it gives no picture")
        finally:
            camera.close()
    except CameraUnavailable as error:
        raise CannotStart(str(error)) from error


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
