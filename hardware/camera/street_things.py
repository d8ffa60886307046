"""Things that people of the simulated street leave behind, from a random generator; no places, no time."""

from __future__ import annotations

import numpy as np

from hardware.camera.street_figure import Figure, FigureBuilder, Rgb
from hardware.camera.street_vehicles import shade

_CLOTHS: tuple[Rgb, ...] = (
    (28, 30, 36),
    (142, 30, 32),
    (32, 66, 128),
    (196, 120, 34),
    (222, 218, 206),
    (30, 96, 72),
)


def make_suitcase(rng: np.random.Generator) -> Figure:
    """A suitcase on wheels with its handle drawn out, 0.5 to 0.65 m wide and 0.7 to 0.85 m high."""
    half, high = float(rng.uniform(0.25, 0.33)), float(rng.uniform(0.7, 0.85))
    cloth = shade(_CLOTHS[int(rng.integers(len(_CLOTHS)))], float(rng.uniform(0.85, 1.1)))
    b = FigureBuilder()
    for along in (-half + 0.07, half - 0.07):
        b.disc((along, 0.05), 0.05, (22, 22, 24), corners=10)
    b.skin([(-half, 0.08), (-half, high), (half, high), (half, 0.08)], 0.3,
           [shade(cloth, 0.8), shade(cloth, 1.2), shade(cloth, 0.7), shade(cloth, 0.5)])  # fmt: skip
    near = -0.15
    b.face([(-half, 0.08), (-half, high), (half, high), (half, 0.08)], cloth, near)
    for rib in (-half / 2, 0.0, half / 2):
        b.face(
            [(rib, 0.12), (rib, high - 0.06), (rib + 0.03, high - 0.06), (rib + 0.03, 0.12)],
            shade(cloth, 0.78),
            near,
        )
    b.face([(-0.1, high), (-0.1, high + 0.2), (0.1, high + 0.2), (0.1, high)], (120, 122, 126), near)
    return b.build()
