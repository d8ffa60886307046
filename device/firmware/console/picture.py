"""A picture small enough for the line: size and quality follow the time that it may take. Keeps nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from hardware.camera.frame import Frame, Pixels
from ota.cable import MAX_PICTURE_BYTES, PICTURE_SIDE

PICTURE_S: Final = 0.5
"""One picture may take so long on the line."""
LEAST_BYTES, MOST_BYTES = 600, 24_000


@dataclass(frozen=True, slots=True)
class Grade:
    """One way to make a picture: its longer side in pixels, JPEG quality, and whether it has colour."""

    side: int
    quality: int
    has_colour: bool


GRADES: Final = (
    Grade(PICTURE_SIDE, 75, has_colour=True),
    Grade(PICTURE_SIDE, 50, has_colour=True),
    Grade(PICTURE_SIDE, 45, has_colour=False),
    Grade(PICTURE_SIDE, 25, has_colour=False),
    Grade(240, 25, has_colour=False),
    Grade(160, 25, has_colour=False),
    Grade(112, 20, has_colour=False),
    Grade(80, 12, has_colour=False),
)
"""Best first."""


@dataclass(frozen=True, slots=True)
class Small:
    """A JPEG and its size in pixels."""

    jpeg: bytes
    width: int
    height: int


def budget_bytes(bytes_per_s: float) -> int:
    """Return how large a picture may be on such a line."""
    return int(min(MOST_BYTES, max(LEAST_BYTES, bytes_per_s * PICTURE_S)))


def small_picture(painted: Frame, budget: int) -> Small:
    """Return the best picture within so many bytes, or the smallest there is.

    Args:
        painted: a frame on which the masks are painted already.
        budget: bytes.
    """
    rgb = painted.to_rgb()
    small = _made(rgb, GRADES[0])
    for grade in GRADES[1:]:
        if len(small.jpeg) <= budget:
            break
        small = _made(rgb, grade)
    assert len(small.jpeg) <= MAX_PICTURE_BYTES
    return small


def _made(rgb: Pixels, grade: Grade) -> Small:
    height, width = rgb.shape[:2]
    scale = min(1.0, grade.side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if grade.has_colour else cv2.COLOR_RGB2GRAY)
    is_made, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, grade.quality])
    assert is_made
    return Small(np.asarray(jpeg).tobytes(), *size)
