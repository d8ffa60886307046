"""Left object: suitcases are left on the pavement and later taken; others only stand about with theirs."""

from __future__ import annotations

from typing import Final

from hardware.camera.street_traffic import Keyframes
from pehra.demo.scenarios.script import Due, Scenario, camera, moments, rule
from pehra.demo.scenarios.stage import Stage
from pehra.demo.scenarios.ways import Leg, walk

FPS: Final = 8.0
DWELL_S: Final = 10.0
LEARN_S: Final = 12.0
"""The pavement is empty for so long, before anybody brings anything."""
LATE_S: Final = 14.0
"""Told at the latest so long after it is due: whoever leaves is near for two seconds more, so is everybody
who passes meanwhile, and who was near counts as near for three seconds more."""
SHADOW_M: Final = 1.4
"""The zone reaches so far towards the camera: a change of the picture is a thing with its shadow."""
BESIDE_M: Final = 0.55
"""A suitcase is pulled so far behind."""

ZONE: Final = "platform"


def left_object(seed: int) -> Scenario:
    """Two suitcases are left and taken away one after the other, among people who leave nothing."""
    stage = Stage(seed, salt=10)
    near, far = stage.pavement()
    due: list[Due] = []
    at_s = LEARN_S + stage.uniform(0.0, 4.0)
    for role in stage.shuffled(["leaves", "leaves", "waits with it", "stands without one"]):
        if role == "leaves":
            at_s = _left_and_taken(stage, near + 0.3, at_s, due)
        else:
            at_s = _waits(stage, near + 0.3, at_s, has_suitcase=role == "waits with it")
        at_s += stage.uniform(1.0, 4.0)
    _passers(stage, far - 0.1, at_s)
    ends = stage.across(near, 0.08), stage.across(near, 0.92)
    polygon = stage.rectangle(ends, (near - SHADOW_M, far + 0.35))
    return Scenario(
        "left-object",
        seed,
        moments(stage.end_s + DWELL_S + LATE_S, FPS),
        stage.street(),
        camera(FPS, rule(ZONE, "left", polygon, dwell_s=DWELL_S)),
        tuple(due),
        stage.roles,
    )


def _left_and_taken(stage: Stage, z_m: float, at_s: float, due: list[Due]) -> float:
    """Somebody leaves a suitcase, somebody else takes it when it has been told; return when they are gone."""
    spot = stage.across(z_m, stage.uniform(0.3, 0.7))
    side = 1 if stage.coin() else -1
    x_in, x_out = stage.ends(z_m, 2.5)[::side]
    stands = Leg(spot + side * BESIDE_M, z_m, stage.uniform(2.0, 4.0))
    owner = walk(at_s, [Leg(x_in, z_m), stands, Leg(x_out, z_m)], stage.uniform(1.1, 1.5))
    stage.person("leaves a suitcase", owner)
    left_s = owner[2][0]
    takes_s = left_s + DWELL_S + LATE_S + stage.uniform(2.0, 5.0)
    side = 1 if stage.coin() else -1
    x_in, x_out = stage.ends(z_m, 2.5)[::side]
    beside = Leg(spot + side * BESIDE_M, z_m, stage.uniform(1.0, 3.0))
    legs, speed = [Leg(x_in, z_m), beside, Leg(x_out, z_m)], stage.uniform(1.1, 1.5)
    taker = walk(takes_s - abs(beside.x_m - x_in) / speed, legs, speed)
    stage.person("takes a suitcase", taker)
    brought, taken = _behind(owner[:2]), _behind(taker[2:], side)
    way = [*brought, (taker[2][0], spot, z_m - 0.02), *taken[1:]]
    case = stage.suitcase("stands alone", way)
    due += [
        Due(ZONE, "object-left", left_s + DWELL_S - 1.0, left_s + DWELL_S + LATE_S, case),
        Due(ZONE, "object-removed", taker[2][0], taker[2][0] + DWELL_S + LATE_S, None),
    ]
    return taker[-1][0] + DWELL_S + LATE_S


def _waits(stage: Stage, z_m: float, at_s: float, *, has_suitcase: bool) -> float:
    """Somebody stands there for longer than a thing may, and goes with all that they brought."""
    x_in, x_out = stage.ends(z_m, 2.5)[:: 1 if stage.coin() else -1]
    spot = Leg(stage.across(z_m, stage.uniform(0.3, 0.7)), z_m, DWELL_S + stage.uniform(2.0, 6.0))
    way = walk(at_s, [Leg(x_in, z_m), spot, Leg(x_out, z_m)], stage.uniform(1.1, 1.5))
    stage.person("waits", way)
    if has_suitcase:
        stage.suitcase("stands beside its owner", _behind(way))
    return way[-1][0]


def _behind(way: Keyframes, side: int = 0) -> Keyframes:
    """The way of a suitcase that is pulled along a way; `side` is where that leads, if it does not tell."""
    side = side or (1 if way[-1][1] > way[0][1] else -1)
    return [(t, x - side * BESIDE_M, z - 0.02) for t, x, z in way]


def _passers(stage: Stage, z_m: float, until_s: float) -> None:
    """Along the kerb, behind all of them."""
    at_s = LEARN_S + stage.uniform(2.0, 8.0)
    while at_s < until_s:
        x_in, x_out = stage.ends(z_m)[:: 1 if stage.coin() else -1]
        stage.person("passes", walk(at_s, [Leg(x_in, z_m), Leg(x_out, z_m)], stage.uniform(1.2, 1.6)))
        at_s += stage.uniform(9.0, 18.0)
