"""Crowd: groups gather on the pavement; smaller ones, and groups that only walk through, are none."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from pehra.demo.scenarios.loiter import EARLY_S, LATE_S
from pehra.demo.scenarios.script import Due, Scenario, camera, moments, rule
from pehra.demo.scenarios.stage import Ground, Stage
from pehra.demo.scenarios.ways import Leg, walk
from pehra.demo.scenarios.witness import BLINK_S, Stay, sights, stays

FPS: Final = 8.0
LEAST: Final = 4
HOLD_S: Final = 8.0
"""Longer than all of a group that walks through are in the zone at once, which is up to 6 s."""

ZONE: Final = "corner"
_APART_M: Final = (0.95, 1.2)


def crowd(seed: int) -> Scenario:
    """Two groups of four or five that stay, one of three that stays, one of four that walks through."""
    stage = Stage(seed, salt=3)
    polygon = stage.pavement_zone(0.12, 0.88)
    at_s = stage.uniform(1.0, 4.0)
    for role in stage.shuffled(["gathers", "gathers", "a group of three", "walks through"]):
        at_s = _group(stage, role, at_s) + stage.uniform(0.5, 3.0)
    street, duration_s = stage.street(), stage.end_s
    spells = crowded(stays(sights(street, duration_s), polygon))
    return Scenario(
        "crowd",
        seed,
        moments(duration_s, FPS),
        street,
        camera(FPS, rule(ZONE, "crowd", polygon, classes=["person"], least=LEAST, hold_s=HOLD_S)),
        tuple(
            Due(ZONE, "crowd", from_s + HOLD_S - EARLY_S, from_s + HOLD_S + LATE_S)
            for from_s, to_s in spells
            if to_s - from_s >= HOLD_S
        ),
        stage.roles,
    )


def crowded(found: list[Stay]) -> list[tuple[float, float]]:
    """From when to when at least `LEAST` stayed at once; breaks of less than `BLINK_S` are none."""
    times = sorted({moment for stay in found for moment in (stay.from_s, stay.to_s)})
    spells: list[tuple[float, float]] = []
    for begin, end in pairwise(times):
        middle = (begin + end) / 2
        if sum(stay.from_s <= middle <= stay.to_s for stay in found) < LEAST:
            continue
        if spells and begin - spells[-1][1] < BLINK_S:
            spells[-1] = spells[-1][0], end
        else:
            spells.append((begin, end))
    return spells


def _group(stage: Stage, role: str, at_s: float) -> float:
    """Bring one group; return when its last has gone."""
    near, far = stage.pavement()
    count = 3 if role == "a group of three" else LEAST + int(stage.coin() and role == "gathers")
    stay_s = 0.0 if role == "walks through" else HOLD_S + stage.uniform(3.0, 7.0)
    ends: Ground = stage.ends((near + far) / 2, 2.5)
    apart_m = stage.uniform(*_APART_M)
    x_m = stage.across((near + far) / 2, 0.5) + stage.uniform(-0.4, 0.4) - apart_m * (count - 1) / 2
    comes_right, gone_s = stage.coin(), at_s
    speed = stage.uniform(1.2, 1.5)
    for number in range(count):
        z = (near + 0.1 if number % 2 else far - 0.2) + stage.uniform(-0.1, 0.1)
        # Who comes from the left goes to the right spot first, so that nobody walks through another.
        place = count - 1 - number if comes_right else number
        x_in, x_out = ends if comes_right else ends[::-1]
        spot = Leg(x_m + apart_m * place, z, max(0.0, stay_s - 1.2 * number))
        way = walk(at_s + 1.2 * number, [Leg(x_in, z), spot, Leg(x_out, z)], speed)
        stage.person(f"{role} ({number + 1} of {count})", way)
        gone_s = max(gone_s, way[-1][0])
    return gone_s
