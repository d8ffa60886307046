"""Privacy masks: what lies inside one reaches nobody, in any layout and at any size."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.errors import ConfigError
from device.firmware.config import parse_config
from device.firmware.geometry import inside_polygon, polygon_fault
from device.firmware.masks import NEUTRAL, PAINT, Masks, masks_fault
from hardware.camera.frame import Frame

SQUARE = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]
WHOLE = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]

sides = st.integers(0, 2000).map(lambda steps: steps / 2000)
polygons = st.lists(
    st.lists(st.tuples(sides, sides), min_size=3, max_size=8).filter(
        lambda points: not polygon_fault(points)
    ),
    min_size=1,
    max_size=3,
)
sizes = st.tuples(st.integers(8, 60), st.integers(8, 60)).map(lambda half: (2 * half[0], 2 * half[1]))


def noise(layout, width, height, seed=0):
    shape = (height * 3 // 2, width) if layout == "i420" else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Frame(pixels, layout, width, height, 1.0, 1.8e9, 0)


def inside(points, width, height, step=1):
    """Which pixels (or chroma samples, `step` 2) have their centre in a polygon, by other means."""
    y, x = np.mgrid[0:height:step, 0:width:step] + 0.5
    if step == 2:
        y, x = y + 0.5, x + 0.5
    centres = np.stack([x.ravel() / width, y.ravel() / height], axis=1)
    return inside_polygon(centres, np.array(points)).reshape(x.shape)


@given(polygons, sizes)
@settings(max_examples=80, deadline=None)
def test_every_pixel_inside_a_mask_is_paint_in_rgb_and_in_i420(masks, size):
    width, height = size
    rgb = Masks(masks).paint(noise("rgb", width, height)).pixels
    i420 = Masks(masks).paint(noise("i420", width, height)).pixels
    luma = i420[:height]
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    for points in masks:
        here = inside(points, width, height)
        assert (rgb[here] == PAINT).all()
        assert (luma[here] == PAINT).all()
        blocks = here.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3))
        assert (chroma[:, blocks] == NEUTRAL).all(), "a colour sample tells of a masked pixel"


@given(polygons, sizes, st.sampled_from(["rgb", "i420"]))
@settings(max_examples=40, deadline=None)
def test_what_is_two_pixels_outside_all_masks_stays_as_it_was(masks, size, layout):
    width, height = size
    before = noise(layout, width, height).pixels
    painted = Masks(masks).paint(noise(layout, width, height))
    y, x = np.mgrid[0:height, 0:width]
    far = np.ones((height, width), bool)
    for points in masks:
        edge = np.array([*points, points[0]]) * [width, height]
        for (ax, ay), (bx, by) in pairwise(edge):
            along = np.clip(
                ((x + 0.5 - ax) * (bx - ax) + (y + 0.5 - ay) * (by - ay))
                / max((bx - ax) ** 2 + (by - ay) ** 2, 1e-9),
                0,
                1,
            )
            far &= np.hypot(x + 0.5 - ax - along * (bx - ax), y + 0.5 - ay - along * (by - ay)) > 3.0
        far &= ~inside(points, width, height)
    assert np.array_equal(painted.pixels[:height][far], before[:height][far])


@pytest.mark.parametrize("layout", ["rgb", "i420"])
def test_masks_are_painted_where_the_picture_lies(layout):
    frame = noise(layout, 64, 48)
    bright = frame.half_luma.copy()
    painted = Masks([SQUARE]).paint(frame)
    assert np.shares_memory(painted.pixels, frame.pixels)
    assert (frame.pixels[24, 32] == PAINT).all()
    assert painted.half_luma[12, 16] == PAINT
    assert not np.array_equal(painted.half_luma, bright)


def test_memory_that_cannot_be_written_to_is_copied():
    frame = noise("i420", 64, 48)
    before = frame.pixels.copy()
    frame.pixels.flags.writeable = False
    painted = Masks([SQUARE]).paint(frame)
    assert np.array_equal(frame.pixels, before)
    assert (painted.mono_s, painted.seq) == (frame.mono_s, frame.seq)


@pytest.mark.parametrize(
    "turned", [np.asfortranarray, lambda pixels: pixels[::-1], lambda pixels: pixels[..., ::-1]]
)
def test_memory_that_does_not_lie_in_rows_is_painted_all_the_same(turned):
    frame = noise("rgb", 64, 48)
    painted = Masks([SQUARE]).paint(replace(frame, pixels=turned(frame.pixels)))
    assert (painted.pixels[24, 32] == PAINT).all()
    assert np.array_equal(painted.pixels[0], turned(noise("rgb", 64, 48).pixels)[0])


def test_without_a_mask_a_frame_goes_through_untouched():
    frame = noise("rgb", 64, 48)
    assert Masks().paint(frame) is frame


def test_a_mask_follows_a_camera_that_changes_its_size_and_layout():
    masks = Masks([SQUARE])
    for layout, width, height in (("rgb", 64, 48), ("i420", 64, 48), ("i420", 320, 240), ("rgb", 64, 48)):
        pixels = masks.paint(noise(layout, width, height)).pixels
        assert (pixels[height // 2, width // 2] == PAINT).all()
        assert not (pixels[2] == PAINT).all()


CONFIG = """\
[device]
id = "cam-01"
[mqtt]
host = "localhost"
[[camera]]
source = "street"
[[camera.mask]]
name = "window"
points = {points}
"""


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ("[[0.1, 0.1], [0.9, 0.9]]", "length >= 3"),
        ("[[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]", "edge 1 crosses edge 3"),
        ("[[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]", "the mask has no area"),
        ("[[0.1, 0.1], [1.2, 0.2], [0.3, 0.3]]", "<= 1"),
        ("[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]", "better taken down"),
        ("[[0.1, 0.1], [nan, 0.2], [0.3, 0.3]]", ""),
    ],
)
def test_a_bad_mask_is_refused_with_its_line_and_what_is_wrong(points, words):
    with pytest.raises(ConfigError) as refused:
        parse_config(CONFIG.format(points=points), Path("device.toml"))
    assert refused.value.path.startswith("camera[0].mask[0].points")
    assert refused.value.line == 9
    assert words in refused.value.reason


def test_two_masks_may_not_have_one_name():
    text = CONFIG.format(points=[list(point) for point in SQUARE])
    text += text[text.index("[[camera.mask]]") :]
    with pytest.raises(ConfigError, match="another mask"):
        parse_config(text, Path("device.toml"))


def test_masks_that_together_hide_everything_are_refused_though_each_is_good():
    left = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    right = [(0.49, 0.0), (1.0, 0.0), (1.0, 1.0), (0.49, 1.0)]
    assert masks_fault([left]) is None
    assert masks_fault([left, right]) is not None
    assert masks_fault([WHOLE])[0] == 0
