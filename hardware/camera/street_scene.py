"""Where things are in the simulated street: the camera's pose, the lanes, the kerbs; no pixels, no time.

World axes in metres: X along the street to the right, Y up, Z away from the camera across the street. The
camera stands at (0, height, 0), turned by `yaw_rad` about Y and tilted down by `pitch_rad`: a pinhole with
square pixels and the principal point in the middle of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import atan, cos, sin, tan

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

LANE_WIDTH_M = 3.2
PAVEMENT_WIDTH_M = 3.0


@dataclass(frozen=True, slots=True)
class View:
    """A pinhole camera over the street; lengths in metres, angles in radians, `focal_px` in pixels."""

    width: int
    height: int
    focal_px: float
    height_m: float
    yaw_rad: float
    pitch_rad: float

    def project(self, world: Points) -> tuple[Points, Points]:
        """Project (N, 3) X, Y, Z in metres to (N, 2) pixels; also the (N,) depth in metres, at least 0.1."""
        x, z = world[:, 0], world[:, 2]
        below = self.height_m - world[:, 1]
        along = x * sin(self.yaw_rad) + z * cos(self.yaw_rad)
        depth = np.maximum(along * cos(self.pitch_rad) + below * sin(self.pitch_rad), 0.1)
        right = x * cos(self.yaw_rad) - z * sin(self.yaw_rad)
        down = below * cos(self.pitch_rad) - along * sin(self.pitch_rad)
        scale = self.focal_px / depth
        return np.stack((self.width / 2 + right * scale, self.height / 2 + down * scale), axis=1), depth

    def x_at_edge(self, z_m: float, y_m: float, side: int) -> float:
        """X where the line (Z, Y) along the street leaves the frame on the left (-1) or the right (+1)."""
        a = side * self.width / 2 / self.focal_px
        flat = z_m * cos(self.yaw_rad) * cos(self.pitch_rad) + (self.height_m - y_m) * sin(self.pitch_rad)
        turn = cos(self.yaw_rad) - a * sin(self.yaw_rad) * cos(self.pitch_rad)
        return (a * flat + z_m * sin(self.yaw_rad)) / turn


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane: the Z of its middle, its direction (+1 to the right), where a red light stops it."""

    z_m: float
    direction: int
    stop_x_m: float


@dataclass(frozen=True, slots=True)
class Lamp:
    """One street lamp: its foot at (x, z); near lamps stand in front of the traffic."""

    x_m: float
    z_m: float


@dataclass(frozen=True, slots=True)
class Scene:
    """All that stands still in one street."""

    seed: int
    night: bool
    view: View
    lanes: tuple[Lane, ...]
    near_kerb_m: float
    far_kerb_m: float
    facade_m: float
    zebra_x_m: float
    zebra_width_m: float
    sun: tuple[float, float]
    lamps: tuple[Lamp, ...]

    def light(self, x_m: float, z_m: float) -> float:
        """Share of daylight, 0..1, that falls on the ground at (x, z)."""
        if not self.night:
            return 1.0
        pools = sum(np.exp(-((lamp.x_m - x_m) ** 2 + (lamp.z_m - z_m) ** 2) / 22.0) for lamp in self.lamps)
        return float(0.26 + 0.42 * min(1.0, pools))


def make_scene(seed: int, width: int, height: int, *, night: bool) -> Scene:
    """Lay out the street of a seed; the same seed gives the same street by day and by night."""
    rng = np.random.default_rng([seed, 1])
    height_m = float(rng.uniform(5.5, 7.5))
    view = View(
        width=width,
        height=height,
        focal_px=width * float(rng.uniform(0.82, 1.0)),
        height_m=height_m,
        yaw_rad=float(rng.uniform(-0.2, 0.2)),
        pitch_rad=float(rng.uniform(0.17, 0.27)),
    )
    near_kerb = _near_kerb_m(view) + float(rng.uniform(0.0, 0.8))
    lanes_each_way = int(rng.integers(1, 3))
    far_kerb = near_kerb + 2 * lanes_each_way * LANE_WIDTH_M + 0.8
    zebra_x = float(rng.uniform(-3.5, 3.5))
    zebra_width = float(rng.uniform(2.6, 3.6))
    keeps_left = bool(rng.random() < 0.7)
    lanes = []
    for index in range(2 * lanes_each_way):
        near_side = index < lanes_each_way
        direction = -1 if near_side == keeps_left else 1
        z = near_kerb + 0.4 + (index + 0.5) * LANE_WIDTH_M
        lanes.append(Lane(z, direction, zebra_x - direction * (zebra_width / 2 + 1.2)))
    spacing = float(rng.uniform(11, 16))
    first = float(rng.uniform(-spacing, 0))
    facade = far_kerb + PAVEMENT_WIDTH_M
    lamps = [Lamp(first + i * spacing, far_kerb + 0.4) for i in range(-2, 5)]
    lamps += [Lamp(first + (i + 0.5) * spacing, near_kerb - 0.4) for i in range(-1, 3)]
    sun = (float(rng.uniform(-1.1, 1.1)), float(rng.uniform(-0.5, 0.5)))
    return Scene(
        seed, night, view, tuple(lanes), near_kerb, far_kerb, facade, zebra_x, zebra_width, sun, tuple(lamps)
    )


def turned(scene: Scene, angle_rad: float) -> Scene:
    """The same street after somebody has turned its camera to the right by `angle_rad`."""
    return replace(scene, view=replace(scene.view, yaw_rad=scene.view.yaw_rad + angle_rad))


def _near_kerb_m(view: View) -> float:
    lowest_ray_rad = view.pitch_rad + atan(view.height / 2 / view.focal_px)
    return view.height_m / tan(lowest_ray_rad) + 2.3
