"""A thread that keeps augmented batches ready while the network learns. It never trains."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from device.models.training.augment import flipped, letterbox, mixed, mosaic, recoloured, scaled, with_holes
from device.models.training.pictures import Picture

_READY = 6
_RARE = 0.3
_HOLED = 0.3
_MIXED = 0.15


@dataclass(frozen=True, slots=True)
class Batch:
    """Training examples of one size.

    Attributes:
        pixels: uint8 (B,S,S,3) RGB.
        owners: int64 (T,), index into the batch of each box.
        classes: int64 (T,).
        boxes: float32 (T,4) left, top, right, bottom in pixels.
        blind: int64 (B,S/8,S/8), as `Picture.blind`.
    """

    pixels: np.ndarray
    owners: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    blind: np.ndarray


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
        self._chances = [chances(pictures) for pictures in sources]
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
        number = int(self._rng.choice(len(self._sources), p=self._shares))
        at = np.searchsorted(self._chances[number], self._rng.random(), side="right")
        return self._sources[number][int(at)]

    def _example(self, wish: Wish) -> Picture:
        if wish.is_mosaic and self._rng.random() < 0.8:
            made = self._mosaic(wish.size)
            if self._rng.random() < _MIXED:
                made = mixed(made, self._mosaic(wish.size), self._rng)
        elif self._rng.random() < 0.6:
            made = scaled(self._draw(), wish.size, self._rng)
        else:
            made = letterbox(self._draw(), wish.size)
        if self._rng.random() < 0.5:
            made = flipped(made)
        pixels = recoloured(made.pixels, self._rng)
        if self._rng.random() < _HOLED:
            pixels = with_holes(pixels, self._rng)
        return replace(made, pixels=pixels)

    def _mosaic(self, size: int) -> Picture:
        return mosaic([self._draw() for _ in range(4)], size, self._rng)


def chances(pictures: list[Picture]) -> np.ndarray:
    """Upper ends (N,) in 0..1 of the shares by which the pictures of a source are drawn.

    A picture is drawn more often the rarer its rarest class is, by the square root of the rarity: repeat
    factor sampling, Gupta et al. 2019, arXiv:1908.03195, with the threshold at `_RARE`.
    """
    kinds = [set(picture.classes.tolist()) for picture in pictures]
    counts = Counter(kind for present in kinds for kind in present)
    repeat = {kind: max(1.0, (_RARE * len(pictures) / count) ** 0.5) for kind, count in counts.items()}
    factors = np.array([max((repeat[kind] for kind in present), default=1.0) for present in kinds])
    ends: np.ndarray = np.cumsum(factors) / factors.sum()
    ends[-1] = 1.0
    return ends


def stack(examples: list[Picture]) -> Batch:
    """Square pictures of one size as a batch."""
    size = examples[0].pixels.shape[0]
    return Batch(
        pixels=np.stack([example.pixels for example in examples]),
        owners=np.repeat(np.arange(len(examples)), [len(example.boxes) for example in examples]),
        classes=np.concatenate([example.classes for example in examples]),
        boxes=np.concatenate([example.boxes for example in examples]) * np.float32(size),
        blind=np.stack([example.blind for example in examples]),
    )
