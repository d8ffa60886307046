"""What `pehra detect` looks at: photos, folders, videos and cameras as one stream of frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardware.camera.frame import Frame
from hardware.camera.pictures import BadPicture, read_pictures
from hardware.camera.sources import open_camera

_CAMERA_SIZE = (640, 480)
_CAMERA_FPS = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """One frame of a source.

    Attributes:
        source: Path of the file, or the camera as it was asked for.
        number: Of the frame in its source, from 0.
        ts_s: Seconds since the source's first frame.
        frame: The picture.
    """

    source: str
    number: int
    ts_s: float
    frame: Frame


def is_camera(source: str) -> bool:
    """Whether a source is a camera rather than something on disk."""
    if Path(source).exists():
        return source.startswith("/dev/video")
    return "://" in source or source.partition(":")[0] in ("street", "webcam", "picamera2", "jetson")


def looks(source: str, stop: threading.Event) -> Iterator[Look | BadPicture]:
    """The frames of one source, in order, and what of it could not be read.

    Args:
        source: A photo, a video, a folder of both, or a camera.
        stop: Ends a camera.

    Raises:
        CameraUnavailable: There is no such source.
    """
    yield from _of_camera(source, stop) if is_camera(source) else _of_files(source)


def _of_files(source: str) -> Iterator[Look | BadPicture]:
    for number, picture in enumerate(read_pictures(source)):
        if isinstance(picture, BadPicture):
            yield picture
            continue
        height, width = picture.pixels.shape[:2]
        frame = Frame(picture.pixels, "rgb", width, height, time.monotonic(), time.time(), number)
        yield Look(picture.source, picture.index, picture.ts_s, frame)


def _of_camera(source: str, stop: threading.Event) -> Iterator[Look]:
    width, height = _CAMERA_SIZE
    camera = open_camera(source, width=width, height=height, fps=_CAMERA_FPS)
    began_s: float | None = None
    try:
        for frame in camera.frames(stop):
            began_s = frame.mono_s if began_s is None else began_s
            yield Look(camera.name, frame.seq, frame.mono_s - began_s, frame)
    finally:
        camera.close()
