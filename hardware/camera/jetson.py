"""A CSI camera of an NVIDIA Jetson: nvarguscamerasrc through OpenCV's GStreamer, frames as I420.

`jetson[:N[,sensor=WxH@F]]`: camera N (default 0), the sensor's mode (default by the shape that is wanted).
The image processor makes the picture small before it comes to the CPU. Written from NVIDIA's and OpenCV's
documentation and tested against a device in memory: no Jetson was at hand.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import cv2

from hardware.camera.frame import Frame, Layout, Pixels
from hardware.camera.rate import Rate
from hardware.camera.webcam import CaptureDevice
from hardware.errors import CameraUnavailable

_GRAMMAR = re.compile(
    r"jetson(?::(?P<id>[0-9]{1,2})(?:,sensor=(?P<w>[0-9]{2,5})x(?P<h>[0-9]{2,5})@(?P<fps>[0-9]{1,3}))?)?"
)
_WHAT_TO_DO = (
    "see that the ribbon cable sits, restart the camera service (sudo systemctl restart nvargus-daemon), "
    "and that no other program has the camera"
)
_NO_GSTREAMER = (
    "take the system's python3-opencv (venv with --system-site-packages), or build OpenCV with "
    "GStreamer: docs/boards.md tells how"
)
_SQUARISH = (1640, 1232, 30)
"""Mode of the IMX219 (the usual module) over its whole picture, 4:3; others take their nearest."""
_WIDE = (1920, 1080, 30)


@dataclass(frozen=True, slots=True)
class Sensor:
    """Which camera, and how its sensor runs.

    Attributes:
        number: `sensor-id`, from 0.
        width: Pixels across that the sensor gives.
        height: Pixels down.
        fps: Frames per second of the sensor.
    """

    number: int
    width: int
    height: int
    fps: int


def parse_source(source: str, *, width: int, height: int) -> Sensor:
    """Read `jetson`, `jetson:1` or `jetson:0,sensor=1280x720@60`.

    Args:
        source: The text.
        width: Pixels across that are wanted; with the next, chooses a mode of the same shape.
        height: Pixels down.

    Raises:
        CameraUnavailable: If it is not written so.
    """
    found = _GRAMMAR.fullmatch(source)
    if found is None:
        raise CameraUnavailable(
            source, "it is not written as it must be", "write jetson:0 or jetson:0,sensor=1280x720@60"
        )
    number = int(found["id"] or 0)
    if found["w"]:
        mode = (int(found["w"]), int(found["h"]), int(found["fps"]))
    else:
        mode = _SQUARISH if 2 * width < 3 * height else _WIDE
    if mode[2] < 1:
        raise CameraUnavailable(source, "0 frames a second are none", "write it like sensor=1280x720@60")
    return Sensor(number, *mode)


def pipeline(sensor: Sensor, *, width: int, height: int) -> str:
    """Return GStreamer's description of the road from the sensor to OpenCV.

    Args:
        sensor: The camera and its mode.
        width: Pixels across of the frames, even.
        height: Pixels down, even.
    """
    return " ! ".join(
        (
            f"nvarguscamerasrc sensor-id={sensor.number}",
            f"video/x-raw(memory:NVMM), width=(int){sensor.width}, height=(int){sensor.height}, "
            f"format=(string)NV12, framerate=(fraction){sensor.fps}/1",
            "nvvidconv",
            f"video/x-raw, width=(int){width}, height=(int){height}, format=(string)I420",
            "appsink drop=true max-buffers=1 sync=false",
        )
    )


def has_gstreamer(build_information: str) -> bool:
    """Whether an OpenCV was built with GStreamer, from its `cv2.getBuildInformation()`."""
    return re.search(r"^\s*GStreamer:\s*YES", build_information, re.MULTILINE) is not None


def open_jetson(source: str, *, width: int, height: int, fps: float) -> JetsonCamera:
    """Open `jetson[:N[,sensor=WxH@F]]`.

    Raises:
        CameraUnavailable: If this OpenCV has no GStreamer, the name makes no sense, or it cannot be opened.
    """
    sensor = parse_source(source, width=width, height=height)
    if width % 2 or height % 2:
        raise CameraUnavailable(source, f"{width}x{height} is odd", "set an even width and height")
    if not has_gstreamer(cv2.getBuildInformation()):
        raise CameraUnavailable(source, "this OpenCV has no GStreamer", _NO_GSTREAMER)
    description = pipeline(sensor, width=width, height=height)
    device: CaptureDevice = cv2.VideoCapture(description, cv2.CAP_GSTREAMER)
    return JetsonCamera(source, device, size=(width, height), fps=fps)


class JetsonCamera:
    """An opened pipeline as a camera.

    Args:
        source: Its name.
        device: The opened pipeline.
        size: Width and height of the frames that were asked for, pixels.
        fps: Most frames per second.

    Raises:
        CameraUnavailable: If the pipeline is not open.
    """

    is_live = True

    def __init__(self, source: str, device: CaptureDevice, *, size: tuple[int, int], fps: float) -> None:
        self.name = source
        self._device = device
        self._size = size
        self._fps = fps
        if not device.isOpened():
            device.release()
            raise CameraUnavailable(source, "GStreamer cannot open it", _WHAT_TO_DO)

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Yield frames until `stop` is set.

        Raises:
            CameraUnavailable: If the pipeline gives no frame, or one of another size or kind.
        """
        seq, rate = 0, Rate(self._fps)
        while not stop.is_set():
            is_read, pixels = self._device.read()
            mono_s, utc_s = time.monotonic(), time.time()
            if not is_read or pixels is None:
                raise CameraUnavailable(self.name, "it gives no more frames", _WHAT_TO_DO)
            if not rate.lets_through(mono_s):
                continue
            picture, layout = self._picture(pixels)
            width, height = self._size
            yield Frame(picture, layout, width, height, mono_s=mono_s, utc_s=utc_s, seq=seq)
            seq += 1

    def close(self) -> None:
        """Close the pipeline."""
        self._device.release()

    def _picture(self, pixels: Pixels) -> tuple[Pixels, Layout]:
        """I420 as it is; an OpenCV that turns it into BGR or BGRx by itself is taken too."""
        width, height = self._size
        if pixels.shape[:2] == (height * 3 // 2, width) and pixels.size == height * 3 // 2 * width:
            return pixels.reshape(height * 3 // 2, width), "i420"
        if pixels.shape == (height, width, 3):
            rgb: Pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            return rgb, "rgb"
        if pixels.shape == (height, width, 4):
            rgb = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB)
            return rgb, "rgb"
        raise CameraUnavailable(
            self.name,
            f"it gives pictures of {pixels.shape}, not {width}x{height}",
            "report this, with the log",
        )
