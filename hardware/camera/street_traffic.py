"""Who passes through the simulated street, and when: a timetable from the seed; no pixels.

Time is cut into episodes. In each, everybody has entered and left before the last `QUIET_S` seconds begin, so
that every episode ends in a still street. Once an episode a red light holds the lanes while people cross.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardware.camera.street_figure import Figure
from hardware.camera.street_people import STANDING, STRIDE_M, STRIDE_POSES, make_walker
from hardware.camera.street_scene import Lane, Scene
from hardware.camera.street_vehicles import make_vehicle

EPISODE_S = 60.0
QUIET_S = 8.0

_BUSY_S = EPISODE_S - QUIET_S
_BRAKING_MPS2 = 2.5
_KINDS = ("car", "motorcycle", "bus", "truck")
_SHARES = (0.54, 0.26, 0.10, 0.10)

Keyframes = list[tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where somebody is at one moment: metres, the way they look (+1 along X), and which pose they are in."""

    x_m: float
    z_m: float
    direction: int
    pose: int
    is_frontal: bool


@dataclass(frozen=True, slots=True)
class Pass:
    """One actor's way through the street, from `times[0]` to `times[-1]` seconds."""

    id: int
    name: str
    figure: Figure
    frontal: Figure | None
    times: NDArray[np.float64]
    xs: NDArray[np.float64]
    zs: NDArray[np.float64]

    def at(self, t_s: float) -> Spot:
        """Where the actor is at `t_s`, which lies within the pass."""
        leg = min(max(int(np.searchsorted(self.times, t_s, "right")) - 1, 0), len(self.times) - 2)
        span = self.times[leg + 1] - self.times[leg]
        share = (t_s - self.times[leg]) / span if span > 0 else 0.0
        dx, dz = self.xs[leg + 1] - self.xs[leg], self.zs[leg + 1] - self.zs[leg]
        x, z = float(self.xs[leg] + share * dx), float(self.zs[leg] + share * dz)
        direction = int(np.sign(dx)) or self._last_direction(leg)
        if self.name != "person":
            return Spot(x, z, direction, 0, is_frontal=False)
        is_still = abs(dx) + abs(dz) < 1e-6
        walked_m = abs(x - self.xs[0]) + abs(z - self.zs[0])
        pose = STANDING if is_still else int(walked_m / STRIDE_M * STRIDE_POSES) % STRIDE_POSES
        return Spot(x, z, direction, pose, is_frontal=bool(abs(dz) > abs(dx)))

    def _last_direction(self, leg: int) -> int:
        moves = np.sign(np.diff(self.xs))[: leg + 1]
        moved = moves[moves != 0]
        return int(moved[-1]) if len(moved) else 1


def plan_episode(scene: Scene, episode: int) -> tuple[Pass, ...]:
    """Everybody who passes during episode number `episode` (from 0); times count from the street's start."""
    rng = np.random.default_rng([scene.seed, 3, episode])
    road_m = scene.far_kerb_m - scene.near_kerb_m
    red_s = float(rng.uniform(15, 22))
    green_s = red_s + road_m / 1.2 + 4.0
    plans: list[tuple[str, Figure, Figure | None, Keyframes]] = []
    for lane in scene.lanes:
        plans += [
            (name, figure, None, way) for name, figure, way in _lane(scene, lane, (red_s, green_s), rng)
        ]
    for way in _strollers(scene, rng) + _crossers(scene, red_s, rng):
        looks = int(rng.integers(2**32))
        side, front = (make_walker(np.random.default_rng(looks), is_frontal=f) for f in (False, True))
        plans.append(("person", side, front, way))
    start_s = episode * EPISODE_S
    passes = []
    for index, (name, figure, frontal, way) in enumerate(plans):
        times, xs, zs = np.array(way, np.float64).T
        if times[0] >= 0 and times[-1] <= _BUSY_S:
            passes.append(Pass(episode * 1000 + index, name, figure, frontal, times + start_s, xs, zs))
    return tuple(passes)


def _lane(
    scene: Scene, lane: Lane, lights_s: tuple[float, float], rng: np.random.Generator
) -> list[tuple[str, Figure, Keyframes]]:
    red_s, green_s = lights_s
    speed = float(rng.uniform(6.0, 10.5))
    gap_s = float(rng.uniform(2.0, 6.0))
    planned: list[tuple[str, Figure, Keyframes]] = []
    queue_m, queued = 0.0, 0
    enter_s = float(rng.exponential(1.5))
    while enter_s < _BUSY_S:
        name = str(rng.choice(_KINDS, p=_SHARES))
        figure = make_vehicle(name, rng)
        ends = _ends(scene, lane.z_m, figure.length_m / 2 + 6.0)
        x_in, x_out = ends if lane.direction > 0 else ends[::-1]
        arrive_s = enter_s + abs(lane.stop_x_m - x_in) / speed
        # Nobody arrives while the queue still clears: a timetable needs no car-following.
        if arrive_s < red_s or arrive_s > green_s + 8.0:
            leave_s = enter_s + abs(x_out - x_in) / speed
            planned.append((name, figure, [(enter_s, x_in, lane.z_m), (leave_s, x_out, lane.z_m)]))
        elif arrive_s < green_s - 3.0 and queued < 3:
            stop_x = lane.stop_x_m - lane.direction * (queue_m + figure.length_m / 2 + 0.4)
            stops = _Stop(stop_x, arrive_s, green_s + 1.0 * queued, speed)
            planned.append((name, figure, _stop_and_go(stops, lane, (x_in, x_out))))
            queue_m, queued = queue_m + figure.length_m + 1.6, queued + 1
        enter_s += (figure.length_m + 3.0) / speed + 1.2 + float(rng.exponential(gap_s))
    return planned


@dataclass(frozen=True, slots=True)
class _Stop:
    x_m: float
    arrive_s: float
    go_s: float
    speed_mps: float


def _stop_and_go(stop: _Stop, lane: Lane, ends: tuple[float, float]) -> Keyframes:
    x_in, x_out = ends
    braking_s = stop.speed_mps / _BRAKING_MPS2
    sampled_s = np.linspace(0, braking_s, 8)
    distances_m = _BRAKING_MPS2 / 2 * sampled_s**2
    still_s = stop.arrive_s + braking_s / 2
    way: Keyframes = []
    before_m = abs(stop.x_m - x_in) - distances_m[-1]
    if before_m > 0:
        way.append((still_s - braking_s - before_m / stop.speed_mps, x_in, lane.z_m))
    for back_s, back_m in zip(sampled_s[::-1], distances_m[::-1], strict=True):
        way.append((still_s - back_s, stop.x_m - lane.direction * back_m, lane.z_m))
    for on_s, on_m in zip(sampled_s, distances_m, strict=True):
        way.append((max(stop.go_s, still_s + 0.5) + on_s, stop.x_m + lane.direction * on_m, lane.z_m))
    after_m = abs(x_out - stop.x_m) - distances_m[-1]
    if after_m > 0:
        way.append((way[-1][0] + after_m / stop.speed_mps, x_out, lane.z_m))
    return way


def _strollers(scene: Scene, rng: np.random.Generator) -> list[Keyframes]:
    ways: list[Keyframes] = []
    bands = (
        (scene.near_kerb_m - 1.9, scene.near_kerb_m - 0.5),
        (scene.far_kerb_m + 0.8, scene.facade_m - 0.6),
    )
    for low_m, high_m in bands:
        for index in range(int(rng.integers(3, 7))):
            z = float(rng.uniform(low_m, high_m))
            ends = _ends(scene, z, 1.5)
            x_in, x_out = ends if rng.random() < 0.5 else ends[::-1]
            speed = float(rng.uniform(1.0, 1.7))
            walk_s = abs(x_out - x_in) / speed
            rest_s = float(rng.uniform(5, 12)) if rng.random() < 0.3 else 0.0
            if walk_s + rest_s > _BUSY_S:
                continue
            enter_s = float(rng.uniform(0, 2.0 if index == 0 else _BUSY_S - walk_s - rest_s))
            x_rest, share = x_in + 0.5 * (x_out - x_in), 0.5
            way = [(enter_s, x_in, z), (enter_s + share * walk_s, x_rest, z)]
            if rest_s:
                way.append((enter_s + share * walk_s + rest_s, x_rest, z))
            way.append((enter_s + walk_s + rest_s, x_out, z))
            ways.append(way)
            if rng.random() < 0.3:
                ways.append([(t + 0.5, x, min(high_m, z + 0.45)) for t, x, z in way])
    return ways


def _crossers(scene: Scene, red_s: float, rng: np.random.Generator) -> list[Keyframes]:
    ways: list[Keyframes] = []
    for _ in range(int(rng.integers(2, 6))):
        near, far = (
            scene.near_kerb_m - float(rng.uniform(0.3, 1.2)),
            scene.far_kerb_m + float(rng.uniform(0.7, 1.8)),
        )
        z_from, z_to = (near, far) if rng.random() < 0.5 else (far, near)
        x = scene.zebra_x_m + float(rng.uniform(-0.42, 0.42)) * scene.zebra_width_m
        speed = float(rng.uniform(1.2, 1.6))
        x_from = _ends(scene, z_from, 1.5)[int(rng.integers(2))]
        x_to = _ends(scene, z_to, 1.5)[int(rng.integers(2))]
        step_s = red_s + 2.8 + float(rng.uniform(0, 1.2))
        reach_s = step_s - float(rng.uniform(0.5, 4.0))
        over_s = step_s + abs(z_to - z_from) / speed
        ways.append([
            (reach_s - abs(x - x_from) / speed, x_from, z_from), (reach_s, x, z_from), (step_s, x, z_from),
            (over_s, x, z_to), (over_s + abs(x_to - x) / speed, x_to, z_to),
        ])  # fmt: skip
    return ways


def _ends(scene: Scene, z_m: float, margin_m: float) -> tuple[float, float]:
    """X left and right of the frame, where an actor at this depth and its shadow are out of sight."""
    heights_m = (0.0, 3.2)
    left = min(scene.view.x_at_edge(z_m, y, -1) for y in heights_m) - margin_m
    right = max(scene.view.x_at_edge(z_m, y, 1) for y in heights_m) + margin_m
    return left, right
