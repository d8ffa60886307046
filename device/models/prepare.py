"""A frame to a model's input, as cheaply as it goes, and the way back for its boxes.

Resizes first and converts colours at the small size. Letterbox is that of Ultralytics (grey 114, centred,
sides rounded); resizing is bilinear. Never keeps a frame, and never runs a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from device.models.bundle import InputCard
from device.models.quantise import Array, TensorSpec, quantise
from hardware.camera.frame import Frame

GREY = 114
"""The padding of YOLO's letterbox."""

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the picture lies in the model's input, in pixels of that input.

    Attributes:
        left: Padding at the left.
        top: Padding above.
        width: Of the picture, without the padding.
        height: Of the picture, without the padding.
        input_width: Of the whole input.
        input_height: Of the whole input.
    """

    left: int
    top: int
    width: int
    height: int
    input_width: int
    input_height: int

    def to_original(self, boxes: Floats) -> Floats:
        """Boxes in 0..1 of the model's input to boxes in 0..1 of the original, clipped.

        Args:
            boxes: (N, 4) left, top, right, bottom.
        """
        scale, shift = _way_back(self)
        original: Floats = boxes * scale
        original -= shift
        np.maximum(original, np.float32(0), out=original)
        return np.minimum(original, np.float32(1), out=original)


@lru_cache(maxsize=32)
def _way_back(put: Placement) -> tuple[Floats, Floats]:
    """Scale and shift of :meth:`Placement.to_original`; a camera has one placement for all of its frames."""
    across, down = put.input_width / put.width, put.input_height / put.height
    left, top = put.left / put.width, put.top / put.height
    return np.array([across, down, across, down], np.float32), np.array([left, top, left, top], np.float32)


def place(
    width: int, height: int, card: InputCard, *, even: bool = False, resize: str | None = None
) -> Placement:
    """Where a picture of some size goes in a model's input.

    Args:
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        card: The model's input.
        even: Round the sides to even numbers, for pictures whose colour has half the resolution.
        resize: In place of the card's policy.
    """
    if (resize or card.resize) == "stretch":
        return Placement(0, 0, card.width, card.height, card.width, card.height)
    ratio = min(card.width / width, card.height / height)
    step = 2 if even else 1
    new_width = min(card.width, max(step, step * round(width * ratio / step)))
    new_height = min(card.height, max(step, step * round(height * ratio / step)))
    left = round((card.width - new_width) / 2 - 0.1)
    top = round((card.height - new_height) / 2 - 0.1)
    return Placement(left, top, new_width, new_height, card.width, card.height)


class Preparer:
    """Writes frames into a model's input. Keeps its buffers; not for two threads at once.

    Args:
        card: The model's input.
        spec: The input tensor.
        decoder: The model's decoder; it tells what a float input wants.
    """

    def __init__(self, card: InputCard, spec: TensorSpec, decoder: str) -> None:
        self._card = card
        self._canvas: Bytes = np.empty((card.height, card.width, 3), np.uint8)
        self._small = np.empty((0, 0), np.uint8)
        self._seen: tuple[int, int, str] | None = None
        self._placement = place(card.width, card.height, card)
        self._mode, self._table = _conversion(spec, decoder)

    def write(self, frame: Frame, out: Array) -> Placement:
        """Put a frame into the input tensor.

        Args:
            frame: RGB or I420.
            out: The tensor's memory, (1, height, width, 3).

        Returns:
            Where the picture lies, to bring boxes back.
        """
        if self._mode == "table":
            self._draw(frame, self._canvas)
            np.take(self._table, self._canvas, out=out[0], mode="clip")
            return self._placement
        # Straight into the tensor: one way through its memory less.
        pixels = out[0].view(np.uint8)
        self._draw(frame, pixels)
        if self._mode == "flip":
            np.bitwise_xor(pixels, np.uint8(0x80), out=pixels)
        return self._placement

    def _draw(self, frame: Frame, canvas: Bytes) -> None:
        """The frame as small RGB (or BGR) on a canvas, grey round it."""
        is_planar = frame.layout == "i420" and _is_even(self._card)
        self._make_room(frame, is_planar)
        put = self._placement
        bottom, right = put.top + put.height, put.left + put.width
        # The model may use its input's memory for something else meanwhile: the grey does not stay.
        canvas[: put.top], canvas[bottom:] = GREY, GREY
        if put.width < put.input_width:
            canvas[put.top : bottom, : put.left], canvas[put.top : bottom, right:] = GREY, GREY
        window = canvas[put.top : bottom, put.left : right]
        is_bgr = self._card.colour == "bgr"
        if is_planar:
            code = cv2.COLOR_YUV2BGR_I420 if is_bgr else cv2.COLOR_YUV2RGB_I420
            cv2.cvtColor(self._shrink(frame, put), code, dst=window)
            return
        cv2.resize(frame.to_rgb(), (put.width, put.height), dst=window, interpolation=cv2.INTER_LINEAR)
        if is_bgr:
            cv2.cvtColor(window, cv2.COLOR_RGB2BGR, dst=window)

    def _make_room(self, frame: Frame, is_planar: bool) -> None:
        """Lay out the canvas anew when the size of the frames changes."""
        seen = (frame.width, frame.height, frame.layout)
        if seen == self._seen:
            return
        self._seen = seen
        self._placement = place(frame.width, frame.height, self._card, even=is_planar)
        if is_planar:
            self._small = np.empty((self._placement.height * 3 // 2, self._placement.width), np.uint8)

    def _shrink(self, frame: Frame, put: Placement) -> Bytes:
        """The three planes of an I420 frame at the size of the placement, as one I420 picture."""
        if (frame.width, frame.height) == (put.width, put.height):
            return frame.pixels
        luma, *colours = _planes(frame.pixels, frame.width, frame.height)
        small_luma, *small_colours = _planes(self._small, put.width, put.height)
        if (frame.width, frame.height) == (2 * put.width, 2 * put.height):
            np.copyto(small_luma, frame.half_luma)
        else:
            cv2.resize(luma, (put.width, put.height), dst=small_luma, interpolation=cv2.INTER_LINEAR)
        for plane, small in zip(colours, small_colours, strict=True):
            cv2.resize(plane, small.shape[::-1], dst=small, interpolation=cv2.INTER_LINEAR)
        return self._small


def _is_even(card: InputCard) -> bool:
    return card.width % 2 == 0 and card.height % 2 == 0


def _planes(pixels: Bytes, width: int, height: int) -> tuple[Bytes, Bytes, Bytes]:
    """Y, U and V of an I420 picture, as views."""
    flat = pixels.reshape(-1)
    luma, chroma = width * height, width * height // 4
    half = (height // 2, width // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(half),
        flat[luma + chroma : luma + 2 * chroma].reshape(half),
    )


def _conversion(spec: TensorSpec, decoder: str) -> tuple[Literal["same", "flip", "table"], Array]:
    """How a byte of a picture becomes a value of the input, and the table of all 256 if it needs one.

    Nearly every model is quantised so that the byte itself (uint8), or less 128 (int8), is the value.
    """
    pixels = np.arange(256, dtype=np.float32)
    if not spec.is_quantised:
        return "table", _as_float(pixels, decoder)
    table = quantise(_meant(pixels, spec), spec)
    shift = 128 if spec.dtype == np.int8 else 0
    if np.abs(table.astype(np.float32) - (pixels - shift)).max() <= 1.5:
        return ("flip" if shift else "same"), table
    return "table", table


def _as_float(pixels: Floats, decoder: str) -> Floats:
    """What a float input of each family wants: SSD -1..1, Pehra's own the same by 1/128, YOLO 0..1."""
    if decoder == "ssd-postprocess":
        return (pixels - np.float32(127.5)) / np.float32(127.5)
    return (
        (pixels - np.float32(128)) / np.float32(128) if decoder == "pehra-ltrb" else pixels / np.float32(255)
    )


def _meant(pixels: Floats, spec: TensorSpec) -> Floats:
    """The real value a pixel stands for, read from the range that the tensor was calibrated to."""
    limits = np.iinfo(spec.dtype.name)
    least = (limits.min - spec.zero_point) * spec.scale
    most = (limits.max - spec.zero_point) * spec.scale
    if least < -0.5:
        return (pixels - 127.5) / np.float32(127.5)
    return pixels if most > 2.0 else pixels / np.float32(255.0)
