"""Speeding: the ground is measured with four points; some drive faster than allowed."""

from __future__ import annotations

from typing import Final

from hardware.camera.street_scene import Lane
from pehra.demo.scenarios.script import Due, Scenario, camera, moments, rule
from pehra.demo.scenarios.stage import Polygon, Stage
from pehra.demo.scenarios.witness import sights, stays
from pehra.demo.scenarios.wrong_way import pass_by

FPS: Final = 12.0
LIMIT_MPS: Final = 7.0
LATE_S: Final = 1.0
"""Told at the latest so long after the vehicle has left the zone."""

ZONE: Final = "school"
FAST: Final = ("car", "car", "motorcycle")
SLOW: Final = ("car", "motorcycle", "truck", "bus")
"""A speed takes about a second of a vehicle that is whole in the picture: too fast are the short ones."""


def speeding(seed: int) -> Scenario:
    """Vehicles on the farthest lane, one after the other: at least 15 % below the limit or above it."""
    stage = Stage(seed, salt=6)
    lane, polygon, ground = measured_lane(stage)
    fast, at_s = [], stage.uniform(0.5, 3.0)
    for role in stage.shuffled(["too fast"] * 5 + ["in time"] * 6):
        name = str(stage.rng.choice(FAST if role == "too fast" else SLOW))
        speed = LIMIT_MPS * (stage.uniform(1.15, 1.5) if role == "too fast" else stage.uniform(0.5, 0.85))
        way = pass_by(stage, lane, at_s, speed)
        number = stage.vehicle(f"{role}, {speed:.1f} m/s", name, way)
        fast += [number] if role == "too fast" else []
        at_s = way[-1][0] + stage.uniform(0.3, 2.5)
    street, duration_s = stage.street(), stage.end_s
    return Scenario(
        "speeding",
        seed,
        moments(duration_s, FPS),
        street,
        camera(FPS, rule(ZONE, "speed", polygon, ground=ground, limit_mps=LIMIT_MPS)),
        tuple(
            Due(ZONE, "speeding", stay.from_s, stay.to_s + LATE_S, stay.who)
            for stay in stays(sights(street, duration_s), polygon, fast)
        ),
        stage.roles,
    )


def measured_lane(stage: Stage) -> tuple[Lane, Polygon, list[list[float]]]:
    """The farthest lane, of which most is seen: its zone in the picture, and the same corners in metres."""
    lane = max(stage.scene.lanes, key=lambda one: one.z_m)
    left, right = stage.across(lane.z_m, 0.1), stage.across(lane.z_m, 0.9)
    near, far = stage.lane_depth(lane)
    ground = [[left, far], [right, far], [right, near], [left, near]]
    return lane, stage.lane_zone(lane, (left, right)), [[round(v, 3) for v in corner] for corner in ground]
