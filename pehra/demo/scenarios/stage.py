"""The stage of a script: one simulated street, its places in metres and in the picture, and who is on it.

A scenario asks the stage for places, puts people, vehicles and things on it, and takes the finished street.
Chance comes from the seed alone; nothing here knows rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hardware.camera.street import Street
from hardware.camera.street_people import make_walker
from hardware.camera.street_scene import LANE_WIDTH_M, Lane, Scene, make_scene
from hardware.camera.street_things import make_suitcase
from hardware.camera.street_traffic import Keyframes, Pass
from hardware.camera.street_vehicles import make_vehicle

SIZE: Final = (640, 480)
TALLEST_M: Final = 3.2
"""No actor is higher: whoever is out of sight at this height and on the ground is out of sight."""
QUIET_S: Final = 3.0
"""What is due of the last may still be told for so long."""

Ground = tuple[float, float]
"""X, Z in metres."""
Polygon = list[tuple[float, float]]
"""x, y in 0..1 of the picture."""


class Stage:
    """One street to be peopled.

    Args:
        seed: which street; also the looks and the chance of whoever is put on it.
        night: by night.
        salt: tells the chance of one scenario from another's with the same seed.
    """

    def __init__(self, seed: int, *, salt: int, night: bool = False) -> None:
        self.seed, self.night = seed, night
        self.scene: Scene = make_scene(seed, *SIZE, night=night)
        self.rng = np.random.default_rng([seed, 17, salt])
        self.roles: dict[int, str] = {}
        self._cast: list[Pass] = []

    def person(self, role: str, way: Keyframes) -> int:
        """Put a person of random looks on a way; return their number."""
        looks = int(self.rng.integers(2**32))
        side, front = (make_walker(np.random.default_rng(looks), is_frontal=f) for f in (False, True))
        return self._add(role, Pass(self._next, "person", side, front, *_columns(way)))

    def vehicle(self, role: str, name: str, way: Keyframes) -> int:
        """Put a vehicle of random looks on a way; return its number."""
        return self._add(role, Pass(self._next, name, make_vehicle(name, self.rng), None, *_columns(way)))

    def suitcase(self, role: str, way: Keyframes) -> int:
        """Put a suitcase on a way; return its number."""
        return self._add(role, Pass(self._next, "suitcase", make_suitcase(self.rng), None, *_columns(way)))

    def street(self, *, turned_rad: float = 0.0) -> Street:
        """The street with all that was put on it."""
        return Street(self.seed, *SIZE, night=self.night, cast=self._cast, turned_rad=turned_rad)

    def uniform(self, low: float, high: float) -> float:
        """A number between two, by chance."""
        return float(self.rng.uniform(low, high))

    def coin(self) -> bool:
        """True or false, by chance."""
        return bool(self.rng.random() < 0.5)

    def shuffled(self, things: Sequence[str]) -> list[str]:
        """The same in an order by chance."""
        return [things[i] for i in self.rng.permutation(len(things))]

    def wind(self, at_s: float, most_px: float) -> Ground:
        """By how many pixels (right, down) a pole shakes at a moment: at most `most_px` either way."""
        shift = np.random.default_rng([self.seed, 23, round(at_s * 1000)]).uniform(-most_px, most_px, 2)
        return float(shift[0]), float(shift[1])

    @property
    def end_s(self) -> float:
        """When the script is over: the last of them has left a while ago."""
        return max(float(actor.times[-1]) for actor in self._cast) + QUIET_S

    def ends(self, z_m: float, margin_m: float = 1.5) -> Ground:
        """X at which whoever walks or drives at this depth is out of sight on the left and on the right."""
        view = self.scene.view
        left = min(view.x_at_edge(z_m, y, -1) for y in (0.0, TALLEST_M))
        right = max(view.x_at_edge(z_m, y, 1) for y in (0.0, TALLEST_M))
        return left - margin_m, right + margin_m

    def seen(self, z_m: float) -> Ground:
        """X at which somebody's feet at this depth come into the picture on the left and on the right."""
        return self.scene.view.x_at_edge(z_m, 0.0, -1), self.scene.view.x_at_edge(z_m, 0.0, 1)

    def across(self, z_m: float, share: float) -> float:
        """X at a share (0..1) of what is seen at this depth, from the left."""
        left, right = self.seen(z_m)
        return left + share * (right - left)

    def pavement(self, *, is_near: bool = True) -> Ground:
        """Z of a pavement's edges between which people walk, nearer first."""
        scene = self.scene
        if is_near:
            return scene.near_kerb_m - 1.9, scene.near_kerb_m - 0.4
        return scene.far_kerb_m + 0.6, scene.facade_m - 0.6

    def lane(self, *, direction: int) -> Lane:
        """The nearest lane of a direction (+1 to the right)."""
        return min(
            (lane for lane in self.scene.lanes if lane.direction == direction), key=lambda lane: lane.z_m
        )

    def points(self, corners: Sequence[Ground]) -> Polygon:
        """Where places on the ground are in the picture, rounded to 4 decimals and kept in the frame."""
        world = np.array([(x, 0.0, z) for x, z in corners])
        pixels, _ = self.scene.view.project(world)
        shares = np.clip(pixels / np.array(SIZE), 0.0, 1.0).round(4)
        return [(float(x), float(y)) for x, y in shares]

    def rectangle(self, x_m: Ground, z_m: Ground) -> Polygon:
        """A rectangle on the ground as it looks in the picture."""
        (left, right), (near, far) = x_m, z_m
        return self.points([(left, far), (right, far), (right, near), (left, near)])

    def pavement_zone(self, from_share: float, to_share: float) -> Polygon:
        """A part of the near pavement, from share to share (0..1) of what is seen of its middle."""
        near, far = self.pavement()
        middle = (near + far) / 2
        x_m = self.across(middle, from_share), self.across(middle, to_share)
        return self.rectangle(x_m, (near - 0.35, far + 0.35))

    def lane_zone(self, lane: Lane, x_m: Ground) -> Polygon:
        """The part of a lane where its vehicles stand: their lower edge is that of their near side."""
        return self.rectangle(x_m, self.lane_depth(lane))

    def lane_depth(self, lane: Lane) -> Ground:
        """Z of that part, nearer first."""
        return lane.z_m - LANE_WIDTH_M / 2 - 0.35, lane.z_m + 0.6

    @property
    def _next(self) -> int:
        return len(self._cast) + 1

    def _add(self, role: str, actor: Pass) -> int:
        self._cast.append(actor)
        self.roles[actor.id] = role
        return actor.id


def _columns(way: Keyframes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times, xs, zs = np.array(way, np.float64).T
    return times, xs, zs
