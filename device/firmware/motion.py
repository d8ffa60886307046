"""The motion gate: decides whether a frame deserves an inference.

Most frames of a street at night, a yard or a closed market show nothing new; looking at them costs heat
and battery. The gate compares a small luma plane with a slowly learnt background. It never decides what
moved, and it never lets more than `max_skip_s` pass without a look.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]
"""Shape (H, W), 0..255."""
Plane = npt.NDArray[np.float32]
"""Shape of the small plane, luma levels."""


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """When a frame is worth looking at.

    Attributes:
        enabled: false looks at every frame.
        pixel_change: smallest change of a small-plane pixel that counts, in luma levels (0..255).
        noise_factor: a pixel must also change by this many times the plane's own noise.
        min_pixels: how many pixels of the small plane must change.
        hold_s: go on looking this long after the last motion.
        max_skip_s: look at least this often, so that a slow change is never missed.
        learn_s: time constant of the background.
    """

    enabled: bool = True
    pixel_change: float = 10.0
    noise_factor: float = 4.0
    min_pixels: int = 3
    hold_s: float = 1.0
    max_skip_s: float = 5.0
    learn_s: float = 4.0


SMALL_WIDTH = 160
"""The plane is halved while it is at least this wide: 640x480 becomes 80x60."""


class MotionGate:
    """Tells look from skip, one camera each; time is the frames' monotonic stamp in seconds."""

    def __init__(self, settings: MotionSettings) -> None:
        self._settings = settings
        self._background: Plane | None = None
        self._shape: tuple[int, ...] = ()
        self._noise = 1.0
        self._last_s = 0.0
        self._last_look_s = -np.inf
        self._last_motion_s = -np.inf
        self._moving: npt.NDArray[np.bool_] | None = None

    @property
    def moving(self) -> npt.NDArray[np.bool_] | None:
        """Where the latest frame differs from the background, on the small plane; None if not known."""
        return self._moving

    def should_look(self, luma: Luma, mono_s: float) -> bool:
        """Return whether this frame should go to the detector.

        Args:
            luma: shape (H, W), any size; a new size starts afresh.
            mono_s: monotonic stamp of the frame; must not fall.
        """
        if not self._settings.enabled:
            return True
        if self._has_motion(luma, mono_s):
            self._last_motion_s = mono_s
        is_held = mono_s - self._last_motion_s <= self._settings.hold_s
        is_due = mono_s - self._last_look_s >= self._settings.max_skip_s
        if is_held or is_due:
            self._last_look_s = mono_s
            return True
        return False

    def _has_motion(self, luma: Luma, mono_s: float) -> bool:
        plane = _small(luma).astype(np.float32)
        if self._background is None or self._shape != luma.shape:
            self._background, self._shape, self._last_s = plane, luma.shape, mono_s
            self._moving = None
            return True
        difference = plane - self._background
        # A cloud or the camera's exposure moves the whole plane: only what differs from that is motion.
        size = np.abs(difference - _middle(difference))
        threshold = max(self._settings.pixel_change, self._settings.noise_factor * self._noise)
        self._moving = size > threshold
        moved = int(np.count_nonzero(self._moving))
        self._learn(difference, size, mono_s)
        return moved >= self._settings.min_pixels

    def _learn(self, difference: Plane, size: Plane, mono_s: float) -> None:
        assert self._background is not None
        elapsed_s = max(0.0, mono_s - self._last_s)
        self._last_s = mono_s
        rate = 1.0 - np.exp(-elapsed_s / self._settings.learn_s)
        self._background += np.float32(rate) * difference
        # 1.4826 x the median absolute deviation estimates the standard deviation (Hampel 1974).
        self._noise += rate * (1.4826 * _middle(size) - self._noise)


def _middle(plane: Plane) -> float:
    """Return the median of every second pixel of every second row: as good, and four times as fast."""
    sample = plane[::2, ::2].ravel()
    return float(np.partition(sample, sample.size // 2)[sample.size // 2])


def _small(luma: Luma) -> Luma:
    """Halve the plane until it is small; each halving is a mean of 2x2, which OpenCV does fastest."""
    while luma.shape[1] >= SMALL_WIDTH and luma.shape[0] >= 2:
        half = (luma.shape[1] // 2, luma.shape[0] // 2)
        luma = cv2.resize(luma, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return luma
