"""Crossing: people and vehicles cross a line; some only come near it, one car stops on it and goes on."""

from __future__ import annotations

from typing import Final

from pehra.demo.scenarios.script import Due, Scenario, camera, moments, rule
from pehra.demo.scenarios.stage import Ground, Stage
from pehra.demo.scenarios.ways import Leg, Mark, drive, walk
from pehra.demo.scenarios.witness import Passing, passings, sights

BUSY_S: Final = 80.0
FPS: Final = 8.0
TOLD_S: Final = 1.5
"""A crossing is told within this of being clearly over."""

_LINE: Final = "gate"


def crossing(seed: int, *, night: bool = False) -> Scenario:
    """People on the near pavement, and vehicles in the nearest lane of each direction, cross a line."""
    stage = Stage(seed, salt=1, night=night)
    near, far = stage.pavement()[0] - 0.3, stage.scene.far_kerb_m
    x_m = stage.across(stage.pavement()[1], stage.uniform(0.42, 0.58))
    line = stage.points([(x_m, far), (x_m, near)])
    _people(stage, x_m)
    _vehicles(stage, x_m)
    street, duration_s = stage.street(), stage.end_s
    seen = sights(street, duration_s)
    crossed = passings(street, seen, (line[0], line[1]), duration_s)
    return Scenario(
        "night" if night else "crossing",
        seed,
        moments(duration_s, FPS),
        street,
        camera(FPS, rule(_LINE, "line", line)),
        tuple(due_crossing(_LINE, one) for one in crossed),
        stage.roles,
    )


def due_crossing(name: str, one: Passing) -> Due:
    """What must be told of a crossing."""
    return Due(name, "line-cross", one.from_s - 0.3, one.to_s + TOLD_S, one.who, one.direction)


def _people(stage: Stage, x_m: float) -> None:
    """Two bands, so that those who meet do not hide each other: each goes its own way every few seconds."""
    near, far = stage.pavement()
    for band, z in enumerate((near + 0.15, far - 0.1)):
        at_s = stage.uniform(0.5, 3.0) + 4.0 * band
        while at_s < BUSY_S:
            at_s += _one_walks(stage, z + stage.uniform(-0.15, 0.15), x_m, at_s)


def _one_walks(stage: Stage, z_m: float, x_m: float, at_s: float) -> float:
    """Somebody crosses, stops near the line, or turns back before it; return when the next may come."""
    ends: Ground = stage.ends(z_m)
    x_in, x_out = ends if stage.coin() else ends[::-1]
    side = 1 if x_out > x_in else -1
    speed = stage.uniform(1.1, 1.6)
    what = stage.rng.random()
    if what < 0.6:
        role, legs = "crosses", [Leg(x_in, z_m), Leg(x_out, z_m)]
    elif what < 0.8:
        rest = Leg(x_m + side * stage.uniform(0.8, 1.5), z_m, stage.uniform(2, 5))
        role, legs = "crosses and rests just beyond", [Leg(x_in, z_m), rest, Leg(x_out, z_m)]
    else:
        turn = Leg(x_m - side * stage.uniform(0.9, 1.5), z_m, stage.uniform(0.5, 3))
        role, legs = "turns back before the line", [Leg(x_in, z_m), turn, Leg(x_in, z_m)]
    way = walk(at_s, legs, speed)
    stage.person(role, way)
    return way[-1][0] - at_s + stage.uniform(0.5, 3.0)


def _vehicles(stage: Stage, x_m: float) -> None:
    """In turns from either side; the last stops with its middle on the line and goes on."""
    at_s, side = stage.uniform(1.0, 3.0), 1 if stage.coin() else -1
    kinds = stage.shuffled(["car", "motorcycle", "car", "car", "motorcycle", "truck", "car", "bus"])
    for name in kinds:
        lane = stage.lane(direction=side)
        x_in, x_out = stage.ends(lane.z_m, 7.0)[:: lane.direction]
        speed = stage.uniform(5.0, 9.0)
        way = drive(at_s, [Mark(x_in, speed), Mark(x_out, speed)], lane.z_m)
        stage.vehicle("drives over the line", name, way)
        at_s = way[-1][0] + stage.uniform(0.5, 4.0)
        side = -side
    lane = stage.lane(direction=side)
    x_in, x_out = stage.ends(lane.z_m, 9.0)[:: lane.direction]
    ahead_m = 7.0 * lane.direction
    marks = [Mark(x_in, 6.0), Mark(x_m - ahead_m, 6.0), Mark(x_m, 0.0, stage.uniform(4, 8)),
             Mark(x_m + ahead_m, 6.0), Mark(x_out, 6.0)]  # fmt: skip
    stage.vehicle("stops on the line and goes on", "car", drive(at_s, marks, lane.z_m))
