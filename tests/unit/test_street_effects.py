"""A covered lens is dark and soft, a shaking pole shifts, and a cover's edge hides what it should."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hardware.camera.street import Street
from hardware.camera.street_effects import LensCover, covered, dimmed, shaken

PICTURE = Street(3, 320, 240).render(12.0)


@pytest.mark.parametrize("what", ["hand", "bag", "paint"])
def test_a_covered_lens_shows_no_detail_and_little_light(what):
    picture = covered(PICTURE, LensCover(what))
    assert (picture.shape, picture.dtype) == (PICTURE.shape, np.uint8)
    assert picture.mean() < 0.8 * PICTURE.mean()
    assert cv2.Canny(PICTURE, 60, 120).any()
    assert not cv2.Canny(picture, 60, 120).any()


def test_two_pictures_of_a_covered_lens_differ_by_noise_alone():
    first, second = (covered(PICTURE, LensCover("hand"), moment).astype(int) for moment in (1, 2))
    assert 0 < np.abs(first - second).mean() < 4


def test_a_cover_that_hides_a_part_leaves_the_rest_as_it_is():
    picture = covered(PICTURE, LensCover("hand", share=0.3))
    np.testing.assert_array_equal(picture[:, 120:], PICTURE[:, 120:])
    assert picture[:, :80].mean() < 0.5 * PICTURE[:, :80].mean()
    other = covered(PICTURE, LensCover("hand", share=0.3, from_left=False))
    np.testing.assert_array_equal(other[:, :200], PICTURE[:, :200])


def test_a_shaken_picture_is_shifted_and_a_dimmed_one_darker():
    np.testing.assert_array_equal(shaken(PICTURE, 2, 1)[10:-10, 10:-10], PICTURE[9:-11, 8:-12])
    assert dimmed(PICTURE, 0.5).mean() == pytest.approx(PICTURE.mean() / 2, rel=0.02)
