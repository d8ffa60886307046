"""Finds where the lasting edges of a view have gone, by orientation correlation. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from device.firmware.view_health.sight import Vectors

FARTHEST: Final = 0.42
"""Longest shift that is looked for, as a share of the plane's side; beyond it too little is common."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The best place of the reference's edges that is not where they were.

    Attributes:
        across_pct: to the right, percent of the picture's width.
        down_pct: downwards, percent of the picture's height.
        agreement: how well directions agree there, 0 (by chance) to 1 (the same).
        gain: correlation there, over the best at the old place.
        clarity: how far it stands out of all other places, in their standard deviations.
    """

    across_pct: float
    down_pct: float
    agreement: float
    gain: float
    clarity: float


def find_shift(reference: Vectors, present: Vectors, least_px: float) -> Shift:
    """Correlate over all shifts at once, zero-padded so that nothing wraps round.

    Args:
        reference: (h, w, 2).
        present: (h, w, 2).
        least_px: shifts shorter than this count as the old place.
    """
    height, width = reference.shape[:2]
    padded = (height + height // 2, width + width // 2)
    most_y, most_x = int(height * FARTHEST), int(width * FARTHEST)
    before, now = _complex(reference), _complex(present)
    same = _window(_correlate(before, now, padded), most_y, most_x)
    most = _window(_correlate(np.abs(before), np.abs(now), padded), most_y, most_x)
    down, across = np.mgrid[-most_y : most_y + 1, -most_x : most_x + 1]
    is_near = np.hypot(across, down) < least_px
    elsewhere = np.where(is_near, -np.inf, same)
    at = np.unravel_index(int(elsewhere.argmax()), same.shape)
    here = float(same[is_near].max(initial=0.0))
    peak = float(same[at])
    return Shift(
        across_pct=100.0 * float(across[at]) / width,
        down_pct=100.0 * float(down[at]) / height,
        agreement=peak / max(float(most[at]), 1e-6),
        gain=peak / max(here, 1e-6),
        clarity=(peak - float(same.mean())) / max(float(same.std()), 1e-6),
    )


Complex = npt.NDArray[np.complex64]
Real = npt.NDArray[np.float64]


def _complex(vectors: Vectors) -> Complex:
    return np.ascontiguousarray(vectors).view(np.complex64)[..., 0]


def _correlate(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic], size: tuple[int, int]) -> Real:
    """Real part of the sum over x of conj(a(x)) b(x + d), for every d; negative d at the far end."""
    product = np.conj(np.fft.fft2(a, size)) * np.fft.fft2(b, size)
    real: Real = np.fft.ifft2(product).real
    return real


def _window(plane: Real, most_y: int, most_x: int) -> Real:
    """The shifts from -most to +most, in order."""
    return np.roll(plane, (most_y, most_x), (0, 1))[: 2 * most_y + 1, : 2 * most_x + 1]
