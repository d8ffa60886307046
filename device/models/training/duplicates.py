"""Training pictures that repeat one of a validation split. Looks at pixels; never touches a file."""

from __future__ import annotations

import cv2
import numpy as np

from device.models.training.pictures import Picture

NEARLY = 0.95
"""Correlation of two thumbnails from which on they count as one picture: in the street and VOC pictures,
pairs above it were the same photograph mirrored, cropped or in other colours."""

_SIDE = 24


def without_repeats(pictures: list[Picture], held_back: list[Picture]) -> list[Picture]:
    """Those `pictures` that repeat none of `held_back`, in their order.

    A picture repeats another when their grey thumbnails, plain or mirrored, correlate by `NEARLY` or more.
    Equal pictures do, and so do other compressions, other colours and slight crops.

    Args:
        pictures: of a training source.
        held_back: of all validation sources.
    """
    if not pictures or not held_back:
        return list(pictures)
    mirrored = np.stack([_thumbnail(picture)[:, ::-1].ravel() for picture in pictures])
    plain = np.stack([_thumbnail(picture).ravel() for picture in pictures])
    kept_back = np.stack([_thumbnail(picture).ravel() for picture in held_back])
    alike = np.maximum((plain @ kept_back.T).max(axis=1), (mirrored @ kept_back.T).max(axis=1))
    return [picture for picture, value in zip(pictures, alike, strict=True) if value < NEARLY]


def _thumbnail(picture: Picture) -> np.ndarray:
    """Grey, float32 (24,24), mean 0 and length 1, so that a product of two is their correlation."""
    grey = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    thumbnail: np.ndarray = small / max(float(np.linalg.norm(small)), 1e-6)
    return thumbnail
