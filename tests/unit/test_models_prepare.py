from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.models.bundle import InputCard
from device.models.prepare import GREY, Preparer, place
from device.models.quantise import TensorSpec
from hardware.camera.frame import Frame, rgb_to_i420

INT8_OURS = ("int8", 0.0078125, 0)
INT8_YOLO = ("int8", 1 / 255, -128)
UINT8_YOLO = ("uint8", 1 / 255, 0)
UINT8_SSD = ("uint8", 0.0078125, 128)


def card_of(kind: tuple = UINT8_YOLO, size: tuple[int, int] = (64, 48), **more: str) -> InputCard:
    return InputCard(width=size[0], height=size[1], dtype=kind[0], scale=kind[1], zero_point=kind[2], **more)


def spec_of(card: InputCard) -> TensorSpec:
    return TensorSpec(
        "in", (1, card.height, card.width, 3), np.dtype(card.dtype), card.scale, card.zero_point
    )


def frame_of(pixels: np.ndarray, layout: str = "rgb") -> Frame:
    height, width = pixels.shape[:2]
    return Frame(pixels if layout == "rgb" else rgb_to_i420(pixels), layout, width, height, 0.0, 0.0, 0)


def written(card: InputCard, frame: Frame, decoder: str = "yolov8") -> np.ndarray:
    spec = spec_of(card)
    out = np.zeros(spec.shape, spec.dtype)
    Preparer(card, spec, decoder).write(frame, out)
    return out[0]


def smooth(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack(
        [x * 200 // width + 20, y * 200 // height + 20, (x + y) * 100 // (width + height) + 60], 2
    ).astype(np.uint8)


@pytest.mark.parametrize("kind", [INT8_OURS, INT8_YOLO])
def test_int8_is_the_pixel_less_128(kind: tuple) -> None:
    pixels = smooth(64, 48)
    assert np.array_equal(
        written(card_of(kind), frame_of(pixels)), (pixels.astype(int) - 128).astype(np.int8)
    )


@pytest.mark.parametrize("kind", [UINT8_YOLO, UINT8_SSD])
def test_uint8_is_the_pixel(kind: tuple) -> None:
    pixels = smooth(64, 48)
    assert np.array_equal(written(card_of(kind), frame_of(pixels)), pixels)


def test_an_unusual_scale_is_quantised_through_a_table() -> None:
    pixels = smooth(64, 48)
    expected = np.rint(pixels.astype(np.float32) / 255 / np.float32(0.005)).astype(np.uint8)
    assert np.array_equal(written(card_of(("uint8", 0.005, 0)), frame_of(pixels)), expected)


def test_float_input_is_0_to_1_for_yolo_and_minus_1_to_1_for_ssd() -> None:
    pixels = smooth(64, 48)
    card = card_of(("float32", 0.0, 0))
    assert written(card, frame_of(pixels)) == pytest.approx(pixels / 255, abs=1e-6)
    assert written(card, frame_of(pixels), "ssd-postprocess") == pytest.approx(pixels / 127.5 - 1, abs=1e-6)


def test_colours_are_turned_for_a_bgr_model() -> None:
    pixels = smooth(64, 48)
    assert np.array_equal(written(card_of(colour="bgr"), frame_of(pixels)), pixels[..., ::-1])


def test_the_padding_of_a_letterbox_is_grey_and_centred() -> None:
    out = written(card_of(size=(64, 64)), frame_of(np.full((10, 20, 3), 200, np.uint8)))
    assert (out[:16] == GREY).all()
    assert (out[48:] == GREY).all()
    assert (out[16:48] == 200).all()


def test_the_padding_is_laid_anew_when_the_frames_change_their_size() -> None:
    card = card_of(size=(64, 64))
    spec = spec_of(card)
    preparer = Preparer(card, spec, "yolov8")
    out = np.zeros(spec.shape, spec.dtype)
    preparer.write(frame_of(np.full((64, 64, 3), 9, np.uint8)), out)
    preparer.write(frame_of(np.full((32, 64, 3), 200, np.uint8)), out)
    assert (out[0, :16] == GREY).all()


@pytest.mark.parametrize("size", [(640, 480), (64, 48), (1280, 720), (48, 64)])
def test_planar_frames_give_nearly_the_same_input_as_rgb(size: tuple[int, int]) -> None:
    pixels = smooth(*size)
    card = card_of(size=(64, 64))
    rgb = written(card, frame_of(pixels)).astype(int)
    planar = written(card, frame_of(pixels, "i420")).astype(int)
    assert np.abs(rgb - planar).max() <= 10
    assert np.abs(rgb - planar).mean() < 2


def test_planar_frames_serve_a_model_of_odd_size_too() -> None:
    assert written(card_of(size=(33, 35)), frame_of(smooth(64, 48), "i420")).shape == (35, 33, 3)


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_a_picture_of_one_pixel_fills_its_place(resize: str) -> None:
    out = written(card_of(size=(64, 48), resize=resize), frame_of(np.full((1, 1, 3), 77, np.uint8)))
    assert out[24, 32].tolist() == [77, 77, 77]


SIDES = st.integers(1, 3000)


@given(SIDES, SIDES, st.sampled_from(["letterbox", "stretch"]), st.booleans())
def test_a_box_comes_back_to_where_it_was(width: int, height: int, resize: str, even: bool) -> None:
    put = place(width, height, card_of(size=(320, 256), resize=resize), even=even)
    assert 1 <= put.width <= 320
    assert 1 <= put.height <= 256
    original = np.array([[0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1]], np.float32)
    scale = np.array([put.width, put.height] * 2)
    shift = np.array([put.left, put.top] * 2)
    in_model = (original * scale + shift) / np.array([320, 256] * 2)
    assert put.to_original(in_model.astype(np.float32)) == pytest.approx(original, abs=2e-4)


def test_boxes_in_the_padding_are_clipped_to_the_picture() -> None:
    put = place(100, 50, card_of(size=(64, 64)))
    assert put.to_original(np.array([[-1, -1, 2, 2]], np.float32)).tolist() == [[0, 0, 1, 1]]


def test_the_letterbox_is_that_of_ultralytics() -> None:
    put = place(500, 375, card_of(size=(416, 416)))
    assert (put.left, put.top, put.width, put.height) == (0, 52, 416, 312)
    put = place(333, 500, card_of(size=(416, 416)))
    assert (put.left, put.top, put.width, put.height) == (69, 0, 277, 416)
