"""Draws a picture with half-block characters: two pixels to a letter, one above the other."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

UPPER_HALF: Final = "▀"


def drawn(jpeg: bytes, columns: int, rows: int) -> Text:
    """Return a picture as lines of half blocks that fit.

    Args:
        jpeg: the picture.
        columns: letters across, at most.
        rows: lines, at most.

    Raises:
        OSError: it is no picture that can be read.
    """
    with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as opened:
        picture = opened.convert("RGB")
    scale = min(columns / picture.width, 2 * rows / picture.height)
    width, height = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
    pixels = picture.resize((width, height + height % 2)).load()
    assert pixels is not None
    text = Text(no_wrap=True)
    for y in range(0, height, 2):
        for x in range(width):
            above, below = pixels[x, y], pixels[x, y + 1]
            text.append(UPPER_HALF, Style(color=_colour(above), bgcolor=_colour(below)))
        text.append("\n")
    return text


def _colour(pixel: float | tuple[int, ...]) -> Color:
    assert isinstance(pixel, tuple)
    red, green, blue = pixel[:3]
    return Color.from_rgb(red, green, blue)
