"""What is true of a scripted street: who stood where and when, by looking at the script's own geometry.

It knows no detector, no tracker and no rule: an actor stands where the middle of the lower edge of its true
box is (WIRE.md), and is in a zone when OpenCV says that this point is in the polygon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from hardware.camera.street import Street
from pehra.demo.truth import Witness

STEP_S: Final = 0.1
"""How often the witness looks."""
BLINK_S: Final = 1.0
"""Out of a zone, or out of sight, for less than this is not gone."""
NEAR_LINE: Final = 0.03
"""Within this distance of a line (share of the picture) it is open on which side somebody stands."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Sight:
    """One actor at one moment: when (script's seconds), its true box in 0..1, and what share of it shows."""

    at_s: float
    box: Box
    visible: float

    @property
    def foot(self) -> tuple[float, float]:
        """Where it stands: the middle of the lower edge."""
        return (self.box[0] + self.box[2]) / 2, self.box[3]


@dataclass(frozen=True, slots=True)
class Stay:
    """Somebody's time in a zone, in the script's seconds."""

    who: int
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class Passing:
    """Somebody's way over a line: the last moment clearly before it, the first clearly beyond it."""

    who: int
    direction: str
    from_s: float
    to_s: float


def sights(street: Street, duration_s: float) -> dict[int, list[Sight]]:
    """Return where everybody is seen, from 0 to `duration_s`: actor -> moments in order."""
    seen: dict[int, list[Sight]] = {}
    for number in range(int(duration_s / STEP_S) + 1):
        at_s = number * STEP_S
        for actor in street.truth(at_s):
            seen.setdefault(actor.id, []).append(Sight(at_s, actor.box, actor.visible))
    return seen


def stays(
    seen: dict[int, list[Sight]], polygon: Sequence[tuple[float, float]], who: Sequence[int] | None = None
) -> list[Stay]:
    """Return who stood in a polygon and when, first come first.

    Args:
        seen: of `sights`.
        polygon: corners in 0..1.
        who: only these actors; all where None.
    """
    corners = np.array(polygon, np.float32).reshape(-1, 1, 2)
    found: list[Stay] = []
    for actor in seen if who is None else who:
        spell: Stay | None = None
        for sight in seen.get(actor, []):
            if cv2.pointPolygonTest(corners, sight.foot, measureDist=False) < 0:
                continue
            if spell is not None and sight.at_s - spell.to_s > BLINK_S:
                found.append(spell)
                spell = None
            spell = Stay(actor, spell.from_s if spell else sight.at_s, sight.at_s)
        if spell is not None:
            found.append(spell)
    return sorted(found, key=lambda stay: stay.from_s)


def passings(
    street: Street,
    seen: dict[int, list[Sight]],
    line: tuple[tuple[float, float], tuple[float, float]],
    duration_s: float,
) -> list[Passing]:
    """Return who crossed a line and when, as `pehra.demo.truth.Witness` saw it.

    Who stops on the line crosses it once, at some moment between coming near and being clear of it.
    """
    witness = Witness(street, line, fps=1 / STEP_S)
    witness.look_until(duration_s)
    found = []
    for crossing in witness.crossings:
        clear_s = [sight.at_s for sight in seen[crossing.who] if abs(_distance(sight.foot, line)) > NEAR_LINE]
        before_s = max((t for t in clear_s if t < crossing.at_s), default=crossing.at_s)
        after_s = min((t for t in clear_s if t >= crossing.at_s), default=crossing.at_s)
        found.append(Passing(crossing.who, crossing.direction, before_s, after_s))
    return found


def _distance(foot: tuple[float, float], line: tuple[tuple[float, float], tuple[float, float]]) -> float:
    (ax, ay), (bx, by) = line
    return ((bx - ax) * (foot[1] - ay) - (by - ay) * (foot[0] - ax)) / float(np.hypot(bx - ax, by - ay))
