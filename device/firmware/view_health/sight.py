"""One look: a frame made small, and what is measured in it. The frame goes no further.

Edges are measured as contrast, the gradient of log2 of the brightness, so that an exposure step or dusk,
which multiply the brightness, change nothing. Each pixel's gradient g becomes g / (|g| + k): a vector of
length 0 (nothing) to 1 (a clear edge) that tells the edge's direction and hardly its strength
(A. J. Fitch et al., "Orientation Correlation", BMVC 2002).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from device.firmware.masks import Polygon, masked_plane
from hardware.camera.frame import Frame, Pixels

Vectors = npt.NDArray[np.float32]
"""Shape (h, w, 2): across and down."""
Plane = npt.NDArray[np.float32]
Valid = npt.NDArray[np.bool_]

LONG_SIDE: Final = 160
"""The small plane's longer side, pixels."""
COARSE: Final = 4
"""A pixel of the coarse plane is so many of the small plane, each way."""

_SOFTNESS: Final = 0.05
"""k above, in stops (doublings of brightness) a pixel; sensor noise of a clear night stays below."""
_DARK_LEVEL: Final = 16.0
"""Added to the brightness before the logarithm, so that noise in black is no contrast."""
_COARSE_SIGMA_PX: Final = 3.0
_WHITE: Final = 245
"""From this luma (0..255) a pixel is white: sensors and encoders rarely reach the very end."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was measured in one frame; masked parts are nothing everywhere.

    Attributes:
        fine: edges of the small plane, (h, w, 2).
        coarse: edges of what a strong blur leaves, (h / 4, w / 4, 2).
        contrast: gradient of the small plane, stops a pixel, (h, w).
        soft_contrast: the same after the strong blur.
        mean_pct: mean brightness, percent of white.
        top_pct: brightness that 19 of 20 pixels do not reach, percent of white.
        white_pct: share of the pixels that are white, percent.
        edges: mean length of `fine` where nothing is masked, 0..1.
        colour: mean distance of the colour from grey, 0..128; a camera in its infrared mode gives about 0.
        digest: of all bytes of the frame.
    """

    fine: Vectors
    coarse: Vectors
    contrast: Plane
    soft_contrast: Plane
    mean_pct: float
    top_pct: float
    white_pct: float
    edges: float
    colour: float
    digest: int


@dataclass(frozen=True, slots=True)
class Window:
    """Which pixels of the small and of the coarse plane count: not the masked ones, nor their rims.

    A mask's edge stays in its place when the camera is moved, so it must not be taken for an edge.

    Attributes:
        whole: not masked, (h, w).
        fine: neither masked nor beside a mask, (h, w).
        coarse: the same of the coarse plane.
        share: how much of the strong blur's weight falls on what is not masked, 0..1; None without masks.
    """

    whole: Valid
    fine: Valid
    coarse: Valid
    share: Plane | None


def plane_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the small plane of frames of a size; multiples of `COARSE`."""
    longer = max(width, height)
    sides = (max(2 * COARSE, round(LONG_SIDE * side / longer / COARSE) * COARSE) for side in (width, height))
    across, down = sides
    return across, down


def make_window(polygons: Sequence[Polygon], size: tuple[int, int]) -> Window:
    """Return what counts at a size (width, height) of the small plane with these privacy masks."""
    width, height = size
    masked = masked_plane(polygons, width, height).astype(np.uint8)
    rim = np.ones((3, 3), np.uint8)
    blocks = masked.reshape(height // COARSE, COARSE, width // COARSE, COARSE).any(axis=(1, 3))
    whole = masked == 0
    return Window(
        whole,
        fine=cv2.dilate(masked, rim) == 0,
        coarse=cv2.dilate(blocks.astype(np.uint8), rim) == 0,
        share=None if whole.all() else np.maximum(_blurred(whole.astype(np.float32)), np.float32(1e-3)),
    )


def see(frame: Frame, window: Window) -> Sight:
    """Measure a frame; `window` must be of `plane_size` of it."""
    height, width = window.whole.shape
    small: Pixels = cv2.resize(frame.luma, (width, height), interpolation=cv2.INTER_AREA)
    is_limited = frame.layout == "i420"
    levels = np.bincount(small[window.whole], minlength=256) / max(1, int(window.whole.sum()))
    luma = _LIMITED if is_limited else _FULL
    stops: Plane = (_LIMITED_STOPS if is_limited else _FULL_STOPS)[small]
    soft = _blurred(stops if window.share is None else stops * window.whole)
    if window.share is not None:
        soft /= window.share  # the mean of what is not masked alone: the paint must not shine through
    tiny: Plane = cv2.resize(soft, (width // COARSE, height // COARSE), interpolation=cv2.INTER_AREA)
    fine, contrast = _edges(stops, window.fine)
    coarse, _ = _edges(tiny, window.coarse)
    _, soft_contrast = _edges(soft, window.fine)
    return Sight(
        fine,
        coarse,
        contrast,
        soft_contrast,
        mean_pct=float(levels @ luma) / 2.55,
        top_pct=float(luma[int(np.searchsorted(np.cumsum(levels), 0.95))]) / 2.55,
        white_pct=100.0 * float(levels[luma >= _WHITE].sum()),
        edges=float(lengths(fine).sum()) / max(1, int(window.fine.sum())),
        colour=_colour(frame),
        digest=zlib.adler32(frame.pixels.data),
    )


def lengths(vectors: Vectors) -> Plane:
    """Return the length of each vector, shape (h, w)."""
    length: Plane = cv2.magnitude(vectors[..., 0], vectors[..., 1])
    return length


def _colour(frame: Frame) -> float:
    """Of every 16th colour sample, or every 64th pixel."""
    if frame.layout == "i420":
        samples = frame.pixels[frame.height :].reshape(-1)[::16].astype(np.int16)
        return float(np.abs(samples - 128).mean())
    pixels = frame.pixels[::8, ::8].astype(np.int16)
    return float((pixels.max(axis=2) - pixels.min(axis=2)).mean()) / 2


def _blurred(plane: Plane) -> Plane:
    blurred: Plane = cv2.GaussianBlur(plane, (0, 0), _COARSE_SIGMA_PX)
    return blurred


def _edges(stops: Plane, valid: Valid) -> tuple[Vectors, Plane]:
    """Return the soft unit gradients and their strengths; Sobel's weights add up to 8."""
    across = cv2.Sobel(stops, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(stops, cv2.CV_32F, 0, 1, scale=1 / 8)
    strength: Plane = cv2.magnitude(across, down) * valid
    share = valid / (strength + np.float32(_SOFTNESS))
    vectors: Vectors = np.stack([across * share, down * share], axis=-1)
    return vectors, strength


_FULL: Final = np.arange(256, dtype=np.float32)
"""Brightness 0..255 of each luma value of RGB frames."""
_LIMITED: Final = np.clip((_FULL - 16) * (255 / 219), 0, 255).astype(np.float32)
"""The same of I420 frames, whose luma runs from 16 to 235 (ITU-R BT.601)."""
_FULL_STOPS: Final = np.log2(_FULL + _DARK_LEVEL).astype(np.float32)
_LIMITED_STOPS: Final = np.log2(_LIMITED + _DARK_LEVEL).astype(np.float32)
