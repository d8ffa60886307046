"""Unpacks an image and writes it at the same time: one thread unpacks, one takes the hash, ours writes.

Blocks go round between the first and the last, so that memory stays bounded whatever is slow. The decoders,
SHA-256 and the write release the interpreter's lock for blocks of this size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

from hardware.errors import ImageUnusable
from hardware.flash.card import HEAD_BYTES, Card
from hardware.flash.image import AGAIN, Image, unpacked

BLOCK_BYTES: Final = 4 << 20
BLOCKS: Final = 12
"""Blocks in flight: 48 MiB, enough to go on unpacking while a card's own buffer is emptied."""

Progress = Callable[[int], None]
"""Is told how many bytes are done."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        size_bytes: of the disk.
        sha256: of the disk's bytes.
        head: the beginning, which is not on the card yet.
        file_sha256: of the image file as it was downloaded.
    """

    size_bytes: int
    sha256: str
    head: bytes
    file_sha256: str


def write_image(
    image: Image, card: Card, expected_sha256: str = "", progress: Progress = lambda _: None
) -> Written:
    """Write all of an image but its beginning.

    Args:
        image: what is written.
        card: onto what; it must be unsealed.
        expected_sha256: of the file as downloaded; empty where nobody told.
        progress: is told of every block.

    Raises:
        ImageUnusable: it is damaged, cut off, larger than the card or not the one that was expected.
        CardFailed: the card cannot be written.
    """
    checking = _Fingerprint(image.path)
    unpacking = _Unpacking(image)
    checking.start()
    unpacking.start()
    hashed = hashlib.sha256()
    head, size_bytes = b"", 0
    try:
        while (block := unpacking.next_block()) is not None:
            if card.size_bytes is not None and size_bytes + len(block) > card.size_bytes:
                raise too_large(image, size_bytes + len(block), card)
            hashed.update(block)
            if not size_bytes:
                head = bytes(block[:HEAD_BYTES])
                block[: len(head)] = bytes(len(head))
            card.write_all(block, size_bytes)
            size_bytes += len(block)
            unpacking.give_back(block)
            progress(size_bytes)
        card.cut(size_bytes)
        card.sync()
        file_sha256 = checking.result()
    finally:
        unpacking.stop()
        checking.stop()
    if expected_sha256 and file_sha256 != expected_sha256:
        raise ImageUnusable(
            image.path, f"its SHA-256 is {file_sha256} and should be {expected_sha256}", AGAIN
        )
    if size_bytes < (image.size_bytes or 512) or size_bytes % 512:
        raise ImageUnusable(image.path, f"it is cut off after {size_bytes} bytes", AGAIN)
    return Written(size_bytes, hashed.hexdigest(), head, file_sha256)


def too_large(image: Image, size_bytes: int, card: Card) -> ImageUnusable:
    """Return the error of an image for which the card is too small."""
    return ImageUnusable(
        image.path,
        f"it needs {size_bytes / 1e9:.2f} GB and {card.path} has {(card.size_bytes or 0) / 1e9:.2f} GB",
        "use a larger card",
    )


class _Unpacking:
    """A thread that fills blocks; the reader gives each back when it is written."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._empty: SimpleQueue[memoryview | None] = SimpleQueue()
        self._full: SimpleQueue[memoryview | BaseException | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="unpack", daemon=True)

    def start(self) -> None:
        for _ in range(BLOCKS):
            self._empty.put(memoryview(bytearray(BLOCK_BYTES)))
        self._thread.start()

    def next_block(self) -> memoryview | None:
        """The next block, or None at the end."""
        found = self._full.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def give_back(self, block: memoryview) -> None:
        whole = block.obj
        assert isinstance(whole, bytearray)
        self._empty.put(memoryview(whole))

    def stop(self) -> None:
        self._empty.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            with unpacked(self._image) as source:
                while (block := self._empty.get()) is not None:
                    filled = 0
                    while filled < len(block) and (count := source.readinto(block[filled:])):
                        filled += count
                    if filled:
                        self._full.put(block[:filled])
                    if filled < len(block):
                        break
            self._full.put(None)
        except BaseException as error:  # noqa: BLE001 (raised again where the blocks are taken)
            self._full.put(error)


class _Fingerprint:
    """A thread that takes the SHA-256 of the file as downloaded; it reads what the other reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped = Event()
        self._found: str | OSError = ""
        self._thread = Thread(target=self._run, name="fingerprint", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def result(self) -> str:
        self._thread.join()
        if isinstance(self._found, OSError):
            raise ImageUnusable(self._path, f"it cannot be read ({self._found.strerror})", "copy it again")
        return self._found

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        hashed = hashlib.sha256()
        block = memoryview(bytearray(BLOCK_BYTES))
        try:
            with self._path.open("rb", buffering=0) as opened:
                while not self._stopped.is_set() and (count := opened.readinto(block)):
                    hashed.update(block[:count])
            self._found = hashed.hexdigest()
        except OSError as error:
            self._found = error
