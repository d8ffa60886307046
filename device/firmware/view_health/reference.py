"""How a view usually is: its lasting edges, learnt slowly, so that what passes fades.

What is kept is where edges last and which way they run, 160 pixels across: neither brightness nor colour,
and hardly a trace of who goes by; outlines of the place and of what stood there for minutes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import cv2
import msgspec
import numpy as np

from device.firmware.view_health.sight import COARSE, Plane, Sight, Vectors, follow, lengths, squares

SETTLED_S: Final = 3600.0
"""In its first hour of a light the usual sharpness follows quickly both ways: dusk goes on."""
FALL_S: Final = 6 * 3600.0
"""Time constant with which the usual sharpness falls: dust must not become usual as fast as it comes."""
_LEAST_LEFT: Final = 0.3
"""Edges weaker than this share of the usual ones count less; fog and a quarter of the light leave half."""
_LEAST_WEIGHT: Final = 0.02
"""With less than this share of the lasting edges in sight, sharpness cannot be told."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How the present view compares with a reference.

    Attributes:
        fine: agreement of the edges' directions, 0 (by chance) to 1 (all in place).
        coarse: the same of what a strong blur leaves.
        edges: how much there is of edges, compared with the reference; squared, so that slopes hardly count.
        contrast: of the lasting edges, compared with the usual one.
        sharp: sharpness, compared with the usual one; None where it cannot be told.
    """

    fine: float
    coarse: float
    edges: float
    contrast: float
    sharp: float | None


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A reference as it is written: its edges as int8, compressed."""

    width: int
    height: int
    learnt_s: float
    contrast: float
    sharp: float
    sharp_s: float
    fine: bytes
    coarse: bytes


class Reference:
    """The lasting edges of one view in one light.

    Attributes:
        fine: mean edges of the small plane, (h, w, 2).
        coarse: mean edges of the coarse plane.
        learnt_s: how long it was learnt.
        contrast: usual contrast of the lasting edges in this light, stops a pixel; 0 before it is known.
        sharp: usual sharpness in this light, a ratio without a unit; 0 before it is known.
        sharp_s: how long the sharpness was learnt.
    """

    def __init__(self, fine: Vectors, coarse: Vectors, learnt_s: float = 0.0) -> None:
        self.fine = fine.copy()
        self.coarse = coarse.copy()
        self.learnt_s = learnt_s
        self.contrast = 0.0
        self.sharp = 0.0
        self.sharp_s = 0.0

    def copy(self) -> Reference:
        """Return one for another light: edges stay where they are, how sharp they look is learnt anew."""
        return Reference(self.fine, self.coarse, self.learnt_s)

    @property
    def edges(self) -> float:
        """Mean length of the lasting edges, 0..1, over the whole plane."""
        return float(lengths(self.fine).mean())

    def learn(self, sight: Sight, elapsed_s: float, adapt_s: float) -> None:
        """Follow the view: a plain mean at first, then with the time constant `adapt_s`."""
        self.learnt_s += elapsed_s
        rate = elapsed_s / min(max(self.learnt_s, elapsed_s), adapt_s)
        self.fine = follow(self.fine, sight.fine, rate)
        self.coarse = follow(self.coarse, sight.coarse, rate)
        contrast = self._contrast(sight)
        self.contrast += rate * (contrast - self.contrast) if self.contrast else contrast
        sharp = self.sharpness(sight)
        if sharp is not None:
            self._learn_sharpness(sharp, elapsed_s, adapt_s)

    def _learn_sharpness(self, sharp: float, elapsed_s: float, adapt_s: float) -> None:
        self.sharp_s += elapsed_s
        follow_s = min(max(self.sharp_s, elapsed_s), adapt_s)
        if sharp < self.sharp and self.sharp_s >= SETTLED_S:
            follow_s = FALL_S
        self.sharp += elapsed_s / follow_s * (sharp - self.sharp) if self.sharp else sharp

    def like(self, present: Sight) -> Likeness:
        """Compare; `present` is the mean of the last few looks."""
        sharp = self.sharpness(present)
        return Likeness(
            fine=_agreement(self.fine, present.fine),
            coarse=_agreement(self.coarse, present.coarse),
            edges=_product(present.fine, present.fine) / max(_product(self.fine, self.fine), 1e-6),
            contrast=self._contrast(present) / self.contrast if self.contrast else 1.0,
            sharp=None if sharp is None or not self.sharp else sharp / self.sharp,
        )

    def sharpness(self, sight: Sight) -> float | None:
        """Return contrast over blurred contrast at the lasting edges; None where too few are in sight.

        An edge of width s has a contrast in proportion to 1 / s, and to 1 / sqrt(s^2 + 9) after the blur of
        3 pixels: light and weather cancel, the width remains. The strongest edges weigh most, for they are
        the sharpest. Only where the coarse view is in place: a bus must not be taken for a blurred house.
        """
        in_place = np.maximum((self.coarse * sight.coarse).sum(axis=2), 0.0)
        fine_size = (self.fine.shape[1], self.fine.shape[0])
        lasting = squares(self.fine)
        weight = lasting * cv2.resize(in_place, fine_size, interpolation=cv2.INTER_LINEAR)
        if float(weight.sum()) < _LEAST_WEIGHT * max(float(lasting.sum()), 1e-6):
            return None
        weight *= sight.contrast
        return _product(weight, sight.contrast) / max(_product(weight, sight.soft_contrast), 1e-6)

    def _contrast(self, sight: Sight) -> float:
        """Mean contrast at the lasting edges, blurred so that soft ones have theirs."""
        lasting = squares(self.fine)
        return _product(lasting, sight.soft_contrast) / max(float(lasting.sum()), 1e-6)

    def kept(self) -> Kept:
        """Return it as it is written."""
        height, width = self.fine.shape[:2]
        edges = _packed(self.fine), _packed(self.coarse)
        return Kept(width, height, self.learnt_s, self.contrast, self.sharp, self.sharp_s, *edges)

    @classmethod
    def restored(cls, kept: Kept) -> Reference:
        """Return what `kept` was made of.

        Raises:
            ValueError: it is damaged.
        """
        width, height = kept.width, kept.height
        fine = _unpacked(kept.fine, width, height)
        coarse = _unpacked(kept.coarse, width // COARSE, height // COARSE)
        reference = cls(fine, coarse, kept.learnt_s)
        reference.contrast, reference.sharp, reference.sharp_s = kept.contrast, kept.sharp, kept.sharp_s
        return reference


def _agreement(reference: Vectors, present: Vectors) -> float:
    """How well directions agree, weighted by both edges' lengths; 0 where hardly any edges are left.

    The little that shines through a cover, or past a mask's rim, agrees by accident.
    """
    length = lengths(reference)
    in_common = _product(length, lengths(present))
    most = max(in_common, _LEAST_LEFT * _product(length, length), 1e-6)
    return _product(reference, present) / most


def _product(a: Vectors | Plane, b: Vectors | Plane) -> float:
    """The sum of the products, element by element."""
    return float(np.vdot(a, b))


def _packed(vectors: Vectors) -> bytes:
    return zlib.compress(np.rint(vectors * 127).astype(np.int8).tobytes())


def _unpacked(data: bytes, width: int, height: int) -> Vectors:
    try:
        numbers = np.frombuffer(zlib.decompress(data), np.int8)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    vectors: Vectors = numbers.reshape(height, width, 2).astype(np.float32) / np.float32(127)
    return vectors
