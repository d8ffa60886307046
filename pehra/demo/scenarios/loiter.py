"""Loiter: some hang about on the pavement for too long; others pass, wait shortly, or wait beside it."""

from __future__ import annotations

from typing import Final

from pehra.demo.scenarios.script import Due, Scenario, camera, moments, rule
from pehra.demo.scenarios.stage import Ground, Stage
from pehra.demo.scenarios.ways import Leg, walk
from pehra.demo.scenarios.witness import Stay, sights, stays

FPS: Final = 8.0
DWELL_S: Final = 12.0
EARLY_S: Final = 1.0
"""A stay may be told so much before it is as long as asked for: a detector sees edges a little elsewhere."""
LATE_S: Final = 7.0
"""And so much after: who stands still is looked at every 5 s (`MotionSection.max_skip_s`), and a stay in one
place may begin where its walking ends, which is less than 2 s after the zone is entered."""

ZONE: Final = "kerb"
_SHARES: Final = (0.25, 0.75)


def loiter(seed: int) -> Scenario:
    """Three loiterers, one after the other, and everybody else."""
    stage = Stage(seed, salt=2)
    near, far = stage.pavement()
    polygon = stage.pavement_zone(*_SHARES)
    _loiterers(stage, near + 0.2)
    _others(stage, far - 0.1)
    street, duration_s = stage.street(), stage.end_s
    return Scenario(
        "loiter",
        seed,
        moments(duration_s, FPS),
        street,
        camera(FPS, rule(ZONE, "loiter", polygon, classes=["person"], dwell_s=DWELL_S)),
        tuple(
            due_stay(ZONE, "loitering", stay, DWELL_S)
            for stay in stays(sights(street, duration_s), polygon)
            if stay.to_s - stay.from_s >= DWELL_S
        ),
        stage.roles,
    )


def due_stay(name: str, kind: str, stay: Stay, dwell_s: float) -> Due:
    """What must be told of somebody who stays for at least `dwell_s`."""
    at_s = stay.from_s + dwell_s
    return Due(name, kind, at_s - EARLY_S, at_s + LATE_S, stay.who)


def _loiterers(stage: Stage, z_m: float) -> None:
    """They hang about in turns: who stands in front of another hides them."""
    at_s = stage.uniform(1.0, 5.0)
    for _ in range(3):
        way = hang_about(stage, z_m, at_s, DWELL_S + stage.uniform(5.0, 9.0))
        stage.person("hangs about for too long", way)
        at_s = way[-1][0] + stage.uniform(0.5, 4.0)


def hang_about(stage: Stage, z_m: float, at_s: float, for_s: float) -> list[tuple[float, float, float]]:
    """Come, stay around one spot for a time, now standing and now making a step or two, and go."""
    ends: Ground = stage.ends(z_m)
    x_in, x_out = ends if stage.coin() else ends[::-1]
    spot, speed = stage.across(z_m, stage.uniform(0.38, 0.62)), stage.uniform(1.1, 1.5)
    legs, left_s = [Leg(x_in, z_m)], for_s
    while left_s > 0:
        wait_s = min(left_s, stage.uniform(2.0, 6.0))
        legs.append(Leg(spot + stage.uniform(-0.35, 0.35), z_m, wait_s))
        left_s -= wait_s
    return walk(at_s, [*legs, Leg(x_out, z_m)], speed)


def _others(stage: Stage, z_m: float) -> None:
    """Along the kerb, behind them: one after the other, in an order by chance."""
    at_s = stage.uniform(2.0, 6.0)
    for role in stage.shuffled(["passes", "passes", "waits shortly", "waits beside the zone", "passes"]):
        ends: Ground = stage.ends(z_m)
        x_in, x_out = ends if stage.coin() else ends[::-1]
        legs = [Leg(x_in, z_m), Leg(x_out, z_m)]
        if role == "waits shortly":
            legs.insert(1, Leg(stage.across(z_m, stage.uniform(0.35, 0.65)), z_m, stage.uniform(2.0, 4.0)))
        if role == "waits beside the zone":
            share = 0.12 if stage.coin() else 0.88
            legs.insert(1, Leg(stage.across(z_m, share), z_m, DWELL_S + stage.uniform(2.0, 6.0)))
        way = walk(at_s, legs, stage.uniform(1.2, 1.6))
        stage.person(role, way)
        at_s = way[-1][0] + stage.uniform(0.5, 3.0)
