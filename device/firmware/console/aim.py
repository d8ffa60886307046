"""Lets a technician see what a camera sees while it is turned: one small picture for each that is asked for.

The camera is open while pictures are asked for, and closed when nobody asked for a while. Masks are painted
before a picture is made: those that hold at that moment, also when the fleet adds one while somebody looks.
Nothing is written anywhere, and this module knows no way out but its return value.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from device.check.camera import focus_number
from device.errors import ConfigError, PehraDeviceError
from device.firmware.config import CameraSection, Config, load_config
from device.firmware.console.picture import Small, small_picture
from device.firmware.masks import Masks
from device.firmware.remote import ConfigStore, overlaid
from device.firmware.remote.store import FILES
from device.firmware.state_lock import is_running
from hardware.camera.capture import Capture
from hardware.camera.frame import Frame
from hardware.camera.isolated import opener_of
from hardware.camera.sharing import Order
from hardware.camera.sources import has_driver
from hardware.errors import CameraUnavailable
from ota.cable import Refused, cut

REST_S: Final = 10.0
FIRST_FRAME_S: Final = 20.0
_STEP_S: Final = 0.25
Stamp = tuple[tuple[int, ...], ...]
"""What tells that a file which says the masks is another than it was."""


@dataclass(frozen=True, slots=True)
class View:
    """A picture and what belongs to it."""

    camera: str
    small: Small
    focus: float


@dataclass(slots=True)
class _Open:
    section: CameraSection
    masks: Masks
    capture: Capture
    stamp: Stamp
    asked_s: float = 0.0
    is_outdated: bool = False


class Aim:
    """The one camera that is looked through.

    Args:
        config_file: of the device; where there is none yet, nothing is masked and `source` is looked through.
        state: the device's folder.
        source: of a board without a configuration; empty refuses.
        rest_s: seconds without a question after which the camera is closed.
    """

    def __init__(self, config_file: Path, state: Path, source: str = "", rest_s: float = REST_S) -> None:
        self._config_file = config_file
        self._state = state
        self._source = source
        self._rest_s = rest_s
        self._guard = threading.Lock()
        self._open: _Open | None = None

    def view(self, camera: str, budget: int, stop: threading.Event) -> View | Refused:
        """Return what a camera sees now.

        Args:
            camera: its id; empty for the first.
            budget: bytes that the picture should have at most.
            stop: nobody waits for it any more.
        """
        with self._guard:
            opened = self._opened(camera)
            if isinstance(opened, Refused):
                return opened
            frame = _next_frame(opened.capture, stop)
            opened.asked_s = time.monotonic()
            if frame is None:
                self._close()
                return _no_picture(opened.capture)
            refused = self._follow(opened)
            if refused is not None:
                self._close()
                return refused
            painted = opened.masks.paint(frame)
        return View(opened.section.id, small_picture(painted, budget), focus_number(painted))

    def rest(self) -> None:
        """Close the camera when nobody asked for a while; a thread that is looking is not disturbed."""
        if self._guard.acquire(blocking=False):
            try:
                if self._open is not None and time.monotonic() - self._open.asked_s >= self._rest_s:
                    self._close()
            finally:
                self._guard.release()

    def end(self) -> None:
        """Close the camera."""
        with self._guard:
            self._close()

    @property
    def is_open(self) -> bool:
        """Whether a camera is open."""
        return self._open is not None

    def _opened(self, camera: str) -> _Open | Refused:
        if self._open is not None and camera in ("", self._open.section.id) and not self._open.is_outdated:
            return self._open
        self._close()
        stamp = stamp_of(self._config_file, self._state)
        sections = sections_in_force(self._config_file, self._state, self._source)
        if isinstance(sections, Refused):
            return sections
        section = next((one for one in sections if camera in ("", one.id)), None)
        if section is None:
            there = ", ".join(one.id for one in sections)
            return Refused(code="camera", reason=cut(f"no camera {camera!r}"), todo=cut(f"there are {there}"))
        if is_running(self._state) and has_driver(section.source) and "://" not in section.source:
            return Refused(
                code="busy",
                reason="the camera's service runs and has the camera",
                todo="on the board: systemctl stop pehra-device; aim; systemctl start pehra-device",
            )
        self._open = _opened(section, stamp)
        return self._open

    def _follow(self, opened: _Open) -> Refused | None:
        """Take in the masks that hold now; other settings follow with the next picture, by opening anew."""
        stamp = stamp_of(self._config_file, self._state)
        if stamp == opened.stamp:
            return None
        sections = sections_in_force(self._config_file, self._state, self._source)
        if isinstance(sections, Refused):
            return sections
        section = next((one for one in sections if one.id == opened.section.id), None)
        if section is None:
            reason = f"camera {opened.section.id} is in the configuration no longer"
            return Refused(code="camera", reason=cut(reason), todo="ask again")
        opened.stamp, opened.masks = stamp, _masks_of(section)
        opened.is_outdated = _without_masks(section) != _without_masks(opened.section)
        return None

    def _close(self) -> None:
        if self._open is not None:
            opened, self._open = self._open, None
            opened.capture.stop()


def sections_in_force(config_file: Path, state: Path, source: str) -> list[CameraSection] | Refused:
    """Return the cameras with the masks that hold for them now, those from the fleet among them.

    What is not known for certain to be unmasked is not shown: a configuration that cannot be read refuses.
    """
    if not config_file.exists():
        if source:
            return [CameraSection(source=source)]
        todo = f"write {config_file} first, or start the console with --source"
        return Refused(code="config", reason="this board has no configuration yet", todo=cut(todo))
    try:
        return in_force(load_config(config_file), state).camera
    except (PehraDeviceError, OSError) as error:
        reason = cut(f"the masks are not known, so nothing is shown: {error}")
        return Refused(code="config", reason=reason, todo="mend the configuration: pehra device check")


def in_force(config: Config, state: Path) -> Config:
    """Return a configuration with what the fleet laid over it.

    Raises:
        ConfigError: what it laid over it cannot be read, or does not hold.
    """
    folder = state / "config"
    try:
        if not folder.exists():
            return config
        for file in folder.iterdir():
            file.open("rb").close()
    except OSError as error:
        reason = f"{error.strerror}: run the console as the user of the camera's service"
        raise ConfigError(folder, None, "", reason) from error
    store = ConfigStore(folder)
    kept = store.trial or store.good
    return overlaid(config, kept.text) if kept is not None else config


def stamp_of(config_file: Path, state: Path) -> Stamp:
    """Return what changes whenever a file is written anew that says which masks hold."""
    return tuple(_mark(file) for file in (config_file, *(state / "config" / name for name in FILES)))


def _mark(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError as error:
        return (error.errno or 0,)
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _masks_of(section: CameraSection) -> Masks:
    return Masks([mask.points for mask in section.mask])


def _without_masks(section: CameraSection) -> CameraSection:
    return msgspec.structs.replace(section, mask=[])


def _opened(section: CameraSection, stamp: Stamp) -> _Open:
    order = Order(section.source, section.width, section.height, section.fps, loop=section.loop)
    capture = Capture(opener_of(order, own_process=section.process))
    capture.start()
    return _Open(section, _masks_of(section), capture, stamp, time.monotonic())


def _next_frame(capture: Capture, stop: threading.Event) -> Frame | None:
    end_s = time.monotonic() + FIRST_FRAME_S
    while time.monotonic() < end_s and not stop.is_set():
        frame = capture.newest(_STEP_S)
        if frame is not None or capture.state != "ok":
            return frame
    return None


def _no_picture(capture: Capture) -> Refused:
    error: CameraUnavailable | None = capture.last_error
    if error is None:
        return Refused(
            code="camera", reason="the camera gives no picture", todo="look at its cable: docs/cameras.md"
        )
    todo = cut(error.what_to_do)
    if "busy" in error.reason.lower():
        todo = "another program has it: systemctl stop pehra-device, aim, then start it again"
    return Refused(code="camera", reason=cut(f"camera {error.source}: {error.reason}"), todo=todo)
