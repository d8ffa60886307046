"""A picture made small by halves is the picture made small by areas."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from device.firmware.shrink import shrunk, shrunk_luma
from hardware.camera.frame import Frame


def noise(width, height):
    return np.random.default_rng(width).integers(0, 256, (height, width), np.uint8)


@pytest.mark.parametrize(
    ("width", "height", "wanted"),
    [(640, 480, (160, 120)), (1920, 1080, (160, 92)), (322, 246, (160, 120)), (161, 99, (160, 98))],
)
def test_halving_first_changes_no_pixel_by_more_than_its_rounding(width, height, wanted):
    plane = noise(width, height)
    at_once = cv2.resize(plane.astype(np.float32), wanted, interpolation=cv2.INTER_AREA)
    assert shrunk(plane, *wanted).shape == wanted[::-1]
    assert np.abs(shrunk(plane, *wanted) - at_once).max() <= 1.5


@pytest.mark.parametrize(("width", "height"), [(640, 480), (160, 120), (200, 122)])
def test_luma_is_made_small_the_same_whether_its_half_is_known_or_not(width, height):
    pixels = noise(width, height * 3 // 2)
    frame = Frame(pixels, "i420", width, height, mono_s=0.0, utc_s=0.0, seq=0)
    small = shrunk_luma(frame, 80, 60)
    assert np.array_equal(small, shrunk(frame.luma, 80, 60))


def test_what_is_wanted_larger_is_made_larger():
    assert shrunk(noise(40, 30), 160, 120).shape == (120, 160)
