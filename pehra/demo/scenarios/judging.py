"""What was told beside what was due: a due event is matched with at most one that was told.

Pure: values in, values out. A told event belongs to a due one when rule, kind and direction are the same, it
is told in time, it lies on the actor whom it should be about, and its duration is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pehra.demo.scenarios.script import Due, Told
from pehra.demo.scenarios.witness import Box, Sight

ENOUGH: Final = 0.95
"""Precision and recall below this fail a scenario (issue 4)."""
AROUND: Final = 0.3
"""The middle of a told box may lie outside its actor's true box by this share of the box's size."""
NEAR_S: Final = 0.3
"""How far apart in time an actor's true box may be taken from."""


@dataclass(frozen=True, slots=True)
class Score:
    """One rule's events of one kind.

    Attributes:
        rule: name of the rule; for an alarm its kind.
        kind: of the event.
        true: how many were due.
        told: how many were told.
        right: how many of them belong together.
    """

    rule: str
    kind: str
    true: int = 0
    told: int = 0
    right: int = 0

    @property
    def missed(self) -> int:
        """Due, but not told."""
        return self.true - self.right

    @property
    def false(self) -> int:
        """Told, but not due."""
        return self.told - self.right

    @property
    def precision(self) -> float:
        """Of what was told, the share that is right, 0..1; 1 if nothing was told."""
        return self.right / self.told if self.told else 1.0

    @property
    def recall(self) -> float:
        """Of what was due, the share that was told, 0..1; 1 if nothing was due."""
        return self.right / self.true if self.true else 1.0

    @property
    def is_enough(self) -> bool:
        """Whether both reach `ENOUGH`."""
        return self.precision >= ENOUGH and self.recall >= ENOUGH

    def __add__(self, other: Score) -> Score:
        return Score(
            self.rule, self.kind, self.true + other.true, self.told + other.told, self.right + other.right
        )


def pair(due: Sequence[Due], told: Sequence[Told], seen: dict[int, list[Sight]]) -> dict[int, int]:
    """Match as many due events as can be with one told event each.

    Two who cross side by side lie in each other's boxes, so the nearest told event may be another's only one:
    a due event takes one from another that can take a third (Kuhn's augmenting paths).

    Returns:
        Place in `due` -> place in `told`.
    """
    choices = [[j for j, event in enumerate(told) if belongs(real, event, seen)] for real in due]
    due_of: dict[int, int] = {}

    def finds_one(i: int, tried: set[int]) -> bool:
        for j in choices[i]:
            if j not in tried:
                tried.add(j)
                if j not in due_of or finds_one(due_of[j], tried):
                    due_of[j] = i
                    return True
        return False

    for i in range(len(due)):
        finds_one(i, set())
    return {i: j for j, i in due_of.items()}


def belongs(real: Due, event: Told, seen: dict[int, list[Sight]]) -> bool:
    """Tell whether a told event may be the one that was due."""
    return (
        (real.rule, real.kind) == (event.rule, event.kind)
        and (real.direction is None or real.direction == event.direction)
        and real.from_s <= event.at_s <= real.to_s
        and _is_duration_right(real, event)
        and (real.who is None or event.box is None or is_on(event.box, seen.get(real.who, []), event.at_s))
    )


def is_on(box: Box, sights: Sequence[Sight], at_s: float) -> bool:
    """Tell whether a told box lies on an actor at (about) that moment."""
    return any(_covers(sight.box, box) for sight in sights if abs(sight.at_s - at_s) <= NEAR_S)


def scores(due: Sequence[Due], told: Sequence[Told], pairs: dict[int, int]) -> dict[tuple[str, str], Score]:
    """Return a score for every rule and kind that was due or told, in the order in which they are met."""
    found: dict[tuple[str, str], Score] = {}
    right = set(pairs)
    for i, real in enumerate(due):
        _count(found, Score(real.rule, real.kind, true=1, right=int(i in right)))
    for event in told:
        _count(found, Score(event.rule, event.kind, told=1))
    return found


def _count(found: dict[tuple[str, str], Score], more: Score) -> None:
    key = (more.rule, more.kind)
    found[key] = found[key] + more if key in found else more


def _is_duration_right(real: Due, event: Told) -> bool:
    if real.duration_s is None or event.duration_s is None:
        return real.duration_s is None
    low, high = real.duration_s
    return low <= event.duration_s <= high


def _covers(true: Box, told: Box) -> bool:
    x, y = (told[0] + told[2]) / 2, (told[1] + told[3]) / 2
    wide, high = AROUND * (true[2] - true[0]), AROUND * (true[3] - true[1])
    return true[0] - wide <= x <= true[2] + wide and true[1] - high <= y <= true[3] + high
