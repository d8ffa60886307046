"""How many objects a camera usually sees, by the hour of the day, and whether a model sees as many. Pure.

What is counted are objects that were followed (tracks), not boxes in frames: a car that stands for an hour is
one object, and not 36,000. Only time counts in which the camera gave pictures and no alarm stood, so that a
covered lens is not held against a model. The same hours are compared: a street at three in the morning is no
measure for one at noon.

A judgement needs `ENOUGH` objects that the old model would have seen. Where nobody passes there is none, and
that is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

HOUR_S: Final = 3600.0
LEAST_WATCHED_S: Final = 120.0
"""An hour of which less was watched says nothing about its rate."""
FADING: Final = 0.5
"""What is kept of an hour when the same hour of the next day begins."""
ENOUGH: Final = 50.0
"""With so many expected, chance alone does not lead out of the band (Poisson: fewer than 5 of 50 once in
10^16; traffic is less even than that, which the width of the band is for)."""
BLIND: Final = 0.02
"""A model that sees less than this share sees nothing: judged as soon as enough were expected."""
LOW: Final = 0.1
HIGH: Final = 10.0
"""The band: holidays, weather and closed roads stay inside it, a model that has lost a class or sees ghosts
does not."""
BAND_WATCHED_S: Final = 6 * HOUR_S
"""The band is judged after so much time that was watched."""


class Hour(msgspec.Struct, frozen=True):
    """What was watched of an hour of the day: seconds, and objects that were followed in them."""

    watched_s: float = 0.0
    objects: float = 0.0


class Rates(msgspec.Struct, frozen=True):
    """One camera's hours.

    Attributes:
        hours: by the hour of the day, UTC.
        last: number of the hour since 1970 that was added to last; older ones fade.
    """

    hours: dict[int, Hour] = {}
    last: int = 0

    @property
    def watched_s(self) -> float:
        """Seconds in all."""
        return sum(hour.watched_s for hour in self.hours.values())

    @property
    def objects(self) -> float:
        """Objects in all."""
        return sum(hour.objects for hour in self.hours.values())


@dataclass(frozen=True, slots=True)
class Finding:
    """What the comparison says: `open` (too little is known yet), `inside`, `blind`, `low` or `high`."""

    word: Literal["open", "inside", "blind", "low", "high"]
    expected: float = 0.0
    seen: float = 0.0


def added(rates: Rates, utc_s: float, watched_s: float, objects: int) -> Rates:
    """Return the rates with what was watched until a moment (Unix seconds)."""
    number = int(utc_s // HOUR_S)
    hour = rates.hours.get(number % 24, Hour())
    if number != rates.last:
        hour = Hour(hour.watched_s * FADING, hour.objects * FADING)
    hour = Hour(hour.watched_s + watched_s, hour.objects + objects)
    return Rates(rates.hours | {number % 24: hour}, number)


def per_second(rates: Rates, hour: int) -> float | None:
    """Return how many objects a second there usually are in an hour, or beside it; None: unknown."""
    for group in ((hour,), ((hour - 1) % 24, (hour + 1) % 24)):
        some = [rates.hours[one] for one in group if one in rates.hours]
        watched_s = sum(one.watched_s for one in some)
        if watched_s >= LEAST_WATCHED_S:
            return sum(one.objects for one in some) / watched_s
    return None


def compared(before: Rates, after: Rates) -> Finding:
    """Compare what a camera saw with a model with what it saw before."""
    expected = seen = watched_s = 0.0
    for number, hour in after.hours.items():
        rate = per_second(before, number)
        if rate is not None:
            expected += rate * hour.watched_s
            seen += hour.objects
            watched_s += hour.watched_s
    if expected < ENOUGH and seen < ENOUGH * HIGH:
        return Finding("open", expected, seen)
    if seen < BLIND * expected:
        return Finding("blind", expected, seen)
    if watched_s < BAND_WATCHED_S:
        return Finding("open", expected, seen)
    word: Literal["low", "high", "inside"] = (
        "low" if seen < LOW * expected else "high" if seen > HIGH * max(expected, 1.0) else "inside"
    )
    return Finding(word, expected, seen)


def in_words(camera: str, finding: Finding) -> str:
    """Return what is wrong with what a camera sees; empty where nothing is."""
    numbers = f"{finding.seen:.0f} objects where about {finding.expected:.0f} were usual"
    if finding.word == "blind":
        return f"{camera} sees nothing with it: {numbers}"
    if finding.word in ("low", "high"):
        few = "far less" if finding.word == "low" else "far more"
        return f"{camera} sees {few} with it: {numbers}"
    return ""
