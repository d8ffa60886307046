"""Decoding with PyAV, for each driver that reads a container or a stream; it neither keeps time nor paces.

Pictures come upright: a rotation that the container asks for, as phones do, is carried out here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np

from hardware.camera.frame import Pixels
from hardware.errors import CameraUnavailable

_LONGEST_STEP_S = 5.0
_RATE_UNKNOWN_FPS = 25.0


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded picture and its presentation time in seconds since the first; `picture` is PyAV's."""

    picture: Any
    ts_s: float


class Video:
    """An opened container or stream.

    Args:
        address: A path or URL that libavformat understands.
        name: The same for people, credentials masked.
        what_to_do: What to tell the operator if it cannot be opened.
        options: libavformat's options.
        timeout_s: Seconds that opening and each reading may take; None for no limit.

    Raises:
        CameraUnavailable: If it cannot be opened or holds no video.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str,
        what_to_do: str,
        options: dict[str, str] | None = None,
        timeout_s: tuple[float, float] | None = None,
    ) -> None:
        self._name, self._what_to_do = name, what_to_do
        try:
            self._container = av.open(address, options=options or {}, timeout=timeout_s)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise CameraUnavailable(name, _sentence(error), what_to_do) from error
        if not self._container.streams.video:
            self._container.close()
            raise CameraUnavailable(name, "there is no video in it", what_to_do)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.frames_promised: int = self._stream.frames
        self.frame_rate: float = float(self._stream.average_rate or self._stream.guessed_rate or 0)

    def decode(self) -> Iterator[Decoded]:
        """Yield every picture that can be decoded; a damaged packet is passed over.

        Times never run backwards and never jump: where the file's do, by joined recordings or a wrap of the
        counter, the next picture follows the last by one frame's time.

        Raises:
            CameraUnavailable: If reading fails before the end.
        """
        times = _Times(1 / (self.frame_rate or _RATE_UNKNOWN_FPS))
        try:
            for packet in self._container.demux(self._stream):
                for picture in _pictures(packet):
                    yield Decoded(picture, times.of(picture.time))
        except (av.error.FFmpegError, OSError) as error:
            raise CameraUnavailable(self._name, _sentence(error), self._what_to_do) from error

    def is_short(self, count: int) -> bool:
        """Whether `count` frames are fewer than the container promised.

        A few less are no damage: an edit list may leave out the first frames.
        """
        return count < self.frames_promised - max(2, self.frames_promised // 50)

    def close(self) -> None:
        """Let go of the file or connection."""
        self._container.close()


class _Times:
    """Presentation times as seconds since the first picture, without the file's jumps."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._longest_s = max(_LONGEST_STEP_S, 2 * step_s)
        self._zero_s: float | None = None
        self._last_s = 0.0

    def of(self, at_s: float | None) -> float:
        if self._zero_s is None:
            self._zero_s = at_s or 0.0
            return 0.0
        expected_s = self._last_s + self._step_s
        ts_s = expected_s if at_s is None else at_s - self._zero_s
        if at_s is not None and not 0.0 <= ts_s - self._last_s <= self._longest_s:
            self._zero_s, ts_s = at_s - expected_s, expected_s
        self._last_s = ts_s
        return ts_s


def _pictures(packet: Any) -> list[Any]:  # noqa: ANN401 (PyAV's)
    try:
        return list(packet.decode())
    except av.error.InvalidDataError:
        return []


def _sentence(error: Exception) -> str:
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return "nothing came in time"
    if isinstance(error, av.error.InvalidDataError):
        return "it is no video, or a broken one"
    return getattr(error, "strerror", None) or str(error)


def fitted(width: int, height: int, most: tuple[int, int]) -> tuple[int, int]:
    """The largest even size of the same shape, in pixels, that fits into `most` and is not enlarged."""
    share = min(1.0, most[0] / width, most[1] / height)
    return max(2, int(width * share) // 2 * 2), max(2, int(height * share) // 2 * 2)


def upright_size(picture: Any) -> tuple[int, int]:  # noqa: ANN401
    """Pixels (across, down) of a decoded picture once it stands upright."""
    size = picture.width, picture.height
    return size[::-1] if _quarter_turns(picture) % 2 else size


def _quarter_turns(picture: Any) -> int:  # noqa: ANN401
    """Quarter turns counter-clockwise that the container asks for, 0..3; other angles are not turned."""
    turns, rest = divmod(int(picture.rotation), 90)
    return 0 if rest else turns % 4


def to_i420(picture: Any, size: tuple[int, int]) -> Pixels:  # noqa: ANN401
    """A decoded picture as upright (H*3//2, W) uint8 I420, limited range BT.601, of even (width, height)."""
    turns = _quarter_turns(picture)
    width, height = size[::-1] if turns % 2 else size
    flat = picture.reformat(
        width=width,
        height=height,
        format="yuv420p",
        dst_colorspace="ITU601",
        src_color_range=picture.color_range,
        dst_color_range="MPEG",
        interpolation="AREA" if width < picture.width else "BILINEAR",
    )
    pixels: Pixels = flat.to_ndarray()
    return _turned_i420(pixels, (width, height), turns) if turns else pixels


def _turned_i420(pixels: Pixels, size: tuple[int, int], turns: int) -> Pixels:
    """An I420 picture of an even (width, height), turned plane by plane."""
    width, height = size
    luma, chroma = width * height, width * height // 4
    ends = (luma, luma + chroma)
    planes = np.split(pixels.reshape(-1), ends)
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    turned = [np.rot90(plane.reshape(shape), turns) for plane, shape in zip(planes, shapes, strict=True)]
    return np.concatenate([plane.reshape(-1) for plane in turned]).reshape(-1, turned[0].shape[1])


def to_rgb(picture: Any) -> Pixels:  # noqa: ANN401
    """A decoded picture as (H, W, 3) uint8 RGB, upright, at its own size."""
    pixels: Pixels = np.ascontiguousarray(
        np.rot90(picture.to_ndarray(format="rgb24"), _quarter_turns(picture))
    )
    return pixels
