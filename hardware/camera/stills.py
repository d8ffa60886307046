"""Reads one photo from disk, whole or not at all; never a video, never the network."""

from __future__ import annotations

from pathlib import Path

import cv2

from hardware.camera.frame import Pixels

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""File names that are taken for photos."""


class UnreadablePhoto(ValueError):
    """The file is not a photo, or only a part of one; `str()` says which."""


def read_photo(path: Path) -> Pixels:
    """Read a photo as (H, W, 3) uint8 RGB, turned upright as its EXIF orientation says.

    Raises:
        UnreadablePhoto: If it is empty, cut short, or nothing that can be decoded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadablePhoto(error.strerror or str(error)) from error
    if not data:
        raise UnreadablePhoto("the file is empty")
    if data[:2] == b"\xff\xd8" and not _jpeg_is_whole(data):
        raise UnreadablePhoto("the JPEG is cut short")
    try:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise UnreadablePhoto("it cannot be decoded as a photo") from error
    if bgr is None or bgr.size == 0:
        raise UnreadablePhoto("it cannot be decoded as a photo")
    rgb: Pixels = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return rgb


def _jpeg_is_whole(data: bytes) -> bool:
    """Whether an end marker follows the first scan (ITU-T T.81, B.1.1: FF D9 cannot occur inside one).

    Segments before the scan are stepped over, because a thumbnail in one has an end marker of its own.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xFF:
            at += 1
            continue
        if data[at + 1] == 0xDA:
            return data.find(b"\xff\xd9", at) > 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False
