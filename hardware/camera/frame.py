"""One image with its time; changed by nothing but privacy masks, and never written to disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Layout = Literal["rgb", "i420"]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One captured image.

    Attributes:
        pixels: uint8; `rgb`: (H, W, 3). `i420`: (H*3//2, W), planar Y, U, V (U and V half as wide and high),
            limited range BT.601 (what OpenCV calls I420 and libcamera YUV420 / Smpte170m).
        layout: How `pixels` is to be read.
        width: Pixels across; even for `i420`.
        height: Pixels down; even for `i420`.
        mono_s: `time.monotonic()` at capture; for durations.
        utc_s: Unix seconds UTC at capture; for people.
        seq: Number of the frame since the driver was opened, from 0; a gap is frames that the driver skipped.

    Raises:
        ValueError: If `pixels` does not have the shape and type that layout and size ask for.
    """

    pixels: Pixels
    layout: Layout
    width: int
    height: int
    mono_s: float
    utc_s: float
    seq: int

    def __post_init__(self) -> None:
        shape: tuple[int, ...] = (self.height, self.width, 3)
        if self.layout == "i420":
            if self.width % 2 or self.height % 2:
                raise ValueError(f"i420 needs an even size, not {self.width}x{self.height}")
            shape = (self.height * 3 // 2, self.width)
        if self.pixels.shape != shape or self.pixels.dtype != np.uint8:
            raise ValueError(
                f"a {self.layout} frame of {self.width}x{self.height} is uint8 {shape}, "
                f"not {self.pixels.dtype} {self.pixels.shape}"
            )

    def to_rgb(self) -> Pixels:
        """The image as (H, W, 3) uint8 RGB; the frame's own array if it is RGB already."""
        if self.layout == "rgb":
            return self.pixels
        rgb: Pixels = cv2.cvtColor(self.pixels, cv2.COLOR_YUV2RGB_I420)
        return rgb

    @property
    def luma(self) -> Pixels:
        """Brightness as (H, W) uint8; `i420`: a view of the Y plane (16..235); else BT.601 grey (0..255)."""
        if self.layout == "i420":
            return self.pixels[: self.height]
        grey: Pixels = cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY)
        return grey

    @cached_property
    def half_luma(self) -> Pixels:
        """The same, half as wide and high, each pixel the mean of four: who wants it small begins here.

        Worked out once, because reading all of a frame is what looking at it costs. It must not be changed.
        """
        luma = self.luma
        size = (max(1, self.width // 2), max(1, self.height // 2))
        return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)

    @property
    def planes(self) -> tuple[Pixels, Pixels, Pixels]:
        """Y, U and V; `i420`: views, U and V of half the size; else full range BT.601 of the full size."""
        if self.layout == "rgb":
            y, u, v = cv2.split(cv2.cvtColor(self.pixels, cv2.COLOR_RGB2YUV))
            return y, u, v
        u, v = self.pixels[self.height :].reshape(2, self.height // 2, self.width // 2)
        return self.luma, u, v


def rgb_to_i420(rgb: Pixels) -> Pixels:
    """Turn (H, W, 3) uint8 RGB with even H and W into (H*3//2, W) uint8 I420, limited range BT.601."""
    i420: Pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    return i420
