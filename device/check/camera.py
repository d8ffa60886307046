"""One camera for a few seconds: size, frames a second, brightness, sharpness. Keeps and sends no picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from device.check.finding import Finding, ok, warn
from device.check.finding import fail as failed
from device.firmware.config import CameraSection
from hardware.camera.camera import Camera
from hardware.camera.frame import Frame
from hardware.errors import CameraUnavailable

LOOK_S: Final = 3.0
SLOW_SHARE: Final = 0.7
DARK, BRIGHT = 25.0, 235.0
"""Mean brightness (0..255) outside of which a lens is covered, or the exposure wrong."""
FLAT: Final = 4.0
"""Focus numbers below this are of a picture without an edge."""


@dataclass(slots=True)
class Glance:
    """What was seen in a few seconds.

    Attributes:
        frames: how many came.
        size: width and height of the last, pixels.
        began_s: monotonic time of the first.
        ended_s: of the last.
        brightness: mean of the last, 0..255.
        focus: of the last; see :func:`focus_number`.
    """

    frames: int = 0
    size: tuple[int, int] = (0, 0)
    began_s: float = 0.0
    ended_s: float = 0.0
    brightness: float = 0.0
    focus: float = 0.0

    @property
    def fps(self) -> float:
        """Frames per second between the first and the last."""
        took_s = self.ended_s - self.began_s
        return (self.frames - 1) / took_s if self.frames > 1 and took_s > 0 else 0.0


def look_at_camera(
    section: CameraSection, open_it: Callable[[], Camera], stop: threading.Event, look_s: float = LOOK_S
) -> Iterator[Finding]:
    """Open a camera and look for some seconds.

    Args:
        section: what was asked of it.
        open_it: opens it.
        stop: the time is over.
        look_s: seconds to look, from the first frame.
    """
    name = f"camera: {section.id}"
    try:
        with closing(open_it()) as camera:
            glance, is_live = glance_at(camera, stop, look_s), camera.is_live
    except CameraUnavailable as error:
        yield failed(name, error.reason, error.what_to_do)
        return
    if not stop.is_set():
        yield judge(name, section, glance, is_live=is_live)


def glance_at(camera: Camera, stop: threading.Event, look_s: float) -> Glance:
    """Take frames for some seconds.

    Raises:
        CameraUnavailable: it gives none, or stopped.
    """
    glance, last = Glance(), None
    frames = camera.frames(stop)
    for frame in frames:
        last = frame
        glance.began_s = glance.began_s or frame.mono_s
        glance.ended_s = frame.mono_s
        glance.frames += 1
        if time.monotonic() - glance.began_s >= look_s:
            break
    if last is not None:
        _measure(glance, last)
    return glance


def focus_number(frame: Frame) -> float:
    """Return the variance of the Laplacian of the brightness (Pech-Pacheco and others, 2000).

    It has no scale: of one scene, the sharpest lens position has the largest.
    """
    return float(cv2.Laplacian(np.ascontiguousarray(frame.luma), cv2.CV_64F).var())


def judge(name: str, section: CameraSection, glance: Glance, *, is_live: bool) -> Finding:
    """Turn a glance into a line."""
    if not glance.frames:
        return failed(name, "it gives no picture", "look at the camera and its cable: docs/cameras.md")
    width, height = glance.size
    said = (
        f"{width}x{height}, {glance.fps:.1f} fps, brightness {glance.brightness:.0f} of 255, "
        f"focus {glance.focus:.0f}"
    )
    doubt = _doubt(section, glance, is_live=is_live)
    return warn(name, f"{said}: {doubt[0]}", doubt[1]) if doubt else ok(name, said)


def _doubt(section: CameraSection, glance: Glance, *, is_live: bool) -> tuple[str, str] | None:
    """What somebody should look at, and what to do."""
    wanted = (section.width, section.height)
    doubts = (
        (glance.brightness < DARK, "dark", "take the cap off, or look whether it is night there"),
        (glance.brightness > BRIGHT, "too bright", "turn it away from the sun or the lamp"),
        (glance.focus < FLAT, "without an edge", "clean the lens, turn it until focus is largest"),
        (
            is_live and glance.fps < SLOW_SHARE * section.fps,
            f"slower than {section.fps:g} fps",
            "more light, or a smaller size or fps",
        ),
        (
            is_live and glance.size != wanted,
            f"{wanted[0]}x{wanted[1]} was asked",
            "set the size that it gives",
        ),
    )
    return next(((words, way) for is_so, words, way in doubts if is_so), None)


def _measure(glance: Glance, frame: Frame) -> None:
    glance.size = (frame.width, frame.height)
    glance.brightness = float(frame.luma.mean())
    glance.focus = focus_number(frame)
