"""What scenarios there are: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pehra.demo.scenarios.cover_lens import cover_lens
from pehra.demo.scenarios.crossing import crossing
from pehra.demo.scenarios.crowd import crowd
from pehra.demo.scenarios.left_object import left_object
from pehra.demo.scenarios.loiter import loiter
from pehra.demo.scenarios.move_camera import move_camera
from pehra.demo.scenarios.night import night
from pehra.demo.scenarios.script import Scenario
from pehra.demo.scenarios.speeding import speeding
from pehra.demo.scenarios.still import still
from pehra.demo.scenarios.stopped import stopped
from pehra.demo.scenarios.wrong_way import wrong_way


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of scenario.

    Attributes:
        shows: what it shows, in a sentence.
        make: makes it from a seed.
    """

    shows: str
    make: Callable[[int], Scenario]


CATALOGUE: Final[dict[str, Entry]] = {
    "crossing": Entry("people and vehicles cross a line; some turn back, a car stops on it", crossing),
    "loiter": Entry("people hang about on a pavement; others pass or wait shortly", loiter),
    "crowd": Entry("groups gather; smaller ones, and those that walk through, are none", crowd),
    "wrong-way": Entry("vehicles drive against their lane, others with it", wrong_way),
    "stopped": Entry("vehicles stand for too long; others slow down or stop shortly", stopped),
    "left-object": Entry("suitcases are left and taken; others wait with theirs", left_object),
    "speeding": Entry("vehicles drive faster than allowed, on measured ground", speeding),
    "cover-lens": Entry("the lens is covered; shortly, in part, or by a cloud is no alarm", cover_lens),
    "move-camera": Entry("the camera is turned and turned back; wind is no alarm", move_camera),
    "night": Entry("crossings by lamps and headlights; darkness is no alarm", night),
    "still": Entry("hardly anything moves for minutes; nobody enters unnoticed", still),
}


def scenario(name: str, seed: int) -> Scenario:
    """Make a scenario.

    Raises:
        KeyError: there is no such scenario.
        ValueError: the seed is negative.
    """
    return CATALOGUE[name].make(seed)
