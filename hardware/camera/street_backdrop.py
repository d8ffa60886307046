"""Paints what stands still in the simulated street, once: ground, buildings, trees, sky, lamp light.

The ground and the house fronts are drawn flat, at a fixed number of pixels a metre, and projected.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hardware.camera.frame import Pixels
from hardware.camera.street_scene import LANE_WIDTH_M, PAVEMENT_WIDTH_M, Scene

Colour = tuple[float, float, float]
Canvas = NDArray[Any]

_REACH_M = 42.0
_GROUND_PX_PER_M = 24
_FRONT_PX_PER_M = 16
_FRONT_HEIGHT_M = 14.0


def paint_backdrop(scene: Scene) -> Pixels:
    """The empty street as (H, W, 3) uint8 RGB."""
    rng = np.random.default_rng([scene.seed, 2])
    ground = _ground(scene, rng)
    fronts, lit = _fronts(scene, rng)
    if scene.night:
        ground = ground * _pools(scene)
        fronts = np.where(lit[..., None] > 0, fronts, fronts * np.array((0.2, 0.2, 0.27, 1.0)))
    else:
        ground = _shade_by_houses(scene, ground)
    picture = _sky(scene, rng)
    _lay(scene, picture, fronts, _front_corners(scene), _FRONT_PX_PER_M)
    _lay(scene, picture, ground, _ground_corners(scene), _GROUND_PX_PER_M)
    _trees(scene, picture, rng)
    tint = rng.uniform(0.93, 1.07, 3) * (1.0 if scene.night else rng.uniform(0.82, 1.1))
    blurred = cv2.GaussianBlur(picture * tint, (3, 3), 0)
    backdrop: Pixels = np.clip(blurred, 0, 255).astype(np.uint8)
    return backdrop


def _speckle(rng: np.random.Generator, shape: tuple[int, int], grain_px: int) -> Canvas:
    """Smooth noise about 0 with deviation 1, (H, W) float32; spots about `grain_px` across."""
    small = rng.standard_normal((shape[0] // grain_px + 2, shape[1] // grain_px + 2)).astype(np.float32)
    grown: Canvas = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return grown


def _ground(scene: Scene, rng: np.random.Generator) -> Canvas:
    """Everything flat, seen from above, far edge first: (depth, 2 * reach, 3) float32 RGB."""
    px = _GROUND_PX_PER_M
    depth_m = scene.facade_m - _nearest_m(scene)
    shape = (int(depth_m * px), int(2 * _REACH_M * px))
    asphalt = np.full((*shape, 3), rng.uniform(82, 122), np.float32) + rng.uniform(-5, 5, 3)
    wear = 5 * _speckle(rng, shape, 60) + 4 * _speckle(rng, shape, 8) + 5 * _speckle(rng, shape, 2)

    def rows(z_from_m: float, z_to_m: float) -> slice:
        return slice(int((scene.facade_m - z_to_m) * px), max(0, int((scene.facade_m - z_from_m) * px)))

    def columns(x_from_m: float, x_to_m: float) -> slice:
        return slice(max(0, int((x_from_m + _REACH_M) * px)), max(0, int((x_to_m + _REACH_M) * px)))

    _patches(asphalt, rng)
    _paving(asphalt, rows(scene.far_kerb_m, scene.facade_m), rng)
    _paving(asphalt, rows(_nearest_m(scene), scene.near_kerb_m), rng)
    for kerb_m in (scene.far_kerb_m, scene.near_kerb_m):
        striped = bool(rng.random() < 0.5)
        for i in range(int(2 * _REACH_M)):
            light = 70 if striped and i % 2 else 175
            asphalt[rows(kerb_m - 0.12, kerb_m + 0.12), columns(i - _REACH_M, i + 1 - _REACH_M)] = light
    paint = rng.uniform(180, 225)
    for i in range(1, len(scene.lanes)):
        z = scene.near_kerb_m + 0.4 + i * LANE_WIDTH_M
        if i == len(scene.lanes) // 2:
            asphalt[rows(z - 0.08, z + 0.08)] = (paint, paint * 0.85, paint * 0.35)
            continue
        for dash_m in np.arange(-_REACH_M, _REACH_M, 5.0):
            asphalt[rows(z - 0.06, z + 0.06), columns(dash_m, dash_m + 2.2)] = paint
    left, right = scene.zebra_x_m - scene.zebra_width_m / 2, scene.zebra_x_m + scene.zebra_width_m / 2
    asphalt[rows(scene.near_kerb_m + 0.2, scene.far_kerb_m - 0.2), columns(left - 0.6, right + 0.6)] -= 6
    for z in np.arange(scene.near_kerb_m + 0.5, scene.far_kerb_m - 0.7, 1.0):
        asphalt[rows(z, z + 0.5), columns(left, right)] = paint
    for lane in scene.lanes:
        bar = rows(lane.z_m - 1.4, lane.z_m + 1.4)
        asphalt[bar, columns(lane.stop_x_m - 0.15, lane.stop_x_m + 0.15)] = paint
    return np.asarray(np.clip(asphalt + wear[..., None], 10, 255))


def _patches(asphalt: Canvas, rng: np.random.Generator) -> None:
    height, width = asphalt.shape[:2]
    for _ in range(int(rng.integers(8, 20))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(10, 120)), int(rng.integers(8, 40))
        asphalt[y : y + h, x : x + w] += rng.uniform(-16, 10)
    for _ in range(int(rng.integers(6, 14))):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(asphalt, centre, int(rng.integers(5, 9)), (58, 56, 55), -1)


def _paving(asphalt: Canvas, rows: slice, rng: np.random.Generator) -> None:
    band = asphalt[rows]
    base = np.array((1.0, rng.uniform(0.9, 1.0), rng.uniform(0.78, 0.98))) * rng.uniform(120, 175)
    band[:] = base
    tile_px = int(rng.integers(10, 26))
    band[::tile_px] = base * 0.82
    band[:, ::tile_px] = base * 0.82


def _shade_by_houses(scene: Scene, ground: Canvas) -> Canvas:
    """Houses throw a shadow over the far pavement where the sun stands behind them."""
    shadow_m = max(0.0, -scene.sun[1]) * 7.0
    ground[: int(shadow_m * _GROUND_PX_PER_M)] *= 0.68
    return ground


def _pools(scene: Scene) -> Canvas:
    """Night's share of daylight on the flat ground, with a warm pool below each lamp."""
    depth_m = scene.facade_m - _nearest_m(scene)
    shape = (int(depth_m * _GROUND_PX_PER_M), int(2 * _REACH_M * _GROUND_PX_PER_M))
    rows = scene.facade_m - (np.arange(shape[0]) + 0.5) / _GROUND_PX_PER_M
    columns = (np.arange(shape[1]) + 0.5) / _GROUND_PX_PER_M - _REACH_M
    light = np.zeros(shape, np.float32)
    for lamp in scene.lamps:
        across = np.exp(-((rows - lamp.z_m) ** 2) / 22.0)
        light += np.outer(across, np.exp(-((columns - lamp.x_m) ** 2) / 22.0)).astype(np.float32)
    warm = np.array((0.52, 0.43, 0.30), np.float32)
    return np.asarray(np.array((0.17, 0.18, 0.23), np.float32) + np.minimum(light, 1.3)[..., None] * warm)


def _fronts(scene: Scene, rng: np.random.Generator) -> tuple[Canvas, Canvas]:
    """House fronts, roof line first: (H, W, 4) float32 RGB + presence, and (H, W) where a light is on."""
    px = _FRONT_PX_PER_M
    height, width = int(_FRONT_HEIGHT_M * px), int(2 * _REACH_M * px)
    wall = np.zeros((height, width, 3), np.float32)
    there = np.zeros((height, width), np.float32)
    lit = np.zeros((height, width), np.uint8)
    left = 0
    while left < width:
        right = min(width, left + int(rng.uniform(5, 12) * px))
        storeys = int(rng.integers(1, 5))
        top = height - int((3.6 + 3.0 * (storeys - 1) + rng.uniform(0, 0.8)) * px)
        _house(wall, lit, (left, max(0, top), right), rng)
        there[max(0, top) :, left:right] = 1
        left = right + (int(rng.uniform(1, 4) * px) if rng.random() < 0.25 else 0)
    wall += (4 * _speckle(rng, (height, width), 3) + 5 * _speckle(rng, (height, width), 30))[..., None]
    return np.dstack((np.clip(wall, 5, 255), there * 255)).astype(np.float32), lit


def _house(wall: Canvas, lit: Canvas, place: tuple[int, int, int], rng: np.random.Generator) -> None:
    left, top, right = place
    px, height = _FRONT_PX_PER_M, wall.shape[0]
    base = rng.uniform(95, 205) * np.array((1.0, rng.uniform(0.82, 1.0), rng.uniform(0.65, 1.0)))
    wall[top:, left:right] = base
    if rng.random() < 0.4:
        wall[top::6, left:right] = base * 0.88
    wall[top : top + 5, left:right] = base * 0.7
    shop_top = height - int(3.2 * px)
    step, size = int(rng.uniform(1.7, 2.8) * px), (int(rng.uniform(0.8, 1.4) * px), int(1.5 * px))
    for y in range(shop_top - int(2.6 * px), top + 6, -int(3.0 * px)):
        for x in range(left + step // 3, right - size[0] - 4, step):
            _window(wall, lit, (slice(y, y + size[1]), slice(x, x + size[0])), rng)
    _shop(wall, lit, (left + 4, shop_top, right - 4), rng)


def _window(
    wall: Canvas, lit: Canvas, pane: tuple[slice, slice], rng: np.random.Generator, chance: float = 0.35
) -> None:
    on = rng.random() < chance
    wall[pane] = rng.uniform(35, 90) * np.array((0.85, 0.95, 1.1))
    wall[pane[0].start : pane[0].start + 2, pane[1]] = 190
    if on:
        lit[pane] = 1
    wall[pane] += (110.0, 85.0, 40.0) if on else 0.0


def _shop(wall: Canvas, lit: Canvas, place: tuple[int, int, int], rng: np.random.Generator) -> None:
    left, top, right = place
    height, px = wall.shape[0], _FRONT_PX_PER_M
    sign = slice(top, top + int(0.7 * px))
    wall[sign, left:right] = rng.uniform(30, 220, 3)
    for x in range(left + 6, right - 10, 9):
        wall[sign.start + 3 : sign.stop - 3, x : x + int(rng.integers(2, 7))] = rng.uniform(180, 255)
    if rng.random() < 0.5:
        lit[sign, left:right] = 1
    x = left
    while x + px < right:
        wide = int(rng.uniform(1.2, 2.6) * px)
        inside = (slice(top + int(0.9 * px), height - 3), slice(x + 2, min(right, x + wide) - 2))
        if rng.random() < 0.6:
            _window(wall, lit, inside, rng, 0.5)
        else:
            wall[inside] = rng.uniform(50, 150, 3)
            wall[inside[0].start :: 4, inside[1]] *= 0.85
        x += wide


def _sky(scene: Scene, rng: np.random.Generator) -> Canvas:
    height, width = scene.view.height, scene.view.width
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    top, low = np.array((105, 150, 205)), np.array((205, 215, 225))
    if rng.random() < 0.4:
        top, low = np.array((165, 168, 172)), np.array((205, 205, 205))
    clouds = np.clip(_speckle(rng, (height, width), max(8, height // 6)), 0, 2)[..., None] * 14
    sky = top * (1 - down) + low * down + clouds
    if scene.night:
        sky = sky * np.array((0.10, 0.10, 0.14)) + np.array((6, 6, 12))
    return np.ascontiguousarray(sky, np.float32)


def _nearest_m(scene: Scene) -> float:
    return scene.near_kerb_m - PAVEMENT_WIDTH_M - 3.0


def _ground_corners(scene: Scene) -> Canvas:
    near, far = _nearest_m(scene), scene.facade_m
    return np.array(
        ((-_REACH_M, 0, far), (_REACH_M, 0, far), (_REACH_M, 0, near), (-_REACH_M, 0, near)), np.float64
    )


def _front_corners(scene: Scene) -> Canvas:
    far, top = scene.facade_m, _FRONT_HEIGHT_M
    return np.array(
        ((-_REACH_M, top, far), (_REACH_M, top, far), (_REACH_M, 0, far), (-_REACH_M, 0, far)), np.float64
    )


def _lay(scene: Scene, picture: Canvas, flat: Canvas, corners: Canvas, px_per_m: int) -> None:
    """Project a flat canvas, whose corners lie at four world points, into the picture; alpha may be there."""
    # Four well-conditioned points: corners may lie beside or behind the camera, so take the part in view.
    height, width = flat.shape[:2]
    inner = np.array(((0.4, 0.0), (0.6, 0.0), (0.6, 0.7), (0.4, 0.7)))
    across = corners[0] + (corners[1] - corners[0]) * inner[:, :1]
    world = across + (corners[3] - corners[0]) * inner[:, 1:]
    target, _ = scene.view.project(world)
    source = inner * np.array((width, height))
    matrix = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
    size = (picture.shape[1], picture.shape[0])
    if flat.shape[2] == 3:
        flat = np.dstack((flat, np.full((height, width), 255.0)))
    # Far ground has many canvas pixels for each of the picture's: blur first, or it shimmers.
    soft = cv2.GaussianBlur(flat.astype(np.float32), (3, 3), 0) if px_per_m > 8 else flat
    warped = cv2.warpPerspective(soft, matrix, size, flags=cv2.INTER_LINEAR)
    share = warped[..., 3:] / 255.0
    picture[:] = picture * (1 - share) + warped[..., :3] * np.minimum(1, share)


def _trees(scene: Scene, picture: Canvas, rng: np.random.Generator) -> None:
    """Trees at the house fronts, behind everybody."""
    dim = 0.22 if scene.night else 1.0
    x = -_REACH_M * 0.6 + rng.uniform(0, 8)
    while x < _REACH_M * 0.6:
        foot, depth = scene.view.project(
            np.array(((x, 0.0, scene.facade_m - 0.4), (x, 4.2, scene.facade_m - 0.4)))
        )
        scale = scene.view.focal_px / depth[0]
        trunk = (int(foot[0, 0]), int(foot[0, 1])), (int(foot[1, 0]), int(foot[1, 1]))
        cv2.line(picture, trunk[0], trunk[1], tuple(dim * c for c in (78, 60, 45)), max(1, int(0.25 * scale)))
        green: Colour = (rng.uniform(35, 75), rng.uniform(75, 120), rng.uniform(25, 55))
        for leaf in range(70):
            at = foot[1] + rng.normal(0, 0.8, 2) * scale
            shade = dim * rng.uniform(0.6, 1.25) * (0.8 + leaf / 200)
            radius = max(1, int(rng.uniform(0.2, 0.5) * scale))
            cv2.circle(picture, (int(at[0]), int(at[1])), radius, tuple(shade * c for c in green), -1)
        x += rng.uniform(7, 18)
