"""What befalls a camera, done to its pictures: a hand or a bag over the lens, a pole that shakes in the wind.

Pure functions of (H, W, 3) uint8 RGB pictures; each gives a new picture and knows no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware.camera.frame import Pixels

Cover = Literal["hand", "bag", "paint"]

_SOFT_SHARE: Final = 0.06
"""How wide a cover's blurred edge is, share of the picture's width."""

_LIGHT: dict[Cover, tuple[float, float, float]] = {
    "hand": (34.0, 22.0, 16.0),
    "bag": (74.0, 68.0, 58.0),
    "paint": (58.0, 60.0, 64.0),
}
"""What of the day comes through, as a colour and never as an image: skin, jute, sprayed paint."""
_DAY_LEVEL: Final = 115.0
"""Mean of a picture by day."""


@dataclass(frozen=True, slots=True)
class LensCover:
    """Something that lies on the lens.

    Attributes:
        what: `hand`, `bag` or `paint`; they differ in their light.
        share: Of the picture's width that it hides, 0..1, from one side.
        from_left: From which side it came.
        seed: Its folds.
    """

    what: Cover
    share: float = 1.0
    from_left: bool = True
    seed: int = 0


def covered(picture: Pixels, cover: LensCover, moment: int = 0) -> Pixels:
    """The picture with a cover on the lens: too near to be sharp, so its edge is soft and it has no detail.

    `moment` numbers the picture: each has other sensor noise, as a covered camera's have.
    """
    height, width = picture.shape[:2]
    daylight = np.float32(picture.mean() / _DAY_LEVEL)
    cloth = _folds(cover, width, height) * daylight + _noise(height, width, moment)
    hidden = _hidden(cover, width)
    return np.asarray(np.clip(picture * (1 - hidden) + cloth * hidden, 0, 255), np.uint8)


def shaken(picture: Pixels, right_px: float, down_px: float) -> Pixels:
    """The picture shifted by a few pixels, as a pole in the wind does; the border is mirrored."""
    height, width = picture.shape[:2]
    matrix = np.array(((1.0, 0.0, right_px), (0.0, 1.0, down_px)), np.float32)
    moved: Pixels = cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return moved


def dimmed(picture: Pixels, factor: float) -> Pixels:
    """The picture with `factor` times its light (0..2): a cloud, or the camera's exposure."""
    lit: Pixels = cv2.convertScaleAbs(picture, alpha=factor)
    return lit


def _hidden(cover: LensCover, width: int) -> NDArray[np.float32]:
    """How much of each column is hidden, 0..1, (1, W, 1); all of it by a cover of share 1."""
    if cover.share >= 1.0:
        return np.ones((1, 1, 1), np.float32)
    across = np.arange(width, dtype=np.float32)
    depth_px = cover.share * width - (across if cover.from_left else width - 1 - across)
    return np.asarray(np.clip(depth_px / (_SOFT_SHARE * width) + 0.5, 0, 1)[None, :, None], np.float32)


@lru_cache(maxsize=4)
def _folds(cover: LensCover, width: int, height: int) -> NDArray[np.float32]:
    """Smooth light and shade of the cover, (H, W, 3)."""
    rng = np.random.default_rng([cover.seed, 7])
    coarse = rng.uniform(0.75, 1.25, (3, 4)).astype(np.float32)
    folds = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(folds[..., None] * np.array(_LIGHT[cover.what], np.float32), np.float32)


def _noise(height: int, width: int, moment: int) -> NDArray[np.float32]:
    return np.random.default_rng([moment, 8]).standard_normal((height, width, 1), np.float32) * np.float32(
        1.3
    )
