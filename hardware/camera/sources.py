"""Turns a source string into an opened camera; the grammar is this module, the work is the drivers'.

`street[:key=value,...]`, `webcam[:N]`, `/dev/videoN`, `picamera2[:N]`, `jetson[:N]`, an rtsp, http or tcp
URL, or else the path of a video or photo file.
"""

from __future__ import annotations

import re

from hardware.camera.camera import Camera
from hardware.errors import CameraUnavailable

DRIVER_WORDS = frozenset({"webcam", "picamera2", "jetson"})
"""First words of the sources that are a piece of hardware."""

_ADDRESS = re.compile(r"[a-z]{2,}:/|(?:rtsps?|https?|tcp):", re.IGNORECASE)


def open_camera(
    source: str,
    *,
    width: int = 640,
    height: int = 480,
    fps: float = 10.0,
    every_frame: bool = False,
    loop: bool = False,
) -> Camera:
    """Open the camera that a source string names; a driver's library is imported only when chosen.

    Args:
        source: See this module's first paragraph.
        width: Pixels across, above 0; files and streams fit into width x height and keep their shape.
        height: Pixels down, above 0.
        fps: Most frames per second, above 0.
        every_frame: Files and the street: give every frame, as fast as frames are taken.
        loop: Files: begin again at the end.

    Raises:
        CameraUnavailable: If it cannot be opened; says what to do.
    """
    if width < 2 or height < 2 or not fps > 0:
        raise CameraUnavailable(
            shown(source), f"{width}x{height} at {fps} fps is no picture", "set width, height and fps"
        )
    kind = source.partition(":")[0]
    if kind == "street":
        from hardware.camera.street_camera import StreetCamera

        return StreetCamera(source, width=width, height=height, fps=fps, every_frame=every_frame)
    if kind == "webcam" or source.startswith("/dev/video"):
        from hardware.camera.webcam import open_webcam

        return open_webcam(source, width=width, height=height, fps=fps)
    if kind == "picamera2":
        from hardware.camera.picamera import PiCamera

        return PiCamera(source, width=width, height=height, fps=fps)
    if kind == "jetson":
        from hardware.camera.jetson import open_jetson

        return open_jetson(source, width=width, height=height, fps=fps)
    if _is_address(source):
        return _open_stream(source, width, height, fps)
    from hardware.camera.file import FileCamera, Reading

    return FileCamera(source, Reading((width, height), fps, every_frame=every_frame, loop=loop))


def has_driver(source: str) -> bool:
    """Whether a source is a piece of hardware or a network's camera, whose driver can hang or crash."""
    kind = source.partition(":")[0]
    return kind in DRIVER_WORDS or source.startswith("/dev/video") or _is_address(source)


def shown(source: str) -> str:
    """A source for people and logs: an address without its login, anything else as it is."""
    if not _is_address(source):
        return source
    from hardware.camera.stream import masked

    return masked(source)


def _is_address(source: str) -> bool:
    """Whether it is a URL, or meant as one (`rtsp:/...`): a file's path is hardly written so."""
    return "://" in source or _ADDRESS.match(source) is not None


def _open_stream(source: str, width: int, height: int, fps: float) -> Camera:
    from hardware.camera.stream import SCHEMES, StreamCamera, masked

    if not source.lower().startswith(SCHEMES):
        raise CameraUnavailable(
            masked(source), "this kind of address is not read", f"use one of {' '.join(SCHEMES)}"
        )
    return StreamCamera(source, size=(width, height), fps=fps)
