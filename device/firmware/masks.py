"""Privacy masks: what a camera must not see is painted over before anything looks at the frame.

A neighbour's window is no business of the street's camera. The pixels inside a mask are replaced right
after capture, so no detector, motion gate or rule ever gets them. Nothing here keeps a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from device.firmware.geometry import polygon_fault
from hardware.camera.frame import Frame, Layout, Pixels

PAINT: Final = 114
"""The grey of the paint, in RGB and in luma: the detectors' letterbox grey, in which they see nothing."""
NEUTRAL: Final = 128
"""Chroma without colour."""
MAX_MASKED: Final = 0.95
"""A camera of which more than this share is masked watches nothing: surely a mistake."""

Polygon = Sequence[tuple[float, float]]
Plane = npt.NDArray[np.bool_]

_SUBPIXEL_BITS: Final = 8
_SHARE_SIDE: Final = 200


@dataclass(frozen=True, slots=True)
class _Band:
    """Rows of a frame's memory that are painted in part: which of their values, and with what."""

    rows: slice
    is_painted: Pixels
    paint: Pixels


@dataclass(frozen=True, slots=True)
class _Stencil:
    """The masks at one size and layout of frames; rows that no mask touches are in no band."""

    size: tuple[int, int, Layout]
    bands: tuple[_Band, ...]


class Masks:
    """The privacy masks of one camera; not for two threads at once.

    Args:
        polygons: corners x, y in 0..1 from the top left; each checked with `masks_fault` before.
    """

    def __init__(self, polygons: Sequence[Polygon] = ()) -> None:
        self.polygons = tuple(polygons)
        self._stencil: _Stencil | None = None

    def paint(self, frame: Frame) -> Frame:
        """Return the frame with every masked pixel painted grey, or itself where there is no mask.

        It is painted where it lies, so that no second picture without masks is made; only memory that cannot
        be written to in rows is copied first. What was worked out of the frame before does not go with it.
        """
        if not self.polygons:
            return frame
        size = (frame.width, frame.height, frame.layout)
        if self._stencil is None or self._stencil.size != size:
            self._stencil = _cut(self.polygons, *size)
        flags = frame.pixels.flags
        pixels = frame.pixels if flags.writeable and flags.c_contiguous else frame.pixels.copy()
        for band in self._stencil.bands:
            cv2.copyTo(band.paint, band.is_painted, pixels[band.rows])
        return replace(frame, pixels=pixels)


def masked_plane(polygons: Sequence[Polygon], width: int, height: int) -> Plane:
    """Return which pixels the masks touch, shape (height, width); a rim of one pixel is masked too.

    The rim makes sure of pixels of which the polygon touches only a corner.
    """
    plane = np.zeros((height, width), np.uint8)
    scale = np.array([width, height], np.float64)
    for polygon in polygons:
        # A pixel's centre lies half a pixel inside it, where OpenCV counts from.
        corners = np.rint((np.asarray(polygon, np.float64) * scale - 0.5) * (1 << _SUBPIXEL_BITS))
        cv2.fillPoly(plane, [corners.astype(np.int32)], 1, cv2.LINE_8, _SUBPIXEL_BITS)
    rimmed: Pixels = cv2.dilate(plane, np.ones((3, 3), np.uint8))
    return rimmed.astype(np.bool_)


def masks_fault(polygons: Sequence[Polygon]) -> tuple[int, str] | None:
    """Say which mask is wrong and why, or return None.

    A good one is a simple polygon with an area; together they leave at least a twentieth of the picture.
    """
    for number, polygon in enumerate(polygons):
        fault = polygon_fault(polygon)
        if fault:
            return number, fault.replace("a zone", "a mask").replace("the zone", "the mask")
    share = float(masked_plane(polygons, _SHARE_SIDE, _SHARE_SIDE).mean()) if polygons else 0.0
    if share > MAX_MASKED:
        most = f"{MAX_MASKED:.0%}"
        return (
            len(polygons) - 1,
            f"the masks cover {share:.0%} of the picture, at most {most} make sense: "
            "a camera that must see nothing is better taken down",
        )
    return None


def _cut(polygons: Sequence[Polygon], width: int, height: int, layout: Layout) -> _Stencil:
    plane = masked_plane(polygons, width, height)
    if layout == "rgb":
        paint = np.full((height, width, 3), PAINT, np.uint8)
        return _Stencil((width, height, layout), _bands(plane, paint))
    # A colour sample that belongs to one masked pixel of its four tells of it: it goes too.
    colour = plane.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3)).reshape(-1)
    whole = np.concatenate([plane.reshape(-1), colour, colour]).reshape(height * 3 // 2, width)
    paint = np.full(whole.shape, NEUTRAL, np.uint8)
    paint[:height] = PAINT
    return _Stencil((width, height, layout), _bands(whole, paint))


def _bands(is_painted: Plane, paint: Pixels) -> tuple[_Band, ...]:
    touched = np.concatenate([[False], is_painted.any(axis=1), [False]])
    edges = np.flatnonzero(touched[1:] != touched[:-1]).reshape(-1, 2).tolist()
    spans = [slice(first, end) for first, end in edges]
    return tuple(_Band(rows, is_painted[rows].astype(np.uint8), paint[rows]) for rows in spans)
