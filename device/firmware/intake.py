"""What comes from capture, made fit to be looked at: checked, then the privacy masks painted.

The first thing that happens to a frame on the device. A frame that cannot be used is refused and counted,
so that a camera gone mad costs frames and never the device. It keeps no frame and looks into none.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Final

import numpy as np

from device.firmware.masks import Masks
from hardware.camera.frame import Frame

_log = logging.getLogger(__name__)

MIN_SIDE_PX: Final = 16
"""Nothing can be found in a frame with a shorter side."""


class Intake:
    """Takes the frames of one camera in; used by the thread that looks.

    Attributes:
        refused: frames that could not be used, since start.
        fault: why the latest frame was refused; empty when it was good.
        faulty_since_s: monotonic stamp of the first of the frames that are being refused.
    """

    def __init__(self, camera: str, masks: Masks) -> None:
        """Prepare; `camera` is its name in the log."""
        self._camera = camera
        self._masks = masks
        self.refused = 0
        self.fault = ""
        self.faulty_since_s = 0.0

    def take(self, frame: Frame, now_s: float) -> Frame | None:
        """Return the frame as the rest of the device may see it, or None when it cannot be used.

        Args:
            frame: as capture gave it; masks are painted where it lies, so it is not to be used again.
            now_s: the monotonic clock; a refused frame's own stamp may be the fault.
        """
        fault = frame_fault(frame)
        if fault:
            self.refused += 1
        if bool(fault) != bool(self.fault):
            self.faulty_since_s = now_s
            if fault:
                _log.warning("camera=%s frames=refused reason=%r", self._camera, fault)
            else:
                _log.info("camera=%s frames=good refused_total=%d", self._camera, self.refused)
        self.fault = fault
        return None if fault else self._masks.paint(_packed(frame))


def frame_fault(frame: Frame) -> str:
    """Say why a frame cannot be used, or return an empty string; its shape was checked when it was made."""
    if min(frame.width, frame.height) < MIN_SIDE_PX:
        return f"a frame of {frame.width}x{frame.height} pixels is too small"
    if not (math.isfinite(frame.mono_s) and math.isfinite(frame.utc_s)):
        return "a frame has no time"
    return ""


def _packed(frame: Frame) -> Frame:
    """The same frame with its rows one behind the other, as OpenCV and the planes of I420 need them."""
    if frame.pixels.flags.c_contiguous:
        return frame
    return replace(frame, pixels=np.ascontiguousarray(frame.pixels))
