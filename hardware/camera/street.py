"""The simulated street: pictures of a road with known ground truth, for demos, training and tests.

Everything is a pure function of (seed, size, night, time): the same arguments give identical pixels and
truth, asked in any order. It claims no realism beyond simple, recognisable people and vehicles, and
knows no cameras (see `street_camera.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from hardware.camera.frame import Pixels
from hardware.camera.street_backdrop import paint_backdrop
from hardware.camera.street_figure import Placed, place
from hardware.camera.street_light import Grain, cast_shadows, darken, glow, light_lamps, stand_lamps
from hardware.camera.street_scene import Scene, make_scene, turned
from hardware.camera.street_traffic import EPISODE_S, Pass, Spot, plan_episode
from hardware.camera.street_vehicles import shade

NAMES = ("person", "motorcycle", "car", "bus", "truck")
"""Every name an actor of a street's own timetable may have; a cast may bring things of other names."""

MIN_VISIBLE = 0.25
"""Truth leaves out actors of whom less than this share can be seen."""

MIN_SIDE_PX = 4
"""Truth leaves out actors whose visible box is narrower or lower than this."""

_LABEL_WIDTH_PX = 320
_EPISODES_KEPT = 3


@dataclass(frozen=True, slots=True)
class Actor:
    """One person or vehicle that can be seen.

    Attributes:
        id: The same for the whole of one pass through the street, never used again in this street.
        name: One of `NAMES`, or another that a cast gave; a motorcycle includes its rider, who is not listed
            as a person.
        box: left, top, right, bottom in 0..1 of the frame: tight round all of the actor
            that is in the frame, parts hidden by others included.
        visible: Share of the actor's outline that is in the frame and not hidden by others, 0..1.
    """

    id: int
    name: str
    box: tuple[float, float, float, float]
    visible: float


@dataclass(frozen=True, slots=True)
class _Seen:
    actor: Pass
    spot: Spot
    placed: Placed


class Street:
    """One simulated street.

    Args:
        seed: Which street, from 0; also decides who passes and when.
        width: Pixels across, at least 64.
        height: Pixels down, at least 64.
        night: Dark, with lamps, headlights and more noise.
        cast: Who passes, instead of the timetable that the seed makes.
        turned_rad: By how much the camera has been turned to the right since it was put up.

    Raises:
        ValueError: If the seed is negative or the size is too small.
    """

    def __init__(
        self,
        seed: int,
        width: int = 640,
        height: int = 480,
        *,
        night: bool = False,
        cast: Sequence[Pass] | None = None,
        turned_rad: float = 0.0,
    ) -> None:
        if seed < 0 or width < 64 or height < 64:
            raise ValueError(
                f"a street needs seed >= 0 and at least 64x64 pixels, not {seed}, {width}x{height}"
            )
        self.seed, self.width, self.height, self.night = seed, width, height, night
        self._scene: Scene = turned(make_scene(seed, width, height, night=night), turned_rad)
        self._cast = None if cast is None else tuple(cast)
        self._posts = stand_lamps(self._scene)
        self._grain = Grain(seed, width, height, 3.2 if night else 1.6)
        self._episodes: dict[int, tuple[Pass, ...]] = {}

    @cached_property
    def _backdrop(self) -> Pixels:
        """Painted when the first picture is asked for: the truth needs no paint."""
        backdrop = paint_backdrop(self._scene)
        if self.night:
            light_lamps(self._scene, backdrop)
        return backdrop

    @cached_property
    def _in_shadow(self) -> Pixels:
        return darken(self._backdrop)

    def render(self, t_s: float) -> Pixels:
        """The picture at `t_s` seconds (>= 0) as (height, width, 3) uint8 RGB, a new array.

        Raises:
            ValueError: If `t_s` is negative.
        """
        seen = self._seen(t_s)
        picture = self._backdrop.copy()
        cast_shadows(picture, self._in_shadow, [s.placed for s in seen])
        if self.night:
            self._light_the_road(picture, seen)
        drawable = [(s.spot.z_m, s.placed) for s in seen] + self._posts
        for _, placed in sorted(drawable, key=lambda d: -d[0]):
            placed.draw(picture)
        if self.night:
            self._light_the_lamps(picture, seen)
        cv2.GaussianBlur(picture, (3, 3), 0, dst=picture)
        self._grain.add(picture, t_s)
        return picture

    def truth(self, t_s: float) -> list[Actor]:
        """Who can be seen at `t_s` seconds (>= 0), farthest first.

        Raises:
            ValueError: If `t_s` is negative.
        """
        seen = self._seen(t_s)
        shares = self._visible_shares([s.placed for s in seen])
        actors = []
        for one, share in zip(seen, shares, strict=True):
            box = self._box(one.placed)
            if share >= MIN_VISIBLE and box is not None:
                actors.append(Actor(one.actor.id, one.actor.name, box, share))
        return actors

    def _seen(self, t_s: float) -> list[_Seen]:
        """Everybody under way at `t_s`, farthest first."""
        if not t_s >= 0:
            raise ValueError(f"the street's time starts at 0, not {t_s}")
        seen = []
        for actor in self._episode(int(t_s // EPISODE_S)):
            if actor.times[0] <= t_s < actor.times[-1]:
                spot = actor.at(t_s)
                seen.append(_Seen(actor, spot, self._placed(actor, spot)))
        return sorted(seen, key=lambda s: (-s.spot.z_m, s.actor.id))

    def _episode(self, number: int) -> tuple[Pass, ...]:
        if self._cast is not None:
            return self._cast
        passes = self._episodes.get(number)
        if passes is None:
            passes = plan_episode(self._scene, number)
            kept = list(self._episodes.items())[1 - _EPISODES_KEPT :]
            self._episodes = {**dict(kept), number: passes}
        return passes

    def _placed(self, actor: Pass, spot: Spot) -> Placed:
        figure = actor.frontal if spot.is_frontal and actor.frontal else actor.figure
        at = (spot.x_m, spot.z_m)
        sun = (0.0, 0.0) if self.night else self._scene.sun
        return place(
            self._scene.view, figure, spot.pose, at, spot.direction, sun=sun, light=self._scene.light(*at)
        )

    def _box(self, placed: Placed) -> tuple[float, float, float, float] | None:
        size = np.array((self.width, self.height), np.float64)
        low, high = placed.pixels.min(axis=0), placed.pixels.max(axis=0)
        if (low < 0).any() or (high > size).any():
            frame = np.array(
                ((0, 0), (self.width, 0), (self.width, self.height), (0, self.height)), np.float32
            )
            area, inside = cv2.intersectConvexConvex(placed.hull(), frame)
            if area <= 0 or inside is None:
                return None
            low, high = inside.min(axis=(0, 1)).clip(0, size), inside.max(axis=(0, 1)).clip(0, size)
        if (high - low).min() < MIN_SIDE_PX:
            return None
        (left, top), (right, bottom) = low / size, high / size
        return float(left), float(top), float(right), float(bottom)

    def _visible_shares(self, placed: list[Placed]) -> list[float]:
        """Share of each outline that stays uncovered when all are painted farthest first."""
        scale = _LABEL_WIDTH_PX / self.width
        labels = np.zeros((max(1, round(self.height * scale)), _LABEL_WIDTH_PX), np.uint8)
        areas = []
        for index, one in enumerate(placed):
            hull = one.hull() * scale
            # Filling includes the border: Pick's theorem gives the number of pixels that it would touch.
            areas.append(cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1)
            cv2.fillConvexPoly(labels, np.rint(hull).astype(np.int32), index + 1)
        counts = np.bincount(labels.ravel(), minlength=len(placed) + 1)[1:]
        return [min(1.0, float(count / area)) for count, area in zip(counts, areas, strict=True)]

    def _light_the_road(self, picture: Pixels, seen: list[_Seen]) -> None:
        for one in seen:
            for along, _, colour in one.placed.figure.lamps:
                if along > 0:
                    x = one.spot.x_m + one.spot.direction * (along + 3.2)
                    ends = np.array(((x - 3.2, 0, one.spot.z_m), (x + 3.2, 0, one.spot.z_m),
                                     (x, 0, one.spot.z_m + 1.3), (x, 0, one.spot.z_m - 1.3)))  # fmt: skip
                    at, _ = self._scene.view.project(ends)
                    size = (float(at[1, 0] - at[0, 0]), float(at[3, 1] - at[2, 1]))
                    middle = at.mean(axis=0)
                    glow(picture, (float(middle[0]), float(middle[1])), size, shade(colour, 0.38))

    def _light_the_lamps(self, picture: Pixels, seen: list[_Seen]) -> None:
        for one in seen:
            for along, up, colour in one.placed.figure.lamps:
                place_m = np.array(((one.spot.x_m + one.spot.direction * along, up, one.spot.z_m - 0.8),))
                at, depth = self._scene.view.project(place_m)
                size = (1.5 if along > 0 else 0.7) * self._scene.view.focal_px / float(depth[0])
                glow(picture, (float(at[0, 0]), float(at[0, 1])), (size, size), shade(colour, 0.8))
