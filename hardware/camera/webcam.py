"""A USB or built-in camera through V4L2 (OpenCV); Linux only, frames at the size that the device gives."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2

from hardware.camera.frame import Frame, Pixels
from hardware.camera.rate import Rate
from hardware.errors import CameraUnavailable

_WHAT_TO_DO = "look at the cable, run `ls /dev/video*`, and see that no other program uses it"


class CaptureDevice(Protocol):
    """The part of `cv2.VideoCapture` that is used."""

    def isOpened(self) -> bool:
        """Whether the device could be opened."""

    def read(self) -> tuple[bool, Pixels | None]:
        """Wait for the next frame: whether there is one, and its (H, W, 3) uint8 BGR pixels."""

    def set(self, prop: int, value: float) -> bool:
        """Ask for a property; the device may refuse."""

    def release(self) -> None:
        """Close the device."""


def open_webcam(source: str, *, width: int, height: int, fps: float) -> WebcamCamera:
    """Open `webcam`, `webcam:N` or `/dev/videoN`.

    Raises:
        CameraUnavailable: If the name makes no sense, there is no such device, or it is in use.
    """
    number = source.removeprefix("/dev/video").removeprefix("webcam").removeprefix(":") or "0"
    if not number.isdecimal():
        raise CameraUnavailable(source, f"{number!r} is no camera number", "write it like webcam:0")
    device = Path(f"/dev/video{int(number)}")
    if not device.exists():
        raise CameraUnavailable(source, f"there is no {device}", _WHAT_TO_DO)
    capture: CaptureDevice = cv2.VideoCapture(int(number), cv2.CAP_V4L2)
    return WebcamCamera(source, capture, width=width, height=height, fps=fps)


class WebcamCamera:
    """An opened V4L2 device as a camera.

    Args:
        source: Its name.
        device: The opened device.
        width: Pixels across to ask for; the device may choose others.
        height: Pixels down to ask for.
        fps: Frames per second to ask for; more are not given.

    Raises:
        CameraUnavailable: If the device is not open.
    """

    is_live = True

    def __init__(self, source: str, device: CaptureDevice, *, width: int, height: int, fps: float) -> None:
        self.name = source
        self._device = device
        self._fps = fps
        if not device.isOpened():
            device.release()
            raise CameraUnavailable(source, "it cannot be opened", _WHAT_TO_DO)
        # MJPEG first: uncompressed pictures of useful sizes do not fit through USB 2 at useful rates.
        device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        device.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        device.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        device.set(cv2.CAP_PROP_FPS, fps)
        device.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Yield frames until `stop` is set.

        Raises:
            CameraUnavailable: If the device gives no frame; OpenCV waits 10 s for one.
        """
        seq, rate = 0, Rate(self._fps)
        while not stop.is_set():
            is_read, bgr = self._device.read()
            mono_s, utc_s = time.monotonic(), time.time()
            if not is_read or bgr is None:
                raise CameraUnavailable(self.name, "it gives no more frames", _WHAT_TO_DO)
            if not rate.lets_through(mono_s):
                continue
            rgb: Pixels = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            yield Frame(rgb, "rgb", rgb.shape[1], rgb.shape[0], mono_s=mono_s, utc_s=utc_s, seq=seq)
            seq += 1

    def close(self) -> None:
        """Close the device."""
        self._device.release()
