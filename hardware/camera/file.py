"""A video or a photo on disk as a camera: at the pace it was filmed, or every frame as fast as taken.

Frames are made smaller to fit the asked size, keeping their shape; never larger. Stamps follow the frames'
presentation times from the moment of opening, so that durations are right however fast the file is read.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from hardware.camera.frame import Frame, Pixels, rgb_to_i420
from hardware.camera.stills import SUFFIXES, UnreadablePhoto, read_photo
from hardware.camera.video import Video, fitted, to_i420, upright_size
from hardware.errors import CameraUnavailable

_log = logging.getLogger(__name__)

_WHAT_TO_DO = "give a whole video or photo file; try to play it, or copy it again"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read.

    Attributes:
        size: Most pixels (across, down) of a frame.
        fps: Most frames per second; 0 for the file's own rate.
        every_frame: Give every frame as fast as it is taken, whatever `fps` says.
        loop: Begin again at the end; time goes on.
    """

    size: tuple[int, int]
    fps: float
    every_frame: bool = False
    loop: bool = False


class FileCamera:
    """A file as a camera.

    Args:
        source: Path of the file.
        reading: How to read it.

    Raises:
        CameraUnavailable: If there is no such file or no picture in it.
    """

    is_live = False

    def __init__(self, source: str, reading: Reading) -> None:
        self.name = source
        self._path = Path(source)
        self._reading = reading
        if self._path.is_dir():
            raise CameraUnavailable(source, "it is a folder", "give one video or photo file")
        if not self._path.exists():
            raise CameraUnavailable(source, "there is no such file", "check the path")
        if self._path.is_file() and self._path.stat().st_size == 0:
            raise CameraUnavailable(source, "the file is empty", _WHAT_TO_DO)
        with closing(self._pictures()) as pictures:
            next(pictures)

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Yield frames until `stop` is set or the file ends; a damaged file ends early with a warning.

        Raises:
            CameraUnavailable: If the file cannot be read any more.
        """
        mono_s, utc_s, seq = time.monotonic(), time.time(), 0
        while not stop.is_set():
            end_s = 0.0
            with closing(self._pictures()) as pictures:
                for picture in self._thinned(pictures):
                    if self._waits(stop, mono_s + picture.ts_s):
                        return
                    pixels, (width, height) = picture.i420(self._reading.size)
                    stamps = {"mono_s": mono_s + picture.ts_s, "utc_s": utc_s + picture.ts_s}
                    yield Frame(pixels, "i420", width, height, seq=seq, **stamps)
                    seq, end_s = seq + 1, picture.ts_s + picture.lasts_s
            if not self._reading.loop:
                return
            mono_s, utc_s = mono_s + end_s, utc_s + end_s

    def close(self) -> None:
        """Nothing is held between two frames but what the iterator holds."""

    def _waits(self, stop: threading.Event, due_s: float) -> bool:
        """Wait for a frame's time, if frames are paced; True if stopped meanwhile."""
        if self._reading.every_frame:
            return stop.is_set()
        return stop.wait(max(0.0, due_s - time.monotonic()))

    def _thinned(self, pictures: Iterator[_Picture]) -> Iterator[_Picture]:
        """At most one picture for each 1/fps of presentation time."""
        last_slot = -1
        for picture in pictures:
            slot = int((picture.ts_s + picture.lasts_s / 2) * self._reading.fps)
            if self._reading.every_frame or self._reading.fps <= 0 or slot > last_slot:
                last_slot = slot
                yield picture

    def _pictures(self) -> Generator[_Picture, None, None]:
        """The file once, from its beginning; at least one picture.

        Raises:
            CameraUnavailable: If there is none.
        """
        if self._path.suffix.lower() in SUFFIXES:
            yield self._photo()
            return
        video = Video(self.name, name=self.name, what_to_do=_WHAT_TO_DO)
        lasts_s = 1 / (video.frame_rate or 25.0)
        count = 0
        try:
            for decoded in video.decode():
                count += 1
                yield _Picture(decoded.ts_s, lasts_s, video_picture=decoded.picture)
        except CameraUnavailable as error:
            if count == 0:
                raise
            _log.warning("camera=%s frames=%d ended=early reason=%s", self.name, count, error.reason)
            return
        finally:
            video.close()
        if count == 0:
            raise CameraUnavailable(self.name, "no frame could be read from it", _WHAT_TO_DO)
        if video.is_short(count):
            _log.warning("camera=%s frames=%d of=%d ended=early", self.name, count, video.frames_promised)

    def _photo(self) -> _Picture:
        try:
            return _Picture(0.0, 1 / (self._reading.fps or 1.0), photo=read_photo(self._path))
        except UnreadablePhoto as error:
            raise CameraUnavailable(self.name, str(error), _WHAT_TO_DO) from error


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture of the file, not yet converted: a photo's pixels or PyAV's decoded picture."""

    ts_s: float
    lasts_s: float
    photo: Pixels | None = None
    video_picture: Any = None

    def i420(self, most: tuple[int, int]) -> tuple[Pixels, tuple[int, int]]:
        if self.photo is None:
            size = fitted(*upright_size(self.video_picture), most)
            return to_i420(self.video_picture, size), size
        size = fitted(self.photo.shape[1], self.photo.shape[0], most)
        return rgb_to_i420(cv2.resize(self.photo, size, interpolation=cv2.INTER_AREA)), size
