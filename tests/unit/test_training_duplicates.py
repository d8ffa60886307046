"""A picture that repeats one of the validation split is found in whatever dress; another scene is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from device.models.training.duplicates import without_repeats
from device.models.training.pictures import Picture, parse_no_rows


def picture(pixels: np.ndarray) -> Picture:
    return Picture(pixels, *parse_no_rows())


def scene(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)


def recompressed(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], 1))


@pytest.mark.parametrize(
    "dress",
    [
        lambda pixels: pixels,
        recompressed,
        lambda pixels: pixels[:, ::-1],
        lambda pixels: (pixels * 0.6 + 30).astype(np.uint8),
        lambda pixels: cv2.resize(pixels, (160, 120), interpolation=cv2.INTER_AREA),
        lambda pixels: pixels[3:-3, 4:-4],
    ],
    ids=["equal", "recompressed", "mirrored", "paler", "smaller", "slightly cropped"],
)
def test_a_repeated_picture_is_left_out_of_training(dress) -> None:
    others = [picture(scene(seed)) for seed in range(1, 6)]
    repeated = picture(np.ascontiguousarray(dress(scene(0))))
    kept = without_repeats([*others[:2], repeated, *others[2:]], [picture(scene(0)), picture(scene(99))])
    assert [id(one) for one in kept] == [id(one) for one in others]


def test_other_scenes_are_kept_and_plain_grey_ones_repeat_nothing() -> None:
    grey = picture(np.full((240, 320, 3), 90, np.uint8))
    kept = without_repeats([picture(scene(1)), grey], [picture(scene(0)), grey])
    assert len(kept) == 2


def test_without_a_validation_split_nothing_is_left_out() -> None:
    assert len(without_repeats([picture(scene(1))], [])) == 1
    assert without_repeats([], [picture(scene(1))]) == []
