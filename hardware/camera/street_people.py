"""People of the simulated street, drawn from a random generator; sizes in metres, no positions, no time.

A walker is a flat figure facing the camera's plane: from the side when walking along the street, from the
front when crossing it. The poses are one stride; the last pose is standing still.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sin

import numpy as np

from hardware.camera.street_figure import Figure, FigureBuilder, Rgb
from hardware.camera.street_vehicles import shade

Corners = list[tuple[float, float]]

STRIDE_POSES = 12
STANDING = STRIDE_POSES
STRIDE_M = 1.4

_CLOTHES: tuple[Rgb, ...] = (
    (214, 208, 196), (168, 146, 112), (70, 84, 110), (40, 40, 46), (150, 40, 44), (190, 92, 40),
    (48, 104, 84),     (94, 60, 116), (208, 172, 60), (96, 150, 190), (196, 120, 150), (88, 94, 70),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Looks:
    skin: Rgb
    hair: Rgb
    top: Rgb
    legs: Rgb
    shoes: Rgb
    hem: float
    has_scarf: bool
    bag: Rgb | None
    is_frontal: bool


def make_walker(rng: np.random.Generator, *, is_frontal: bool) -> Figure:
    """A person of random looks, 1.25 to 1.9 m tall."""
    is_child = rng.random() < 0.1
    height_m = float(rng.uniform(1.25, 1.45) if is_child else rng.uniform(1.52, 1.9))
    top = _cloth(rng)
    hem = float(rng.choice([0.46, 0.26, 0.06], p=[0.5, 0.35, 0.15]))
    looks = _Looks(
        skin=shade((176, 130, 96), float(rng.uniform(0.6, 1.2))),
        hair=shade((36, 28, 24), float(rng.uniform(0.7, 2.4))),
        top=top,
        legs=shade(top, 0.9) if hem == 0.26 and rng.random() < 0.7 else shade(_cloth(rng), 0.75),
        shoes=shade((52, 40, 34), float(rng.uniform(0.5, 1.5))),
        hem=hem,
        has_scarf=bool(rng.random() < (0.7 if hem == 0.06 else 0.2)),
        bag=_cloth(rng) if rng.random() < 0.3 else None,
        is_frontal=is_frontal,
    )
    return _scaled(_draw(looks), height_m)


def _cloth(rng: np.random.Generator) -> Rgb:
    return shade(_CLOTHES[int(rng.integers(len(_CLOTHES)))], float(rng.uniform(0.75, 1.15)))


def _scaled(figure: Figure, height_m: float) -> Figure:
    return Figure(figure.poses * height_m, figure.faces, figure.colours)


def _draw(looks: _Looks) -> Figure:
    """A person of height 1, feet at 0."""
    b = FigureBuilder()
    swings = [0.42 * sin(2 * pi * p / STRIDE_POSES) for p in range(STRIDE_POSES)] + [0.02]
    lifts = [sin(2 * pi * p / STRIDE_POSES + pi / 2) for p in range(STRIDE_POSES)] + [0.0]
    wide = 0.115 if looks.is_frontal else 0.085
    far, near = (-0.05, 0.05) if looks.is_frontal else (-0.012, 0.012)
    _arm(b, looks, [-s for s in swings], -wide, 0.72)
    _leg(b, looks, swings, [max(0.0, x) for x in lifts], aside=far, lit=0.78)
    _leg(b, looks, [-s for s in swings], [max(0.0, -x) for x in lifts], aside=near, lit=1.0)
    flare = wide + (0.05 if looks.hem < 0.4 else 0.0)
    b.face([(-wide, 0.8), (-wide * 0.7, 0.845), (wide * 0.7, 0.845), (wide, 0.8), (wide * 0.86, 0.6),
            (flare, looks.hem), (-flare, looks.hem), (-wide * 0.86, 0.6)], looks.top)  # fmt: skip
    b.face(
        [(wide * 0.3, 0.8), (wide, 0.8), (flare, looks.hem), (flare * 0.4, looks.hem)], shade(looks.top, 0.86)
    )
    _arm(b, looks, swings, wide if looks.is_frontal else 0.0, 0.92)
    if looks.bag:
        b.face(
            [(-wide - 0.07, 0.58), (-wide - 0.07, 0.76), (-wide + 0.03, 0.78), (-wide + 0.03, 0.56)],
            looks.bag,
        )
    b.face([(-0.03, 0.83), (-0.03, 0.9), (0.03, 0.9), (0.03, 0.83)], looks.skin)
    _head(b, looks)
    return b.build()


def _head(b: FigureBuilder, looks: _Looks) -> None:
    b.disc((0.008, 0.925), 0.062, looks.skin, corners=12)
    back = -0.065
    brow = 0.05 if looks.is_frontal else 0.035
    b.face([(back, 0.91), (back + 0.005, 0.965), (-0.02, 0.995), (0.035, 0.995), (0.066, 0.965), (brow, 0.95),
            (-0.02, 0.945), (-0.03, 0.89)], looks.hair)  # fmt: skip
    if looks.has_scarf:
        cloth = shade(looks.top, 1.12)
        b.face([(0.05, 0.985), (0.0, 1.0), (-0.07, 0.97), (-0.11, 0.78), (0.09, 0.78), (0.03, 0.87),
                (-0.015, 0.93), (0.03, 0.965)], cloth)  # fmt: skip


def _leg(
    b: FigureBuilder, looks: _Looks, swings: list[float], lifts: list[float], *, aside: float, lit: float
) -> None:
    thighs, shins, feet = [], [], []
    for swing, lift in zip(swings, lifts, strict=True):
        knee, ankle = _leg_joints(looks, aside, swing, lift)
        thighs.append(_bar((aside, 0.5), knee, 0.055, 0.042))
        shins.append(_bar(knee, ankle, 0.042, 0.03))
        toe = 0.035 if looks.is_frontal else 0.085
        x, y = ankle
        feet.append([(x - 0.035, y), (x - 0.035, y - 0.035), (x + toe, y - 0.035), (x + toe * 0.6, y)])
    b.limb(thighs, shade(looks.legs, lit))
    b.limb(shins, shade(looks.legs, lit * 0.95))
    b.limb(feet, shade(looks.shoes, lit))


def _leg_joints(
    looks: _Looks, aside: float, swing: float, lift: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    if looks.is_frontal:
        up = 0.05 * lift
        return (aside, 0.27 + up * 0.6), (aside, 0.035 + up)
    drop = 0.02 * abs(swing)
    knee = (aside + 0.24 * swing + 0.05 * lift, 0.27 + drop + 0.02 * lift)
    return knee, (aside + 0.5 * swing - 0.04 * lift, 0.035 + drop + 0.06 * lift)


def _arm(b: FigureBuilder, looks: _Looks, swings: list[float], aside: float, lit: float) -> None:
    sleeves, hands = [], []
    for swing in swings:
        reach = aside * 1.25 if looks.is_frontal else aside + 0.42 * swing
        elbow = ((aside + reach) / 2 - (0 if looks.is_frontal else 0.02), 0.65)
        hand = (reach + (0 if looks.is_frontal else 0.03), 0.49 + 0.06 * abs(swing))
        sleeves.append([*_bar((aside, 0.815), elbow, 0.035, 0.03)[:2], *_bar(elbow, hand, 0.03, 0.024)[1:3],
                        *_bar((aside, 0.815), elbow, 0.035, 0.03)[2:]])  # fmt: skip
        hands.append(_bar(hand, (hand[0], hand[1] - 0.05), 0.024, 0.018))
    b.limb(sleeves, shade(looks.top, lit))
    b.limb(hands, shade(looks.skin, lit))


def _bar(top: tuple[float, float], low: tuple[float, float], half_top: float, half_low: float) -> Corners:
    return [(top[0] - half_top, top[1]), (low[0] - half_low, low[1]), (low[0] + half_low, low[1]),
            (top[0] + half_top, top[1])]  # fmt: skip
