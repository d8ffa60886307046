"""Augmentation keeps boxes on their objects: a red block is found again where its box says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from device.models.training.augment import (
    flipped,
    letterbox,
    mixed,
    mosaic,
    recoloured,
    scaled,
    with_holes,
)
from device.models.training.batches import BatchMaker, Wish, chances, stack
from device.models.training.pictures import Picture, parse_no_rows

RED = (255, 0, 0)


def block(height: int = 120, width: int = 200, box: tuple[int, int, int, int] = (60, 30, 140, 90)) -> Picture:
    pixels = np.full((height, width, 3), 40, np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = RED
    sides = np.array([width, height, width, height], np.float32)
    return Picture(pixels, np.array([1]), np.array([box], np.float32) / sides)


def extent(pixels: np.ndarray) -> list[float]:
    """Left, top, right, bottom of what is red, in 0..1."""
    rows, columns = np.nonzero((pixels[..., 0] > 150) & (pixels[..., 1] < 100))
    height, width = pixels.shape[:2]
    return [
        columns.min() / width,
        rows.min() / height,
        (columns.max() + 1) / width,
        (rows.max() + 1) / height,
    ]


@pytest.mark.parametrize("size", [96, 160, 320])
def test_a_letterbox_keeps_the_box_on_its_object(size: int) -> None:
    made = letterbox(block(), size)
    assert made.pixels.shape == (size, size, 3)
    np.testing.assert_allclose(made.boxes[0], extent(made.pixels), atol=1.5 / size)
    assert made.pixels[0, 0].tolist() == [114, 114, 114]


def test_a_flip_keeps_the_box_on_its_object() -> None:
    made = flipped(block(box=(10, 30, 60, 90)))
    np.testing.assert_allclose(made.boxes[0], extent(made.pixels), atol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_scaling_keeps_what_is_seen_of_the_box_on_its_object(seed: int) -> None:
    made = scaled(block(), 160, np.random.default_rng(seed))
    if len(made.boxes):
        np.testing.assert_allclose(made.boxes[0], extent(made.pixels), atol=2 / 160)


@pytest.mark.parametrize("seed", range(12))
def test_a_mosaic_keeps_boxes_on_their_objects(seed: int) -> None:
    empty = Picture(np.full((100, 100, 3), 40, np.uint8), *parse_no_rows())
    for position in range(4):
        four = [empty] * 4
        four[position] = block()
        made = mosaic(four, 160, np.random.default_rng(seed))
        if len(made.boxes):
            np.testing.assert_allclose(made.boxes[0], extent(made.pixels), atol=2 / 160)


def test_most_mosaics_keep_their_object() -> None:
    made = [mosaic([block()] * 4, 160, np.random.default_rng(seed)) for seed in range(20)]
    assert sum(len(picture.boxes) for picture in made) > 40


def test_a_mosaic_remembers_which_classes_nobody_labelled_in_each_of_its_parts() -> None:
    four = [replace(block(), blind=np.full((1, 1), bits)) for bits in (1, 2, 4, 8)]
    made = mosaic(four, 160, np.random.default_rng(3))
    assert made.blind.shape == (20, 20)
    corners = made.blind[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert sorted(corners.tolist()) == [1, 2, 4, 8]
    assert set(np.unique(made.blind)) == {1, 2, 4, 8}


def test_a_flip_turns_the_unlabelled_parts_too() -> None:
    picture = replace(block(), blind=np.array([[1, 2]]))
    assert flipped(picture).blind.tolist() == [[2, 1]]


def test_pictures_of_a_rare_class_are_drawn_more_often() -> None:
    common, rare = block(), replace(block(), classes=np.array([0]))
    ends = chances([common] * 19 + [rare])
    share_of_rare = ends[-1] - ends[-2]
    assert share_of_rare > 2 * ends[0]
    assert ends[-1] == 1.0


def test_other_light_keeps_shape_and_type() -> None:
    pixels = block().pixels
    for seed in range(60):
        made = recoloured(pixels, np.random.default_rng(seed))
        assert made.shape == pixels.shape
        assert made.dtype == np.uint8


def test_holes_cover_a_part_of_the_picture_and_leave_the_original_alone() -> None:
    pixels = block().pixels
    before = pixels.copy()
    for seed in range(30):
        made = with_holes(pixels, np.random.default_rng(seed))
        changed = (made != pixels).any(axis=2).mean()
        assert 0 < changed < 0.15
    assert (pixels == before).all()


def test_a_batch_knows_which_box_belongs_to_which_picture() -> None:
    empty = letterbox(Picture(np.zeros((96, 96, 3), np.uint8), *parse_no_rows()), 96)
    made = stack([empty, letterbox(block(), 96), empty, letterbox(block(), 96)])
    assert made.pixels.shape == (4, 96, 96, 3)
    assert made.owners.tolist() == [1, 3]
    assert made.boxes.max() > 1.0
    assert made.boxes.dtype == np.float32


def test_batches_come_from_a_thread_and_a_new_wish_is_heard() -> None:
    maker = BatchMaker([[block()]], [1.0], batch=2, seed=1, wish=Wish(96, is_mosaic=True))
    maker.start()
    try:
        sizes = {maker.next(Wish(160, is_mosaic=False)).pixels.shape[1] for _ in range(12)}
    finally:
        maker.stop()
    assert 160 in sizes


def test_what_breaks_in_the_thread_is_raised_where_it_is_waited_for() -> None:
    broken = Picture(np.zeros((0, 0, 3), np.uint8), *parse_no_rows())
    maker = BatchMaker([[broken]], [1.0], batch=2, seed=1, wish=Wish(96, is_mosaic=False))
    maker.start()
    try:
        with pytest.raises(ZeroDivisionError):
            maker.next(Wish(96, is_mosaic=False))
    finally:
        maker.stop()


def test_mixed_pictures_keep_the_boxes_and_the_blind_spots_of_both() -> None:
    one, other = letterbox(block(), 160), letterbox(block(box=(10, 70, 60, 110)), 160)
    other = replace(other, blind=other.blind | 4)
    made = mixed(one, other, np.random.default_rng(3))
    np.testing.assert_array_equal(made.boxes, np.concatenate([one.boxes, other.boxes]))
    assert (made.blind & 4).all()
    inside_both = made.pixels[
        *(np.array([(one.boxes[0, 1] + one.boxes[0, 3]), (one.boxes[0, 0] + one.boxes[0, 2])]) * 80).astype(
            int
        )
    ]
    assert 40 < inside_both[0] < 255


@pytest.mark.parametrize("seed", range(6))
def test_pictures_are_stretched_and_boxes_with_them(seed: int) -> None:
    made = scaled(block(box=(80, 50, 120, 70)), 160, np.random.default_rng(seed))
    if not len(made.boxes):
        return
    width, height = made.boxes[0, 2:] - made.boxes[0, :2]
    assert width / height == pytest.approx(2.0, rel=0.45)
    assert width / height != pytest.approx(2.0, rel=1e-4)
