"""A frame is what its layout says, and I420 keeps the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.camera.frame import Frame, rgb_to_i420


def frame_of(pixels: np.ndarray, layout: str, width: int, height: int) -> Frame:
    return Frame(pixels, layout, width, height, mono_s=1.0, utc_s=2.0, seq=0)


@given(
    blocks_wide=st.integers(1, 20),
    blocks_high=st.integers(1, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_i420_keeps_colours_that_are_constant_over_two_by_two_pixels(blocks_wide, blocks_high, seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (blocks_high, blocks_wide, 3), np.uint8)
    rgb = blocks.repeat(2, axis=0).repeat(2, axis=1)
    frame = frame_of(rgb_to_i420(rgb), "i420", 2 * blocks_wide, 2 * blocks_high)
    assert frame.to_rgb().shape == rgb.shape
    assert np.abs(frame.to_rgb().astype(int) - rgb).max() <= 6  # 8-bit YUV of limited range has steps of ~2


def test_luma_has_the_frames_size_in_both_layouts_and_agrees():
    rgb = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    grey = frame_of(rgb, "rgb", 8, 6).luma
    y = frame_of(rgb_to_i420(rgb), "i420", 8, 6).luma
    assert grey.shape == y.shape == (6, 8)
    assert np.abs((y.astype(float) - 16) * 255 / 219 - grey).max() < 3


def test_luma_of_i420_copies_nothing():
    frame = frame_of(np.zeros((9, 8), np.uint8), "i420", 8, 6)
    assert np.shares_memory(frame.luma, frame.pixels)


@pytest.mark.parametrize(
    ("shape", "dtype", "layout", "width", "height"),
    [
        ((6, 8, 3), np.float32, "rgb", 8, 6),
        ((8, 6, 3), np.uint8, "rgb", 8, 6),
        ((6, 8), np.uint8, "i420", 8, 6),
        ((7, 5), np.uint8, "i420", 5, 5),
    ],
)
def test_pixels_that_are_not_what_the_layout_says_are_refused(shape, dtype, layout, width, height):
    with pytest.raises(ValueError, match=layout):
        frame_of(np.zeros(shape, dtype), layout, width, height)
