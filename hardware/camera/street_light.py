"""Light and noise on the simulated street's pictures: shadows, lamp glow, sensor grain."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware.camera.frame import Pixels
from hardware.camera.street_figure import Figure, FigureBuilder, Placed, Rgb, place
from hardware.camera.street_scene import Scene

_GRAIN_MARGIN_PX = 64
_SHADOW = 0.52


class Grain:
    """Sensor noise: one field made once, laid over each frame at another offset."""

    def __init__(self, seed: int, width: int, height: int, deviation: float) -> None:
        rng = np.random.default_rng([seed, 5])
        shape = (height + _GRAIN_MARGIN_PX, width + _GRAIN_MARGIN_PX, 3)
        field = rng.standard_normal(shape, np.float32) * 0.6 + rng.standard_normal(
            (*shape[:2], 1), np.float32
        )
        field *= deviation
        self._seed = seed
        self._more: Pixels = np.clip(np.rint(field), 0, 255).astype(np.uint8)
        self._less: Pixels = np.clip(np.rint(-field), 0, 255).astype(np.uint8)

    def add(self, picture: Pixels, t_s: float) -> None:
        """Add the noise of the moment `t_s` in place."""
        y, x = np.random.default_rng([self._seed, 6, round(t_s * 1e6)]).integers(0, _GRAIN_MARGIN_PX, 2)
        here = (slice(y, y + picture.shape[0]), slice(x, x + picture.shape[1]))
        cv2.add(picture, self._more[here], dst=picture)
        cv2.subtract(picture, self._less[here], dst=picture)


def darken(backdrop: Pixels) -> Pixels:
    """The backdrop as it looks in shadow."""
    return (backdrop * _SHADOW).astype(np.uint8)


def cast_shadows(picture: Pixels, in_shadow: Pixels, placed: list[Placed]) -> None:
    """Show the shadowed backdrop where somebody's shadow falls; call before anybody is drawn."""
    if not placed:
        return
    mask = np.zeros(picture.shape[:2], np.uint8)
    for actor in placed:
        hull = cv2.convexHull(np.rint(actor.shadow * 16).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 255, cv2.LINE_8, 4)
    cv2.copyTo(in_shadow, mask, picture)


def glow(picture: Pixels, centre: tuple[float, float], size: tuple[float, float], colour: Rgb) -> None:
    """Add a soft ellipse of light, `size` pixels wide and high, in place."""
    width, height = max(3, int(size[0])), max(3, int(size[1]))
    left, top = int(centre[0] - width / 2), int(centre[1] - height / 2)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(picture.shape[1], left + width), min(picture.shape[0], top + height)
    if x1 <= x0 or y1 <= y0:
        return
    spot = cv2.resize(_spot(colour), (width, height))[y0 - top : y1 - top, x0 - left : x1 - left]
    here = picture[y0:y1, x0:x1]
    cv2.add(here, spot, dst=here)


@lru_cache(maxsize=16)
def _spot(colour: Rgb) -> NDArray[Any]:
    across = np.linspace(-1, 1, 64)
    soft = np.maximum(0, 1 - across[:, None] ** 2 - across[None, :] ** 2) ** 2
    return np.asarray((soft[..., None] * np.array(colour)).astype(np.uint8))


def stand_lamps(scene: Scene) -> list[tuple[float, Placed]]:
    """The lamp posts, each with its Z in metres, so that they hide what is behind them."""
    posts = []
    for lamp in scene.lamps:
        post = _post(1.2 if lamp.z_m < scene.far_kerb_m else -1.2)
        at = (lamp.x_m, lamp.z_m)
        posts.append((lamp.z_m, place(scene.view, post, 0, at, 1, sun=(0.0, 0.0), light=scene.light(*at))))
    return posts


def light_lamps(scene: Scene, backdrop: Pixels) -> None:
    """Let the far lamps shine into a night's backdrop."""
    for lamp in scene.lamps:
        head = np.array(((lamp.x_m, 5.9, lamp.z_m),))
        at, depth = scene.view.project(head)
        size = 2.6 * scene.view.focal_px / float(depth[0])
        if lamp.z_m > scene.far_kerb_m:
            glow(backdrop, (float(at[0, 0]), float(at[0, 1])), (size, size), (235.0, 190.0, 120.0))


@lru_cache(maxsize=4)
def _post(over_road_m: float) -> Figure:
    b = FigureBuilder()
    b.face([(-0.05, 0), (-0.04, 6.0), (0.04, 6.0), (0.05, 0)], (84, 88, 92))
    b.face([(-0.09, 0), (-0.09, 0.7), (0.09, 0.7), (0.09, 0)], (66, 70, 72))
    b.face(
        [(-0.28, 5.86), (-0.28, 5.98), (0.28, 5.98), (0.28, 5.86)], (196, 190, 170), over_road_m, glows=True
    )
    return b.build()
