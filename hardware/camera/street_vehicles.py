"""Vehicles of the simulated street, drawn from a random generator; sizes in metres, no positions, no time."""

from __future__ import annotations

import numpy as np

from hardware.camera.street_figure import Figure, FigureBuilder, Rgb

Profile = list[tuple[float, float]]

_GLASS: Rgb = (52, 62, 74)
_TYRE: Rgb = (24, 24, 26)
_HUB: Rgb = (135, 137, 140)
_HEADLIGHT: Rgb = (255, 246, 214)
_TAILLIGHT: Rgb = (214, 28, 24)
_PAINTS: tuple[Rgb, ...] = (
    (226, 226, 224), (226, 226, 224), (168, 172, 176), (112, 116, 122), (38, 40, 44), (158, 34, 34),
    (36, 62, 128), (26, 92, 70), (206, 196, 168), (96, 60, 40), (196, 150, 30), (80, 130, 180),
)  # fmt: skip

# Clockwise from the hind bottom corner, seen with the front to the right: (along, up) in metres.
_SEDAN: Profile = [(-2.2, 0.3), (-2.22, 0.85), (-2.1, 0.98), (-1.5, 1.02), (-0.95, 1.43), (0.35, 1.45),
                   (1.05, 1.0), (2.0, 0.86), (2.2, 0.68), (2.2, 0.3)]  # fmt: skip
_HATCHBACK: Profile = [(-1.8, 0.3), (-1.86, 0.9), (-1.75, 1.0), (-1.4, 1.46), (0.15, 1.5), (0.9, 1.02),
                       (1.65, 0.9), (1.85, 0.66), (1.85, 0.3)]  # fmt: skip
_SUV: Profile = [(-2.2, 0.4), (-2.25, 1.05), (-1.95, 1.72), (0.25, 1.75), (0.95, 1.14), (2.05, 1.02),
                 (2.25, 0.8), (2.25, 0.4)]  # fmt: skip
_VAN: Profile = [(-2.3, 0.35), (-2.35, 1.0), (-2.22, 1.92), (1.15, 1.94), (1.8, 1.12), (2.3, 0.96),
                 (2.36, 0.35)]  # fmt: skip
_CAR_SHAPES = {
    "sedan": (_SEDAN, (-1.38, -0.35, 0.95), {3, 5}, 1.02),
    "hatchback": (_HATCHBACK, (-1.35, -0.4, 0.8), {2, 4}, 1.02),
    "suv": (_SUV, (-1.9, -0.5, 0.85), {1, 3}, 1.12),
    "van": (_VAN, (-2.0, -0.4, 1.65), {3}, 1.15),
}


def make_vehicle(name: str, rng: np.random.Generator) -> Figure:
    """A car, bus, truck or motorcycle of random looks; the motorcycle carries its rider."""
    return {"car": _car, "bus": _bus, "truck": _truck, "motorcycle": _motorcycle}[name](rng)


def shade(colour: Rgb, factor: float) -> Rgb:
    """A colour made darker or lighter, kept within 0..255."""
    return tuple(min(255.0, max(0.0, c * factor)) for c in colour)  # type: ignore[return-value]


def _paint(rng: np.random.Generator) -> Rgb:
    colour = _PAINTS[int(rng.integers(len(_PAINTS)))]
    return shade(colour, float(rng.uniform(0.88, 1.1)))


def _skin_colours(profile: Profile, colour: Rgb, glass: set[int]) -> list[Rgb]:
    colours = []
    for index, (a, b) in enumerate(zip(profile, profile[1:] + profile[:1], strict=True)):
        run, rise = abs(b[0] - a[0]), abs(b[1] - a[1])
        lit = 1.18 if run > 2 * rise else (0.98 if run > 0.5 * rise else 0.78)
        colours.append(_GLASS if index in glass else shade(colour, lit))
    return colours


def _wheels(b: FigureBuilder, places: list[float], radius_m: float, across_m: float) -> None:
    for along in places:
        b.disc((along, radius_m * 1.02), radius_m * 1.22, (30, 30, 32), across_m)
        b.disc((along, radius_m), radius_m, _TYRE, across_m - 0.02)
        b.disc((along, radius_m), radius_m * 0.55, _HUB, across_m - 0.03, 10)


def _lamps(b: FigureBuilder, front: float, back: float, up: float, across_m: float) -> None:
    b.face(
        [(front - 0.28, up), (front, up - 0.02), (front, up - 0.16), (front - 0.22, up - 0.14)],
        _HEADLIGHT,
        across_m,
        glows=True,
    )
    b.face(
        [(back, up + 0.08), (back + 0.16, up + 0.08), (back + 0.14, up - 0.12), (back, up - 0.12)],
        _TAILLIGHT,
        across_m,
        glows=True,
    )


def _car(rng: np.random.Generator) -> Figure:
    kind = str(rng.choice(["sedan", "hatchback", "suv", "van"], p=[0.36, 0.34, 0.18, 0.12]))
    base, posts, glass, waist = _CAR_SHAPES[kind]
    stretch = float(rng.uniform(0.94, 1.08))
    profile = [(a * stretch, u * float(rng.uniform(0.99, 1.01))) for a, u in base]
    colour, near = _paint(rng), -0.87
    top = max(u for _, u in profile) - 0.08
    b = FigureBuilder()
    b.skin(profile, 1.74, _skin_colours(profile, colour, glass))
    b.face(profile, colour, near)
    front, back = profile[-1][0], profile[0][0]
    low = profile[0][1]
    b.face([(back, low), (back, low + 0.2), (front, low + 0.2), (front, low)], shade(colour, 0.62), near)
    b.face(
        [
            (back, waist - 0.14),
            (back, waist - 0.06),
            (front * 0.86, waist - 0.14),
            (front * 0.86, waist - 0.2),
        ],
        shade(colour, 1.16),
        near,
    )
    hind, post, fore = (p * stretch for p in posts)
    rake_hind, rake_fore = (0.08, 0.5) if kind == "van" else (0.38, 0.62)
    b.face([(hind, waist), (hind + rake_hind, top), (post - 0.04, top), (post - 0.04, waist)], _GLASS, near)
    b.face(
        [(post + 0.04, waist), (post + 0.04, top), (fore - rake_fore, top), (fore, waist)],
        shade(_GLASS, 1.15),
        near,
    )
    for door in (hind + 0.45, post, fore - 0.05):
        b.face(
            [(door, low + 0.2), (door, waist), (door + 0.03, waist), (door + 0.03, low + 0.2)],
            shade(colour, 0.7),
            near,
        )
    _wheels(b, [back + 0.78, front - 0.78], 0.31, near)
    _lamps(b, front, back, waist - 0.16, near)
    if rng.random() < 0.25:
        b.face(
            [(-0.3, top + 0.08), (-0.3, top + 0.24), (0.2, top + 0.24), (0.2, top + 0.08)],
            (226, 190, 40),
            -0.3,
            glows=True,
        )
    return b.build(((front, waist - 0.22, _HEADLIGHT), (back, waist - 0.15, _TAILLIGHT)))


def _bus(rng: np.random.Generator) -> Figure:
    half = float(rng.uniform(4.2, 5.6))
    colours: tuple[Rgb, ...] = ((176, 34, 30), (30, 112, 66), (214, 120, 24), (228, 226, 216), (32, 70, 140))
    colour = shade(colours[int(rng.integers(5))], float(rng.uniform(0.9, 1.08)))
    stripe = shade(colours[int(rng.integers(5))], 1.1)
    profile = [
        (-half, 0.35),
        (-half, 2.85),
        (-half + 0.15, 3.02),
        (half - 0.25, 3.02),
        (half, 2.7),
        (half + 0.05, 0.35),
    ]
    near = -1.25
    b = FigureBuilder()
    b.skin(profile, 2.5, _skin_colours(profile, colour, {4}))
    b.face(profile, colour, near)
    b.face([(-half, 0.35), (-half, 0.62), (half, 0.62), (half, 0.35)], shade(colour, 0.55), near)
    b.face([(-half, 1.0), (-half, 1.28), (half, 1.28), (half, 1.0)], stripe, near)
    panes = int(half * 1.5)
    step = (2 * half - 0.5) / panes
    for pane in range(panes):
        left = -half + 0.25 + pane * step
        b.face(
            [(left, 1.5), (left, 2.45), (left + step - 0.16, 2.45), (left + step - 0.16, 1.5)],
            shade(_GLASS, float(rng.uniform(0.85, 1.35))),
            near,
            glows=bool(rng.random() < 0.4),
        )
    for door in (half - 1.35, -0.6):
        b.face([(door, 0.42), (door, 2.5), (door + 0.95, 2.5), (door + 0.95, 0.42)], shade(_GLASS, 1.3), near)
        b.face([(door + 0.45, 0.42), (door + 0.45, 2.5), (door + 0.5, 2.5), (door + 0.5, 0.42)], colour, near)
    b.face(
        [(half - 3.4, 2.56), (half - 3.4, 2.86), (half - 1.5, 2.86), (half - 1.5, 2.56)],
        (236, 170, 40),
        near,
        glows=True,
    )
    _wheels(b, [-half + 2.0, half - 1.9], 0.48, near)
    _lamps(b, half + 0.04, -half, 0.95, near)
    return b.build(((half, 0.85, _HEADLIGHT), (-half, 0.85, _TAILLIGHT)))


def _truck(rng: np.random.Generator) -> Figure:
    load, cab = float(rng.uniform(3.0, 4.4)), _paint(rng)
    box: Rgb = _paint(rng) if rng.random() < 0.6 else shade((168, 116, 60), float(rng.uniform(0.8, 1.2)))
    top, near = float(rng.uniform(2.5, 3.2)), -1.15
    front = 3.1
    profile = [
        (-load, 0.75),
        (-load, top),
        (1.2, top),
        (1.3, 2.25),
        (2.6, 2.25),
        (3.0, 1.45),
        (front, 1.3),
        (front, 0.5),
    ]
    colours = _skin_colours(profile, cab, {4})
    colours[0], colours[1], colours[2] = shade(box, 0.78), shade(box, 1.15), shade(box, 0.85)
    b = FigureBuilder()
    b.skin(profile, 2.3, colours)
    b.face([(-load, 0.55), (-load, 0.85), (front, 0.85), (front, 0.5)], (48, 48, 50), near)
    b.face([(-load, 0.85), (-load, top), (1.2, top), (1.2, 0.85)], box, near)
    for rib in np.arange(-load + 0.5, 1.1, 0.6):
        b.face([(rib, 0.85), (rib, top), (rib + 0.06, top), (rib + 0.06, 0.85)], shade(box, 0.8), near)
    band = shade(_paint(rng), 1.1)
    b.face([(-load, 1.4), (-load, 1.7), (1.2, 1.7), (1.2, 1.4)], band, near)
    b.face([(1.35, 0.5), (1.35, 2.25), (2.6, 2.25), (3.0, 1.45), (front, 1.3), (front, 0.5)], cab, near)
    b.face([(1.65, 1.4), (1.65, 2.1), (2.5, 2.1), (2.82, 1.4)], _GLASS, near)
    b.face([(1.55, 0.6), (1.55, 2.15), (1.6, 2.15), (1.6, 0.6)], shade(cab, 0.7), near)
    _wheels(b, [-load + 0.9, -load + 1.95, front - 0.85], 0.47, near)
    _lamps(b, front, -load, 1.0, near)
    return b.build(((front, 0.95, _HEADLIGHT), (-load, 0.9, _TAILLIGHT)))


def _motorcycle(rng: np.random.Generator) -> Figure:
    paint, shirt = _paint(rng), _paint(rng)
    trousers = shade(_paint(rng), 0.6)
    skin = shade((172, 126, 92), float(rng.uniform(0.7, 1.15)))
    helmet: Rgb = _paint(rng) if rng.random() < 0.6 else (40, 32, 28)
    b = FigureBuilder()
    for along in (-0.66, 0.66):
        b.disc((along, 0.3), 0.3, _TYRE)
        b.disc((along, 0.3), 0.2, (96, 98, 100), corners=10)
        b.disc((along, 0.3), 0.07, _HUB, corners=8)
    b.face([(0.6, 0.3), (0.44, 1.0), (0.52, 1.02), (0.72, 0.3)], (120, 122, 126))
    b.face([(-0.5, 0.32), (-0.35, 0.62), (0.35, 0.6), (0.25, 0.28)], (58, 58, 62))
    b.face([(-0.85, 0.32), (-0.85, 0.4), (-0.1, 0.36), (-0.1, 0.28)], (168, 170, 172))
    b.face([(-0.8, 0.66), (-0.78, 0.78), (0.0, 0.76), (0.4, 0.92), (0.46, 0.74), (0.1, 0.58)], paint)
    b.face([(-0.78, 0.76), (-0.74, 0.86), (0.05, 0.84), (0.05, 0.74)], (32, 30, 30))
    b.face([(0.5, 0.78), (0.48, 0.96), (0.66, 0.94), (0.68, 0.82)], _HEADLIGHT, glows=True)
    b.face([(-0.88, 0.68), (-0.88, 0.78), (-0.78, 0.78), (-0.78, 0.68)], _TAILLIGHT, glows=True)
    seats = [-0.12] if rng.random() < 0.72 else [-0.5, -0.08]
    for seat in seats:
        _rider(b, seat, (shirt if seat == seats[-1] else _paint(rng), trousers, skin, helmet))
    return b.build(((0.62, 0.88, _HEADLIGHT), (-0.84, 0.73, _TAILLIGHT)))


def _rider(b: FigureBuilder, seat: float, looks: tuple[Rgb, Rgb, Rgb, Rgb]) -> None:
    shirt, trousers, skin, helmet = looks
    b.face([(seat + 0.38, 0.62), (seat + 0.28, 0.28), (seat + 0.4, 0.26), (seat + 0.5, 0.64)], trousers)
    b.face([(seat - 0.1, 0.82), (seat - 0.06, 0.98), (seat + 0.5, 0.8), (seat + 0.46, 0.62)], trousers)
    b.face([(seat + 0.26, 0.22), (seat + 0.28, 0.31), (seat + 0.54, 0.27), (seat + 0.54, 0.2)], (34, 30, 30))
    b.face(
        [
            (seat - 0.14, 0.82),
            (seat - 0.1, 1.2),
            (seat + 0.02, 1.42),
            (seat + 0.2, 1.4),
            (seat + 0.18, 1.1),
            (seat + 0.16, 0.84),
        ],
        shirt,
    )
    b.face(
        [
            (seat + 0.1, 1.36),
            (seat + 0.3, 1.1),
            (seat + 0.58, 1.06),
            (seat + 0.58, 0.98),
            (seat + 0.26, 1.0),
            (seat + 0.02, 1.26),
        ],
        shade(shirt, 0.82),
    )
    b.disc((seat + 0.17, 1.53), 0.12, skin, corners=10)
    b.face(
        [
            (seat + 0.03, 1.52),
            (seat + 0.05, 1.64),
            (seat + 0.16, 1.69),
            (seat + 0.28, 1.64),
            (seat + 0.29, 1.56),
            (seat + 0.1, 1.5),
        ],
        helmet,
    )
