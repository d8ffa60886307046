"""A thread that keeps augmented batches ready while the network learns. It never trains."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass

import numpy as np

from device.models.training.augment import flipped, letterbox, mosaic, recoloured, scaled
from device.models.training.pictures import Picture

_READY = 6


@dataclass(frozen=True, slots=True)
class Batch:
    """Training examples of one size.

    Attributes:
        pixels: uint8 (B,S,S,3) RGB.
        owners: int64 (T,), index into the batch of each box.
        classes: int64 (T,).
        boxes: float32 (T,4) left, top, right, bottom in pixels.
    """

    pixels: np.ndarray
    owners: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True, slots=True)
class Wish:
    """What the next batches shall be like: side in pixels, and whether made as mosaics."""

    size: int
    is_mosaic: bool


class BatchMaker:
    """Draws pictures by the sources' shares and makes batches, in a thread between start and stop."""

    def __init__(
        self, sources: list[list[Picture]], shares: list[float], *, batch: int, seed: int, wish: Wish
    ) -> None:
        self._sources = sources
        self._shares = np.array(shares) / sum(shares)
        self._batch = batch
        self._rng = np.random.default_rng(seed)
        self._wish = wish
        self._ready: queue.Queue[Batch | BaseException] = queue.Queue(_READY)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)

    def start(self) -> None:
        """Begin to make batches."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        while not self._ready.empty():
            self._ready.get_nowait()
        self._thread.join(timeout=30)

    def next(self, wish: Wish) -> Batch:
        """The next batch; `wish` holds for those that are not made yet.

        Raises:
            BaseException: whatever broke in the thread.
        """
        self._wish = wish
        made = self._ready.get()
        if isinstance(made, BaseException):
            raise made
        return made

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                made: Batch | BaseException = self._make(self._wish)
            except Exception as error:  # noqa: BLE001 - handed to the thread that waits
                made = error
            while not self._stop.is_set():
                try:
                    self._ready.put(made, timeout=0.5)
                    break
                except queue.Full:
                    continue

    def _make(self, wish: Wish) -> Batch:
        return stack([self._example(wish) for _ in range(self._batch)])

    def _draw(self) -> Picture:
        source = self._sources[int(self._rng.choice(len(self._sources), p=self._shares))]
        return source[int(self._rng.integers(len(source)))]

    def _example(self, wish: Wish) -> Picture:
        if wish.is_mosaic and self._rng.random() < 0.8:
            made = mosaic([self._draw() for _ in range(4)], wish.size, self._rng)
        elif self._rng.random() < 0.6:
            made = scaled(self._draw(), wish.size, self._rng)
        else:
            made = letterbox(self._draw(), wish.size)
        if self._rng.random() < 0.5:
            made = flipped(made)
        return Picture(recoloured(made.pixels, self._rng), made.classes, made.boxes)


def stack(examples: list[Picture]) -> Batch:
    """Square pictures of one size as a batch."""
    size = examples[0].pixels.shape[0]
    return Batch(
        pixels=np.stack([example.pixels for example in examples]),
        owners=np.repeat(np.arange(len(examples)), [len(example.boxes) for example in examples]),
        classes=np.concatenate([example.classes for example in examples]),
        boxes=np.concatenate([example.boxes for example in examples]) * np.float32(size),
    )
