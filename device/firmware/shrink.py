"""Pictures made small by means of areas. Pure; keeps nothing."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from hardware.camera.frame import Frame

Bytes = npt.NDArray[np.uint8]


def shrunk(plane: Bytes, width: int, height: int) -> Bytes:
    """Return a plane (H, W) at another size, averaged by areas.

    It is halved while that leads there exactly: OpenCV takes means of 2 x 2 several times faster than others.
    """
    while _is_to_halve(plane.shape[1], width) and _is_to_halve(plane.shape[0], height):
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8)
    if plane.shape == (height, width):
        return plane
    small: Bytes = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return small


def shrunk_luma(frame: Frame, width: int, height: int) -> Bytes:
    """Return a frame's luma at another size."""
    is_half = _is_to_halve(frame.width, width) and _is_to_halve(frame.height, height)
    return shrunk(frame.half_luma if is_half else frame.luma, width, height)


def _is_to_halve(side: int, wanted: int) -> bool:
    return side % (2 * wanted) == 0
