"""Reads photos, folders of photos and videos at full size, in order; never live, never paced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardware.camera.frame import Pixels
from hardware.camera.stills import SUFFIXES, UnreadablePhoto, read_photo
from hardware.camera.video import Video, to_rgb
from hardware.errors import CameraUnavailable

VIDEO_SUFFIXES = frozenset(
    {".avi", ".h264", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
)
"""File names in a folder that are taken for videos; a video named by itself may be called anything."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        source: Path of its file.
        index: Number of the frame in its file, from 0; 0 for a photo.
        ts_s: Presentation time in seconds since the file's first frame; 0 for a photo.
        pixels: (H, W, 3) uint8 RGB at full size.
    """

    source: str
    index: int
    ts_s: float
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class BadPicture:
    """A file that is no picture, or a video that broke off; `reason` completes "skipped, because ..."."""

    path: str
    reason: str


def read_pictures(source: str) -> Iterator[Picture | BadPicture]:
    """Read a photo, a video, or a folder of both (by name, not below it; other files are passed over).

    Raises:
        CameraUnavailable: If there is no such path, or nothing in the folder to read.
    """
    path = Path(source)
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES)
        if not paths:
            raise CameraUnavailable(
                source, "there are no photos or videos in this folder", "give another folder"
            )
    elif path.exists():
        paths = [path]
    else:
        raise CameraUnavailable(source, "there is no such file or folder", "check the path")
    for one in paths:
        yield from _read(one)


def _read(path: Path) -> Iterator[Picture | BadPicture]:
    if path.suffix.lower() not in SUFFIXES:
        yield from _read_video(path)
        return
    try:
        yield Picture(str(path), 0, 0.0, read_photo(path))
    except UnreadablePhoto as error:
        yield BadPicture(str(path), str(error))


def _read_video(path: Path) -> Iterator[Picture | BadPicture]:
    index = -1
    try:
        video = Video(str(path), name=str(path), what_to_do="give a whole video or photo file")
    except CameraUnavailable as error:
        yield BadPicture(str(path), error.reason)
        return
    try:
        for index, decoded in enumerate(video.decode()):
            yield Picture(str(path), index, decoded.ts_s, to_rgb(decoded.picture))
    except CameraUnavailable as error:
        yield BadPicture(str(path), error.reason)
    finally:
        video.close()
    if video.is_short(index + 1):
        yield BadPicture(str(path), f"only {index + 1} of {video.frames_promised} frames could be read")
