"""Stopped: vehicles stand in a lane for too long; others slow down, stop shortly, or stop elsewhere."""

from __future__ import annotations

from typing import Final

from hardware.camera.street_scene import Lane
from hardware.camera.street_traffic import Keyframes
from pehra.demo.scenarios.loiter import due_stay
from pehra.demo.scenarios.script import Scenario, camera, moments, rule
from pehra.demo.scenarios.stage import Stage
from pehra.demo.scenarios.ways import Leg, Mark, drive, walk
from pehra.demo.scenarios.witness import Stay
from pehra.demo.scenarios.wrong_way import pass_by

BUSY_S: Final = 110.0
FPS: Final = 8.0
DWELL_S: Final = 10.0

ZONE: Final = "no-stopping"
_BRAKING_M: Final = 9.0


def stopped(seed: int) -> Scenario:
    """One lane: vehicles come one after the other, three of them stand for too long."""
    stage = Stage(seed, salt=5)
    lane = min(stage.scene.lanes, key=lambda lane: lane.z_m)
    x_m = stage.across(lane.z_m, 0.12), stage.across(lane.z_m, 0.88)
    standing = _traffic(stage, lane)
    _beside(stage, lane)
    return Scenario(
        "stopped",
        seed,
        moments(stage.end_s, FPS),
        stage.street(),
        camera(FPS, rule(ZONE, "stopped", stage.lane_zone(lane, x_m), dwell_s=DWELL_S)),
        tuple(due_stay(ZONE, "stopped", stay, DWELL_S) for stay in standing),
        stage.roles,
    )


def _traffic(stage: Stage, lane: Lane) -> list[Stay]:
    standing = []
    at_s = stage.uniform(1.0, 3.0)
    for role in stage.shuffled(["stands too long"] * 3 + ["stops shortly", "slows down", "passes", "passes"]):
        name = str(stage.rng.choice(("car", "motorcycle", "truck", "bus"), p=(0.55, 0.2, 0.15, 0.1)))
        way, stands_s = _way(stage, lane, role, at_s)
        number = stage.vehicle(role, name, way)
        if role == "stands too long":
            standing.append(Stay(number, *stands_s))
        at_s = way[-1][0] + stage.uniform(0.3, 2.0)
    return standing


def _way(stage: Stage, lane: Lane, role: str, at_s: float) -> tuple[Keyframes, tuple[float, float]]:
    """Return a way, and from when to when the vehicle stands on it."""
    speed = stage.uniform(5.5, 8.0)
    if role == "passes":
        return pass_by(stage, lane, at_s, speed), (0.0, 0.0)
    x_in, x_out = stage.ends(lane.z_m, 11.0)[:: lane.direction]
    spot = stage.across(lane.z_m, stage.uniform(0.35, 0.65))
    before = Mark(spot - lane.direction * _BRAKING_M, speed)
    after = Mark(spot + lane.direction * _BRAKING_M, speed)
    slowest = 1.5 if role == "slows down" else 0.0
    wait_s = {"stands too long": DWELL_S + stage.uniform(4, 7), "stops shortly": stage.uniform(2, 5)}.get(
        role, 0.0
    )
    way = drive(
        at_s, [Mark(x_in, speed), before, Mark(spot, slowest, wait_s), after, Mark(x_out, speed)], lane.z_m
    )
    stands = [moment for moment, x, _ in way if abs(x - spot) < 1e-6]
    return way, (stands[0], stands[-1])


def _beside(stage: Stage, lane: Lane) -> None:
    """The lane beyond: traffic, and one that stands there; somebody waits at the kerb."""
    other = min((one for one in stage.scene.lanes if one is not lane), key=lambda one: one.z_m)
    way, _ = _way(stage, other, "stands too long", stage.uniform(2.0, 20.0))
    stage.vehicle("stands in the other lane", "car", way)
    at_s = way[-1][0] + 1.0
    while at_s < BUSY_S:
        way = pass_by(stage, other, at_s, stage.uniform(5.0, 8.0))
        stage.vehicle("passes in the other lane", "car", way)
        at_s = way[-1][0] + stage.uniform(2.0, 8.0)
    z = stage.pavement()[1]
    x_in, x_out = stage.ends(z)
    spot = Leg(stage.across(z, stage.uniform(0.3, 0.7)), z, DWELL_S + 6.0)
    stage.person("waits at the kerb", walk(stage.uniform(10, 60), [Leg(x_in, z), spot, Leg(x_out, z)], 1.3))
