"""Wrong way: some drive against the direction of their lane; the others, and the lane beside it, do not."""

from __future__ import annotations

from typing import Final

from hardware.camera.street_scene import Lane
from hardware.camera.street_traffic import Keyframes
from pehra.demo.scenarios.script import Due, Scenario, camera, moments, rule
from pehra.demo.scenarios.stage import Stage
from pehra.demo.scenarios.ways import Leg, Mark, drive, walk
from pehra.demo.scenarios.witness import sights, stays

BUSY_S: Final = 95.0
FPS: Final = 8.0
LATE_S: Final = 1.0
"""Told at the latest so long after the vehicle has left the zone."""
VEHICLES: Final = ("motorcycle", "car", "bus", "truck")

ZONE: Final = "one-way"


def wrong_way(seed: int) -> Scenario:
    """Vehicles follow each other through one lane, a few of them against its direction."""
    stage = Stage(seed, salt=4)
    lane = stage.lane(direction=1 if stage.coin() else -1)
    x_m = stage.across(lane.z_m, 0.15), stage.across(lane.z_m, 0.85)
    polygon = stage.lane_zone(lane, x_m)
    arrow = stage.points([(x, lane.z_m) for x in x_m[:: lane.direction]])
    against = _traffic(stage, lane)
    _beside(stage, lane)
    street, duration_s = stage.street(), stage.end_s
    return Scenario(
        "wrong-way",
        seed,
        moments(duration_s, FPS),
        street,
        camera(FPS, rule(ZONE, "wrong-way", polygon, classes=VEHICLES, direction=[list(p) for p in arrow])),
        tuple(
            Due(ZONE, "wrong-way", stay.from_s - 0.3, stay.to_s + LATE_S, stay.who)
            for stay in stays(sights(street, duration_s), polygon, against)
        ),
        stage.roles,
    )


def pass_by(
    stage: Stage, lane: Lane, at_s: float, speed_mps: float, *, is_against: bool = False
) -> Keyframes:
    """Drive through a lane at one speed, from out of sight to out of sight."""
    x_in, x_out = stage.ends(lane.z_m, 7.0)[:: -lane.direction if is_against else lane.direction]
    return drive(at_s, [Mark(x_in, speed_mps), Mark(x_out, speed_mps)], lane.z_m)


def _traffic(stage: Stage, lane: Lane) -> list[int]:
    against = []
    at_s = stage.uniform(1.0, 4.0)
    for role in stage.shuffled(["against"] * 4 + ["right"] * 5 + ["slow"]):
        name = str(stage.rng.choice(VEHICLES, p=(0.35, 0.45, 0.1, 0.1)))
        speed = stage.uniform(2.0, 3.0) if role == "slow" else stage.uniform(4.5, 8.0)
        way = pass_by(stage, lane, at_s, speed, is_against=role == "against")
        number = stage.vehicle(f"drives {role}", name, way)
        against += [number] if role == "against" else []
        at_s = way[-1][0] + stage.uniform(0.3, 3.0)
    return against


def _beside(stage: Stage, lane: Lane) -> None:
    """The other direction, where it does not hide the lane that matters, and people on the pavement."""
    other = stage.lane(direction=-lane.direction)
    if other.z_m > lane.z_m:
        at_s = stage.uniform(2.0, 6.0)
        while at_s < BUSY_S:
            way = pass_by(stage, other, at_s, stage.uniform(5.0, 8.0))
            stage.vehicle("drives beside it", "car", way)
            at_s = way[-1][0] + stage.uniform(2.0, 8.0)
    z = stage.pavement()[0] + 0.2
    ends = stage.ends(z)
    for side in (1, -1):
        x_in, x_out = ends[::side]
        stage.person("walks on the pavement", walk(stage.uniform(5, 40), [Leg(x_in, z), Leg(x_out, z)], 1.4))
