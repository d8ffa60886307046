"""What can happen to a camera's view, made from simulated streets and real videos with known truth.

A clip is a wider picture than the camera's, so that a pushed camera sees what really lies beside. Each scene
begins with a minute in which all is well. Only luma is made: the health of a view looks at nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from device.firmware.view_health import Change, Kind, ViewHealth, ViewSettings
from hardware.camera.frame import Frame, Pixels, rgb_to_i420
from hardware.camera.street import Street

SIZE: Final = (320, 240)
MARGIN: Final = (104, 48)
"""What a clip shows beyond the camera's picture, left and right, above and below."""
BEGIN_S: Final = 60
LASTS_S: Final = 60
AFTER_S: Final = 40
LOOK_S: Final = 1.0
WHITE, BLACK = 235, 16

Clip = list[Pixels]
"""One luma picture a second, wider than the camera's."""
Effect = Callable[[Pixels, int, np.random.Generator], Pixels]
"""A camera's picture, the seconds since the effect began, chance -> what the camera gives."""


@dataclass(frozen=True)
class Scene:
    """One thing that happens.

    Attributes:
        name: of the kind of scene.
        kind: the alarm that must be raised and cleared; None if none may be.
        pictures: luma, one a second.
        begin_s: when it begins.
        end_s: when it is over.
        by_s: how long after `begin_s` and `end_s` the alarm may be raised and cleared.
    """

    name: str
    kind: Kind | None
    pictures: list[Pixels]
    begin_s: int = BEGIN_S
    end_s: int = BEGIN_S + LASTS_S
    by_s: float = 35.0


@dataclass(frozen=True)
class Outcome:
    """Whether a scene's alarm came and went in time, and which others came."""

    is_found: bool
    false: tuple[Kind, ...]


SETTINGS: Final = ViewSettings(look_s=LOOK_S, frozen_s=30.0)


def play(scene: Scene, settings: ViewSettings = SETTINGS) -> list[tuple[int, Change]]:
    """Let a new view health watch the scene; return what it raised and cleared, and when."""
    health = ViewHealth(settings)
    return [(second, change) for second, frame in frames(scene) for change in health.watch(frame)]


def frames(scene: Scene) -> Iterator[tuple[int, Frame]]:
    """The scene as a camera's frames, with the second of each."""
    for second, luma in enumerate(scene.pictures):
        yield second, frame_of(luma, second)


def frame_of(luma: Pixels, second: float, colour: int = 0) -> Frame:
    """An I420 frame of a luma picture, so far from grey."""
    height, width = luma.shape
    pixels = np.full((height * 3 // 2, width), 128 + colour, np.uint8)
    pixels[:height] = luma
    return Frame(pixels, "i420", width, height, 1000.0 + second, 1.8e9 + second, int(second))


def judge(scene: Scene, changes: list[tuple[int, Change]]) -> Outcome:
    """Compare what was said with what happened."""
    raised = [(at, change.kind) for at, change in changes if change.is_raised]
    cleared = [(at, change.kind) for at, change in changes if not change.is_raised]
    in_time = [at for at, kind in raised if kind == scene.kind and 0 <= at - scene.begin_s <= scene.by_s]
    gone = [at for at, kind in cleared if kind == scene.kind and 0 <= at - scene.end_s <= scene.by_s]
    false = [kind for at, kind in raised if kind != scene.kind or at not in in_time[:1]]
    return Outcome(bool(in_time) and bool(gone), tuple(false))


@lru_cache(maxsize=3)
def street_clip(seed: int, *, night: bool = False) -> Clip:
    """A simulated street, one picture a second."""
    size = (SIZE[0] + 2 * MARGIN[0], SIZE[1] + 2 * MARGIN[1])
    street = Street(seed, *size, night=night)
    return [rgb_to_i420(street.render(float(t)))[: size[1]] for t in range(BEGIN_S + LASTS_S + AFTER_S)]


@lru_cache(maxsize=2)
def video_clip(file: Path) -> Clip:
    """A real video, one picture a second where it is long enough, else each of its frames, to and fro."""
    import av

    size = (SIZE[0] + 2 * MARGIN[0], SIZE[1] + 2 * MARGIN[1])
    with av.open(str(file)) as container:
        every = 10 if container.streams.video[0].frames > 600 else 1
        found = [
            frame.reformat(width=size[0], height=size[1], format="gray").to_ndarray()
            for number, frame in enumerate(container.decode(video=0))
            if number % every == 0
        ]
    found += found[::-1]
    rng = np.random.default_rng(1)
    scale = (WHITE - BLACK) / 255
    return [
        grainy(found[t % len(found)] * scale + BLACK, 1.0, rng) for t in range(BEGIN_S + LASTS_S + AFTER_S)
    ]


def viewport(picture: Pixels, right_px: int = 0, down_px: int = 0) -> Pixels:
    """What the camera sees of a clip's picture; the view goes right when the camera is pushed left."""
    left, top = MARGIN[0] - right_px, MARGIN[1] - down_px
    return picture[top : top + SIZE[1], left : left + SIZE[0]]


def grainy(luma: np.ndarray, deviation: float, rng: np.random.Generator) -> Pixels:
    """Sensor noise on top."""
    return np.clip(np.rint(luma + rng.normal(0, deviation, luma.shape)), BLACK, WHITE).astype(np.uint8)


def scene_of(name: str, kind: Kind | None, clip: Clip, effect: Effect, seed: int, **times: int) -> Scene:
    """A scene in which an effect is on from `begin_s` to `end_s`."""
    rng = np.random.default_rng([seed, *name.encode()])
    scene = Scene(name, kind, [], **times)
    for second, picture in enumerate(clip):
        seen = viewport(picture)
        is_on = scene.begin_s <= second < scene.end_s
        scene.pictures.append(effect(seen, second - scene.begin_s, rng) if is_on else seen)
    return scene


def pushed(clip: Clip, seed: int) -> Scene:
    """Somebody pushes the camera by 3 to 30 % of the picture's width, and back again."""
    rng = np.random.default_rng([seed, 7])
    right = int(rng.choice([-1, 1]) * rng.uniform(0.03, 0.30) * SIZE[0])
    down = int(rng.uniform(-0.15, 0.15) * SIZE[1])
    pictures = [
        viewport(picture, right, down) if BEGIN_S <= second < BEGIN_S + LASTS_S else viewport(picture)
        for second, picture in enumerate(clip)
    ]
    return Scene("pushed 3-30 %", "moved", pictures)


def frozen(clip: Clip) -> Scene:
    """The camera gives the same picture again and again."""
    pictures = [viewport(picture) for picture in clip]
    pictures[BEGIN_S : BEGIN_S + LASTS_S] = [pictures[BEGIN_S - 1]] * LASTS_S
    return Scene("frozen", "frozen", pictures)


def dusk(day: Clip, night: Clip, lasts_s: int = 900) -> Scene:
    """Day becomes night by and by, and day again; the traffic of the clips goes on."""
    shares = np.concatenate(
        [np.zeros(60), np.linspace(0, 1, lasts_s), np.ones(120), np.linspace(1, 0, lasts_s)]
    )
    pictures = [
        viewport(cv2.addWeighted(day[t % len(day)], 1 - share, night[t % len(night)], share, 0))
        for t, share in enumerate(shares)
    ]
    return Scene("dusk and dawn", None, pictures)


def infrared(seen: Pixels) -> Pixels:
    """Lit by lamps beside the lens: bright in the middle, and what was dark may be light."""
    y, x = np.mgrid[-1 : 1 : SIZE[1] * 1j, -1 : 1 : SIZE[0] * 1j]
    reflected = 150 - 0.8 * (seen.astype(np.float32) - BLACK)
    return np.clip(BLACK + 0.5 * reflected * np.exp(-(x**2 + y**2) / 0.7), BLACK, WHITE).astype(np.uint8)


def turned(clip: Clip, degrees: float, zoom: float = 1.0) -> Scene:
    """The camera is turned about its axis, or its lens zooms."""
    centre = (SIZE[0] / 2 + MARGIN[0], SIZE[1] / 2 + MARGIN[1])
    turn = cv2.getRotationMatrix2D(centre, degrees, zoom)
    pictures = [
        viewport(cv2.warpAffine(picture, turn, picture.shape[::-1]) if second >= BEGIN_S else picture)
        for second, picture in enumerate(clip)
    ]
    return Scene("turned", "moved", pictures)


def hand(seed: int) -> Effect:
    """A hand: a soft, dim, slowly moving surface with a little light from one side."""
    own = np.random.default_rng([seed, 3])
    level, slope, phase = own.uniform(25, 110), own.uniform(-40, 40, 2), own.uniform(0, 6)
    y, x = np.mgrid[-1 : 1 : SIZE[1] * 1j, -1 : 1 : SIZE[0] * 1j]

    def cover(seen: Pixels, second: int, rng: np.random.Generator) -> Pixels:
        wave = 8 * np.sin(3 * x + phase + 0.2 * second) * np.cos(2 * y - phase)
        surface = BLACK + level + slope[0] * x + slope[1] * y * x + wave
        if second == 0:
            return grainy(np.where(x < 0, surface, seen), 2.0, rng)
        return grainy(surface, 2.0, rng)

    return cover


def tape(seed: int) -> Effect:
    """Tape, paper or paint on the lens: flat, from black to grey, with as much noise as the gain makes."""
    own = np.random.default_rng([seed, 4])
    level, noise = own.choice([0.0, 2.0, 30.0, 90.0, 150.0]), own.uniform(0.5, 6.0)
    return lambda seen, second, rng: grainy(np.full(seen.shape, BLACK + level), noise, rng)


def smear(seed: int) -> Effect:
    """Spray or grease: the picture is soft all over, 1 to 4 % of its width, with blotches."""
    own = np.random.default_rng([seed, 5])
    sigma = own.uniform(0.01, 0.04) * SIZE[0]
    blotches = cv2.GaussianBlur(own.normal(0, 1, SIZE[::-1]), (0, 0), SIZE[0] * 0.08)
    blotches *= 12 / np.abs(blotches).max()
    return lambda seen, second, rng: grainy(cv2.GaussianBlur(seen, (0, 0), sigma) + blotches, 1.0, rng)


def torch(seed: int) -> Effect:
    """A torch or the sun straight into the lens."""
    share = np.random.default_rng([seed, 6]).uniform(0.7, 1.0)
    y, x = np.mgrid[-1 : 1 : SIZE[1] * 1j, -1 : 1 : SIZE[0] * 1j]
    glow = 330 * share * np.exp(-(x**2 + y**2) / 2.5)
    return lambda seen, second, rng: grainy(seen + glow, 1.0, rng)


def nightfall(seen: Pixels, second: int, rng: np.random.Generator) -> Pixels:
    """The last light goes within 30 seconds and comes back as slowly."""
    light = np.interp(second, [0, 25, 50, 60], [1.0, 0.01, 0.01, 0.25])
    return grainy(BLACK + (seen.astype(np.float32) - BLACK) * light, 0.7, rng)


def lamp(seed: int) -> Effect:
    """A lamp that dazzles a part of the picture."""
    own = np.random.default_rng([seed, 8])
    cx, cy, wide = own.uniform(-0.8, 0.8), own.uniform(-0.8, 0.2), own.uniform(0.1, 0.5)
    y, x = np.mgrid[-1 : 1 : SIZE[1] * 1j, -1 : 1 : SIZE[0] * 1j]
    glow = 260 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / wide)
    return lambda seen, second, rng: grainy(seen + glow, 1.0, rng)


def rain(seen: Pixels, second: int, rng: np.random.Generator) -> Pixels:
    """Streaks, a veil and noise."""
    drops = np.zeros(seen.shape, np.float32)
    for x, y in rng.integers(0, SIZE, (180, 2)):
        drops[y : y + int(rng.integers(4, 16)), x] += 45
    return grainy(BLACK + 12 + (seen.astype(np.float32) - BLACK) * 0.8 + drops, 3.0, rng)


def bus(seen: Pixels, second: int, rng: np.random.Generator) -> Pixels:
    """A bus fills 70 % of the picture for 3 seconds of every 20."""
    if second % 20 >= 3:
        return seen
    width = int(0.7 * SIZE[0])
    side = cv2.resize(
        rng.integers(40, 200, (5, 9)).astype(np.uint8), (width, SIZE[1]), interpolation=cv2.INTER_NEAREST
    )
    covered, left = seen.copy(), int((0.1 + 0.1 * (second % 20)) * SIZE[0])
    covered[:, left : left + width] = side[:, : SIZE[0] - left]
    return covered


def headlights(seen: Pixels, second: int, rng: np.random.Generator) -> Pixels:
    """Two headlights come by every ten seconds, with their glare."""
    step = second % 10
    if step > 5:
        return seen
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    glare = np.zeros(seen.shape)
    for dx in (-20, 20):
        glare += 240 * np.exp(-((x - 40 - 48 * step - dx) ** 2 + (y - 150) ** 2) / (12.0 + 9 * step) ** 2)
    return grainy(seen + glare, 1.0, rng)


def exposure(seen: Pixels, second: int, rng: np.random.Generator) -> Pixels:
    """The camera's own exposure jumps up and down."""
    gain = (1.0, 0.55, 0.8, 1.35)[second // 8 % 4]
    return grainy(BLACK + (seen.astype(np.float32) - BLACK) * gain, 1.0, rng)


def nothing(seen: Pixels, second: int, rng: np.random.Generator) -> Pixels:
    """All is well."""
    return seen


SCENES: Final[dict[str, Callable[[Clip, int], Scene]]] = {
    "hand over the lens": lambda clip, seed: scene_of(
        "hand over the lens", "covered", clip, hand(seed), seed
    ),
    "tape on the lens": lambda clip, seed: scene_of("tape on the lens", "covered", clip, tape(seed), seed),
    "spray on the lens": lambda clip, seed: scene_of("spray on the lens", "blurred", clip, smear(seed), seed),
    "torch into the lens": lambda clip, seed: scene_of(
        "torch into the lens", "bright", clip, torch(seed), seed
    ),
    "no light left": lambda clip, seed: replace(
        scene_of("no light left", "dark", clip, nightfall, seed), by_s=60
    ),
    "pushed 3-30 %": pushed,
    "frozen": lambda clip, seed: frozen(clip),
    "all is well": lambda clip, seed: scene_of("all is well", None, clip, nothing, seed),
    "a lamp that dazzles": lambda clip, seed: scene_of("a lamp that dazzles", None, clip, lamp(seed), seed),
    "rain": lambda clip, seed: scene_of("rain", None, clip, rain, seed),
    "a bus over 70 %": lambda clip, seed: scene_of("a bus over 70 %", None, clip, bus, seed),
    "exposure steps": lambda clip, seed: scene_of("exposure steps", None, clip, exposure, seed),
    "headlights": lambda clip, seed: scene_of("headlights", None, clip, headlights, seed),
}
"""Everything that happens to one clip; dusk needs two."""
