"""Decoding with PyAV, for each driver that reads a container or a stream; it neither keeps time nor paces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error

from hardware.camera.frame import Pixels
from hardware.errors import CameraUnavailable


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

        Raises:
            CameraUnavailable: If reading fails before the end.
        """
        first_s: float | None = None
        last_s = 0.0
        try:
            for packet in self._container.demux(self._stream):
                for picture in _pictures(packet):
                    at_s = picture.time
                    if first_s is None:
                        first_s = at_s or 0.0
                    last_s = at_s - first_s if at_s is not None else last_s + 1 / (self.frame_rate or 25.0)
                    yield Decoded(picture, last_s)
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


def to_i420(picture: Any, size: tuple[int, int]) -> Pixels:  # noqa: ANN401
    """A decoded picture as (H*3//2, W) uint8 I420, limited range BT.601, at an even (width, height)."""
    flat = picture.reformat(
        width=size[0],
        height=size[1],
        format="yuv420p",
        dst_colorspace="ITU601",
        src_color_range=picture.color_range,
        dst_color_range="MPEG",
        interpolation="AREA" if size[0] < picture.width else "BILINEAR",
    )
    pixels: Pixels = flat.to_ndarray()
    return pixels


def to_rgb(picture: Any) -> Pixels:  # noqa: ANN401
    """A decoded picture as (H, W, 3) uint8 RGB at its own size."""
    pixels: Pixels = picture.to_ndarray(format="rgb24")
    return pixels
