"""What a camera's own process and its parent tell each other, and the memory in which a picture crosses.

The parent asks for a frame, the child writes its newest into the shared picture and says so, the parent
copies it out and asks again: between asking and the answer the memory is the child's, afterwards the
parent's, so no picture is ever half of two. The memory has no name: the kernel frees it with the last
process that holds it, however that ends.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
import tempfile
from typing import Final

import msgspec
import numpy as np

from hardware.camera.frame import Frame, Layout, Pixels

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""A larger picture is refused: nothing on a street needs it, and a mistaken size must not take all memory."""

MAX_WORD_BYTES: Final = 16 * 1024

ASK: Final = b"frame"
"""What the parent says when it wants the next frame."""


class Order(msgspec.Struct, frozen=True):
    """Which camera the child opens.

    Attributes:
        source: See `sources.py`; may hold a password, so it never stands in a command line.
        width: Pixels across.
        height: Pixels down.
        fps: Most frames per second.
        every_frame: Nothing is replaced: the camera waits until each frame is taken.
        loop: Files: begin again at the end.
        opener: `module:function` that opens it, called with the above.
    """

    source: str
    width: int = 640
    height: int = 480
    fps: float = 10.0
    every_frame: bool = False
    loop: bool = False
    opener: str = "hardware.camera.sources:open_camera"


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """The child's process runs, though no frame has come."""


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The camera is open."""

    is_live: bool


class Handed(msgspec.Struct, frozen=True, tag="handed"):
    """A frame lies in the shared picture; its fields are those of `Frame`."""

    layout: Layout
    width: int
    height: int
    mono_s: float
    utc_s: float
    seq: int


class Said(msgspec.Struct, frozen=True, tag="said"):
    """A line for the log, with a level of `logging`."""

    level: int
    text: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The camera cannot be opened or has gone; the fields are those of `CameraUnavailable`."""

    source: str
    reason: str
    what_to_do: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The source came to its end, and its last frame was handed over."""


Word = Beat | Opened | Handed | Said | Failed | Ended

_decoder = msgspec.json.Decoder(Word)


def encode_word(word: Word) -> bytes:
    """One datagram from the child; a text that is too long is cut."""
    data = msgspec.json.encode(word)
    if len(data) > MAX_WORD_BYTES and isinstance(word, Said):
        return msgspec.json.encode(Said(word.level, word.text[:1000]))
    return data


def decode_word(data: bytes) -> Word:
    """The child's datagram as a value.

    Raises:
        ValueError: If it is none of the words above.
    """
    word: Word = _decoder.decode(data)
    return word


def frame_bytes(layout: Layout, width: int, height: int) -> int:
    """Size of a frame's pixels in bytes."""
    return height * 3 // 2 * width if layout == "i420" else height * width * 3


class SharedPicture:
    """Memory for one picture, shared through a file descriptor; it grows when a larger picture comes.

    Args:
        fd: Of the memory; it is closed with this.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map: mmap.mmap | None = None

    @classmethod
    def make(cls) -> SharedPicture:
        """New memory without a name; nobody who shares it can make it smaller under a reader."""
        if sys.platform == "linux":
            fd = os.memfd_create("pehra-frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            return cls(fd)
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def put(self, frame: Frame) -> None:
        """Write a frame's pixels, which are at most `MAX_FRAME_BYTES`."""
        size = frame.pixels.nbytes
        if size > os.fstat(self.fd).st_size:
            os.ftruncate(self.fd, size)
        target = np.frombuffer(self._mapped(size), np.uint8, size)
        target.reshape(frame.pixels.shape)[:] = frame.pixels

    def take(self, handed: Handed) -> Frame:
        """Copy the picture out.

        Raises:
            ValueError: If there is no such picture in the memory, or it makes no frame.
        """
        if handed.width <= 0 or handed.height <= 0:
            raise ValueError(f"a picture of {handed.width}x{handed.height} is none")
        size = frame_bytes(handed.layout, handed.width, handed.height)
        if not 0 < size <= min(os.fstat(self.fd).st_size, MAX_FRAME_BYTES):
            raise ValueError(f"there are no {size} bytes of a picture")
        flat: Pixels = np.frombuffer(self._mapped(size), np.uint8, size).copy()
        shape = (-1, handed.width) if handed.layout == "i420" else (handed.height, handed.width, 3)
        return Frame(
            flat.reshape(shape),
            handed.layout,
            handed.width,
            handed.height,
            mono_s=handed.mono_s,
            utc_s=handed.utc_s,
            seq=handed.seq,
        )

    def close(self) -> None:
        """Let go of the memory; may be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd, self._map = -1, None

    def _mapped(self, size: int) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self.fd, os.fstat(self.fd).st_size)
        return self._map
