"""What scenarios there are: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pehra.demo.scenarios.crossing import crossing
from pehra.demo.scenarios.night import night
from pehra.demo.scenarios.script import Scenario
from pehra.demo.scenarios.still import still


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
