"""Pictures made into training examples: mosaic, scale, flip, colour; pure functions."""

from __future__ import annotations

import cv2
import numpy as np

from device.models.training.layout import STRIDES
from device.models.training.pictures import Picture, parse_no_rows

_GREY = 114
_LEAST_SIDE_PX = 3.0
_LEAST_VISIBLE_SHARE = 0.3
_STRETCH = 0.33
_MIX = 16.0


def letterbox(picture: Picture, size: int) -> Picture:
    """The whole picture, centred on a grey square of `size` pixels."""
    height, width = picture.pixels.shape[:2]
    scale = size / max(height, width)
    shift = ((size - width * scale) // 2, (size - height * scale) // 2)
    return _place([(picture, (scale, scale), shift, (0, 0, size, size))], size)


def mosaic(pictures: list[Picture], size: int, rng: np.random.Generator) -> Picture:
    """Four pictures around a point, each scaled at random (Bochkovskiy et al. 2020, arXiv:2004.10934)."""
    x, y = (int(size * v) for v in rng.uniform(0.3, 0.7, 2))
    regions = ((0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size))
    placed = []
    for picture, (left, top, right, bottom) in zip(pictures, regions, strict=True):
        height, width = picture.pixels.shape[:2]
        scale = _stretched(size * float(rng.uniform(0.4, 1.25)) / max(height, width), rng)
        # The corner that touches the point stays whole; the far side may be cut.
        shift_x = right - width * scale[0] if left == 0 else left
        shift_y = bottom - height * scale[1] if top == 0 else top
        placed.append((picture, scale, (shift_x, shift_y), (left, top, right, bottom)))
    return _place(placed, size)


def scaled(picture: Picture, size: int, rng: np.random.Generator) -> Picture:
    """One picture, larger or smaller than its letterbox and shifted at random."""
    height, width = picture.pixels.shape[:2]
    scale = _stretched(size * float(rng.uniform(0.4, 1.6)) / max(height, width), rng)
    free_x, free_y = size - width * scale[0], size - height * scale[1]
    shift = (free_x * float(rng.uniform(0, 1)), free_y * float(rng.uniform(0, 1)))
    return _place([(picture, scale, shift, (0, 0, size, size))], size)


def _stretched(scale: float, rng: np.random.Generator) -> tuple[float, float]:
    """Scales of width and height: their ratio varies as lenses and postures do, by a sixth either way."""
    ratio = float(np.exp(rng.uniform(-_STRETCH, _STRETCH) / 2))
    return scale * ratio, scale / ratio


def mixed(one: Picture, other: Picture, rng: np.random.Generator) -> Picture:
    """Two pictures of one size laid over one another, about half each (Zhang et al. 2017, arXiv:1710.09412).

    As YOLOX does (Ge et al. 2021, arXiv:2107.08430), the boxes of both count in full.
    """
    share = float(rng.beta(_MIX, _MIX))
    return Picture(
        cv2.addWeighted(one.pixels, share, other.pixels, 1 - share, 0),
        np.concatenate([one.classes, other.classes]),
        np.concatenate([one.boxes, other.boxes]),
        one.blind | other.blind,
    )


def flipped(picture: Picture) -> Picture:
    """Left and right exchanged."""
    boxes = picture.boxes.copy()
    boxes[:, 0], boxes[:, 2] = 1 - picture.boxes[:, 2], 1 - picture.boxes[:, 0]
    pixels, blind = (np.ascontiguousarray(part[:, ::-1]) for part in (picture.pixels, picture.blind))
    return Picture(pixels, picture.classes, boxes, blind)


def recoloured(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other light: hue, saturation, brightness; now and then grey, dark, blurred, noisy or compressed."""
    hue, saturation, value = rng.uniform(-1, 1, 3) * (0.015, 0.6, 0.4) + (0, 1, 1)
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    ramp = np.arange(256)
    if rng.random() < 0.12:  # dusk and night
        value *= rng.uniform(0.25, 0.7)
    tables = ((ramp + hue * 180) % 180, (ramp * saturation).clip(0, 255), (ramp * value).clip(0, 255))
    channels = [cv2.LUT(c, t.astype(np.uint8)) for c, t in zip(cv2.split(hsv), tables, strict=True)]
    pixels = cv2.cvtColor(cv2.merge(channels), cv2.COLOR_HSV2RGB)
    chance = rng.random()
    if chance < 0.04:
        pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    elif chance < 0.10:
        pixels = cv2.GaussianBlur(pixels, (3, 3), 0)
    elif chance < 0.16:
        noise = rng.normal(0, rng.uniform(3, 12), pixels.shape)
        pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
    elif chance < 0.22:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 60))]
        pixels = np.asarray(cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_COLOR))
    elif chance < 0.25:
        pixels = cv2.blur(pixels, (int(rng.integers(3, 8)), 1))  # motion
    return pixels


def with_holes(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up to four patches painted over, as poles and leaves hide objects: random erasing, arXiv:1708.04896."""
    height, width = pixels.shape[:2]
    holed = pixels.copy()
    for _ in range(int(rng.integers(1, 5))):
        tall, wide = (int(side * rng.uniform(0.03, 0.18)) for side in (height, width))
        top, left = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
        holed[top : top + tall, left : left + wide] = rng.integers(0, 256, 3)
    return holed


_Pair = tuple[float, float]
_Placement = tuple[Picture, _Pair, _Pair, tuple[int, int, int, int]]


def _place(placements: list[_Placement], size: int) -> Picture:
    canvas = np.full((size, size, 3), _GREY, np.uint8)
    blind = np.zeros((size // STRIDES[0],) * 2, np.int64)
    classes, boxes = [], []
    for picture, scale, (shift_x, shift_y), (left, top, right, bottom) in placements:
        move = np.array([[scale[0], 0, shift_x - left], [0, scale[1], shift_y - top]], np.float32)
        # warpAffine puts pixel centres on whole numbers; ours lie on halves.
        move[:, 2] += 0.5 * np.array(scale, np.float32) - 0.5
        cv2.warpAffine(
            picture.pixels,
            move,
            (right - left, bottom - top),
            dst=canvas[top:bottom, left:right],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(_GREY, _GREY, _GREY),
        )
        grid = [round(edge / STRIDES[0]) for edge in (left, top, right, bottom)]
        blind[grid[1] : grid[3], grid[0] : grid[2]] = picture.blind[0, 0]
        found = _visible(picture, scale, (shift_x, shift_y), (left, top, right, bottom))
        classes.append(found[0])
        boxes.append(found[1])
    return Picture(canvas, np.concatenate(classes), np.concatenate(boxes) / np.float32(size), blind)


def _visible(
    picture: Picture, scale: _Pair, shift: _Pair, region: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    if not len(picture.boxes):
        return parse_no_rows()
    height, width = picture.pixels.shape[:2]
    sides = np.array([width * scale[0], height * scale[1]] * 2, np.float32)
    whole = picture.boxes * sides + np.array(shift * 2, np.float32)
    low, high = np.array(region[:2] * 2), np.array(region[2:] * 2)
    cut = whole.clip(low, high).astype(np.float32)
    size_whole, size_cut = whole[:, 2:] - whole[:, :2], cut[:, 2:] - cut[:, :2]
    share = size_cut.prod(1) / np.maximum(size_whole.prod(1), 1e-6)
    keep = (size_cut.min(1) >= _LEAST_SIDE_PX) & (share >= _LEAST_VISIBLE_SHARE)
    return picture.classes[keep], cut[keep]
