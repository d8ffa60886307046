"""Still: for minutes nothing moves, the motion gate rests, and yet nobody enters unnoticed."""

from __future__ import annotations

from typing import Final

from pehra.demo.scenarios.script import Due, Scenario, camera, moments, rule
from pehra.demo.scenarios.stage import Stage
from pehra.demo.scenarios.ways import Leg, walk
from pehra.demo.scenarios.witness import Stay, sights, stays

DURATION_S: Final = 240.0
FPS: Final = 8.0
TOLD_S: Final = 1.5
"""An entry or exit is told within this."""

ZONE: Final = "yard"


def still(seed: int) -> Scenario:
    """Three people pass through a zone in four minutes, far from each other in time."""
    stage = Stage(seed, salt=7)
    polygon = stage.pavement_zone(0.2, 0.8)
    z = stage.pavement()[0] + 0.4
    for number in range(3):
        x_in, x_out = stage.ends(z)[:: 1 if stage.coin() else -1]
        start_s = 60.0 * number + stage.uniform(20.0, 60.0)
        stage.person(
            "enters and leaves", walk(start_s, [Leg(x_in, z), Leg(x_out, z)], stage.uniform(1.1, 1.7))
        )
    street, duration_s = stage.street(), max(DURATION_S, stage.end_s)
    found = stays(sights(street, duration_s), polygon)
    return Scenario(
        "still",
        seed,
        moments(duration_s, FPS),
        street,
        camera(FPS, rule(ZONE, "zone", polygon)),
        tuple(due for stay in found for due in due_visit(ZONE, stay)),
        stage.roles,
    )


def due_visit(name: str, stay: Stay, late_s: float = TOLD_S) -> tuple[Due, Due]:
    """What must be told of somebody who enters a zone and leaves it."""
    enter = Due(name, "zone-enter", stay.from_s - 0.3, stay.from_s + late_s, stay.who)
    stayed_s = stay.to_s - stay.from_s
    leave = Due(
        name, "zone-exit", stay.to_s - 0.3, stay.to_s + late_s, stay.who, None, (stayed_s - 1, stayed_s + 1)
    )
    return enter, leave
