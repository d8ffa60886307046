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
from device.firmware.shrink import shrunk_luma
from hardware.camera.frame import Frame, Pixels

Vectors = npt.NDArray[np.float32]
"""Shape (h, w, 2): across and down."""
Plane = npt.NDArray[np.float32]

LONG_SIDE: Final = 160
"""The small plane's longer side, pixels."""
COARSE: Final = 4
"""A pixel of the coarse plane is so many of the small plane, each way."""

_SOFTNESS: Final = 0.05
"""k above, in stops (doublings of brightness) a pixel; sensor noise of a clear night stays below."""
_DARK_LEVEL: Final = 16.0
"""Added to the brightness before the logarithm, so that noise in black is no contrast."""
_COARSE_SIGMA_PX: Final = 3.0
_DIGEST_BYTES: Final = 512
"""A row of the bytes that are summed up."""
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
        whole: 255 where nothing is masked, else 0, (h, w).
        whole_px: how many pixels are not masked.
        fine: 1 where neither masked nor beside a mask, else 0, (h, w).
        fine_px: how many pixels that are.
        coarse: the same of the coarse plane.
        share: how much of the strong blur's weight falls on what is not masked, 0..1; None without masks.
    """

    whole: Pixels
    whole_px: int
    fine: Plane
    fine_px: int
    coarse: Plane
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
    whole, fine = masked == 0, cv2.dilate(masked, rim) == 0
    return Window(
        whole.astype(np.uint8) * 255,
        whole_px=int(whole.sum()),
        fine=fine.astype(np.float32),
        fine_px=int(fine.sum()),
        coarse=(cv2.dilate(blocks.astype(np.uint8), rim) == 0).astype(np.float32),
        share=None if whole.all() else np.maximum(_blurred(whole.astype(np.float32)), np.float32(1e-3)),
    )


def see(frame: Frame, window: Window) -> Sight:
    """Measure a frame; `window` must be of `plane_size` of it."""
    height, width = window.whole.shape
    small = shrunk_luma(frame, width, height)
    is_limited = frame.layout == "i420"
    levels = cv2.calcHist([small], [0], window.whole, [256], [0, 256]).reshape(-1) / max(1, window.whole_px)
    luma = _LIMITED if is_limited else _FULL
    stops: Plane = cv2.LUT(small, _LIMITED_STOPS if is_limited else _FULL_STOPS)
    soft = _blurred(stops if window.share is None else cv2.copyTo(stops, window.whole))
    if window.share is not None:
        soft /= window.share  # the mean of what is not masked alone: the paint must not shine through
    tiny: Plane = cv2.resize(soft, (width // COARSE, height // COARSE), interpolation=cv2.INTER_AREA)
    slopes = _slopes(stops, window.fine)
    fine = _edges(slopes, window.fine)
    return Sight(
        fine,
        coarse=_edges(_slopes(tiny, window.coarse), window.coarse),
        contrast=slopes[-1],
        soft_contrast=_slopes(soft, window.fine)[-1],
        mean_pct=float(levels @ luma) / 2.55,
        top_pct=float(luma[int(np.searchsorted(np.cumsum(levels), 0.95))]) / 2.55,
        white_pct=100.0 * float(levels[luma >= _WHITE].sum()),
        edges=float(lengths(fine).sum()) / max(1, window.fine_px),
        colour=_colour(frame),
        digest=_digest(frame.pixels),
    )


def _digest(pixels: Pixels) -> int:
    """A number that another frame hardly ever has: of the sums along and across its bytes, eight at a time.

    A fast sum of all bytes in their order would take seven times as long.
    """
    flat = pixels.reshape(-1)
    whole = flat.size - flat.size % _DIGEST_BYTES
    words = flat[:whole].view(np.uint64).reshape(-1, _DIGEST_BYTES // 8)
    digest = zlib.adler32(flat[whole:].tobytes())
    for axis in (0, 1):
        digest = zlib.adler32(np.add.reduce(words, axis=axis).tobytes(), digest)
    return digest


def lengths(vectors: Vectors) -> Plane:
    """Return the length of each vector, shape (h, w)."""
    length: Plane = cv2.magnitude(*cv2.split(vectors))
    return length


def follow(mean: Vectors, now: Vectors, rate: float) -> Vectors:
    """Return a mean that has come nearer to what is now by `rate`, 0..1; of planes as well."""
    followed: Vectors = cv2.addWeighted(mean, 1.0 - rate, now, rate, 0.0)
    return followed


def squares(vectors: Vectors) -> Plane:
    """Return the square of each vector's length, shape (h, w)."""
    across, down = cv2.split(vectors)
    square: Plane = across * across
    square += down * down
    return square


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


def _slopes(stops: Plane, valid: Plane) -> tuple[Plane, Plane, Plane]:
    """Return the gradient, across and down, and its strength where it counts; Sobel's weights add up to 8."""
    across = cv2.Sobel(stops, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(stops, cv2.CV_32F, 0, 1, scale=1 / 8)
    strength: Plane = cv2.magnitude(across, down)
    strength *= valid
    return across, down, strength


def _edges(slopes: tuple[Plane, Plane, Plane], valid: Plane) -> Vectors:
    """Return the soft unit gradients."""
    across, down, strength = slopes
    share = valid / (strength + np.float32(_SOFTNESS))
    vectors: Vectors = cv2.merge([across * share, down * share])
    return vectors


_FULL: Final = np.arange(256, dtype=np.float32)
"""Brightness 0..255 of each luma value of RGB frames."""
_LIMITED: Final = np.clip((_FULL - 16) * (255 / 219), 0, 255).astype(np.float32)
"""The same of I420 frames, whose luma runs from 16 to 235 (ITU-R BT.601)."""
_FULL_STOPS: Final = np.log2(_FULL + _DARK_LEVEL).astype(np.float32)
_LIMITED_STOPS: Final = np.log2(_LIMITED + _DARK_LEVEL).astype(np.float32)
