"""A Raspberry Pi's camera through picamera2: the ISP's small YUV420 `lores` stream, one request per frame.

picamera2 belongs to the operating system and is imported only when this driver is chosen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from importlib import import_module
from math import ceil
from typing import Any

import numpy as np

from hardware.camera.frame import Frame, Pixels
from hardware.errors import CameraUnavailable

_INSTALL = "run `apt install python3-picamera2` and make the venv with --system-site-packages"
_WHAT_TO_DO = "check the ribbon cable, then run `rpicam-hello --list-cameras`"
_READ_S = 5.0
_MAIN_WIDTH_PX = 640
_MAX_AGE_S = 5.0


class PiCamera:
    """A CSI camera of a Raspberry Pi.

    Args:
        source: `picamera2` or `picamera2:N`.
        width: Pixels across, even.
        height: Pixels down, even.
        fps: Frames per second.

    Raises:
        CameraUnavailable: If picamera2 is not installed, or there is no such camera.
    """

    is_live = True

    def __init__(self, source: str, *, width: int, height: int, fps: float) -> None:
        self.name = source
        number = source.partition(":")[2] or "0"
        if not number.isdecimal():
            raise CameraUnavailable(source, f"{number!r} is no camera number", "write it like picamera2:0")
        if width % 2 or height % 2:
            raise CameraUnavailable(source, f"its size must be even, not {width}x{height}", "change the size")
        self._width, self._height = width, height
        self._picamera2 = _import(source, "picamera2")
        colour_space = _import(source, "libcamera").ColorSpace.Smpte170m()
        try:
            self._camera: Any = self._picamera2.Picamera2(int(number))
        except (RuntimeError, IndexError, OSError) as error:
            raise CameraUnavailable(source, f"it cannot be opened ({error})", _WHAT_TO_DO) from error
        try:
            self._begin(colour_space, fps)
        except (RuntimeError, OSError, ValueError) as error:
            self.close()
            raise CameraUnavailable(source, f"it cannot be started ({error})", _WHAT_TO_DO) from error

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Yield frames until `stop` is set.

        Raises:
            CameraUnavailable: If the camera gives no frame for 5 s, or fails.
        """
        seq = 0
        while not stop.is_set():
            try:
                request = self._camera.capture_request(wait=_READ_S)
            except (TimeoutError, RuntimeError, OSError) as error:
                reason = "it gives no more frames" if isinstance(error, TimeoutError) else str(error)
                raise CameraUnavailable(self.name, reason, _WHAT_TO_DO) from error
            try:
                mono_s, utc_s = _stamps(request.get_metadata().get("SensorTimestamp"))
                with self._picamera2.MappedArray(request, "lores") as mapped:
                    pixels = cropped_i420(mapped.array, self._width, self._height)
            finally:
                request.release()
            yield Frame(pixels, "i420", self._width, self._height, mono_s=mono_s, utc_s=utc_s, seq=seq)
            seq += 1

    def close(self) -> None:
        """Stop and close the camera."""
        self._camera.stop()
        self._camera.close()

    def _begin(self, colour_space: object, fps: float) -> None:
        # `main` must be at least as large as `lores` and of the same shape, or `lores` is squeezed.
        factor = max(1, ceil(_MAIN_WIDTH_PX / self._width))
        config = self._camera.create_video_configuration(
            main={"size": (self._width * factor, self._height * factor), "format": "YUV420"},
            lores={"size": (self._width, self._height), "format": "YUV420"},
            colour_space=colour_space,
            buffer_count=4,
            controls={"FrameRate": fps},
        )
        self._camera.configure(config)
        self._camera.start()


def cropped_i420(padded: Pixels, width: int, height: int) -> Pixels:
    """Copy a (H*3//2, stride) YUV420 buffer into (H*3//2, W) uint8 I420, without the rows' padding.

    Rows of U and V are half a stride long, two of them in each row of the buffer.
    """
    pixels = np.empty((height * 3 // 2, width), np.uint8)
    pixels[:height] = padded[:height, :width]
    chroma = np.ascontiguousarray(padded[height:]).reshape(height, -1)
    pixels[height:].reshape(height, width // 2)[:] = chroma[:, : width // 2]
    return pixels


def _stamps(sensor_ns: int | None) -> tuple[float, float]:
    """Monotonic and UTC seconds of a frame's exposure, from the sensor's CLOCK_BOOTTIME nanoseconds."""
    mono_s, utc_s = time.monotonic(), time.time()
    if sensor_ns is None:
        return mono_s, utc_s
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - sensor_ns / 1e9
    if not 0 <= age_s <= _MAX_AGE_S:
        return mono_s, utc_s
    return mono_s - age_s, utc_s - age_s


def _import(source: str, module: str) -> Any:  # noqa: ANN401
    try:
        return import_module(module)
    except ImportError as error:
        raise CameraUnavailable(source, f"the Python module {module} is not installed", _INSTALL) from error
