"""The stages of a rollout: `1,1%,10%,50%,100%`, or with rests of their own: `1/2h,10%/1d,100%`. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from fleet.errors import BadInput
from fleet.rollouts.spans import parse_span

DEFAULT_STAGES: Final = "1,1%,10%,50%,100%"
STAGES_MAX: Final = 20
_FORM: Final = re.compile(
    r"(?P<number>\d{1,7}(?:\.\d{1,3})?)(?P<percent>%?)(?:/(?P<soak>\w{2,10}))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a stage goes.

    Attributes:
        devices: so many devices; None where it is a share.
        percent: so much of all devices of the rollout, 0..100.
        soak_s: how long it rests when all have answered; None for the rollout's own.
    """

    devices: int | None = None
    percent: float = 0.0
    soak_s: int | None = None

    def size(self, members: int) -> int:
        """Return how many of so many devices are told when this stage is full; a share is at least one."""
        if self.devices is not None:
            return min(self.devices, members)
        return min(members, max(1, math.ceil(members * self.percent / 100 - 1e-9)))

    def __str__(self) -> str:
        return str(self.devices) if self.devices is not None else f"{self.percent:g} %"


def parse_stages(text: str) -> tuple[Stage, ...]:
    """Return the stages that a text means.

    Raises:
        BadInput: with the stage that is wrong.
    """
    stages = tuple(_stage(word.strip(), number) for number, word in enumerate(text.split(","), start=1))
    if len(stages) > STAGES_MAX:
        raise BadInput(f"stages: at most {STAGES_MAX}")
    for number, (one, after) in enumerate(pairwise(stages), start=2):
        is_count_late = after.devices is not None and one.devices is None
        falls = (
            after.devices <= one.devices
            if after.devices is not None and one.devices is not None
            else after.devices is None and one.devices is None and after.percent <= one.percent
        )
        if is_count_late or falls:
            raise BadInput(f"stages: number {number} ({after}) does not go further than {one} before it")
    return stages


def _stage(word: str, number: int) -> Stage:
    found = _FORM.fullmatch(word)
    if found is None:
        raise BadInput(
            f"stages: number {number} ({word[:20]!r}) is none: write 1,1%,10%,50%,100% or 1/2h,100%"
        )
    soak_s = parse_span(found["soak"], f"stages: the rest of number {number}") if found["soak"] else None
    if found["percent"]:
        percent = float(found["number"])
        if not 0 < percent <= 100:
            raise BadInput(f"stages: number {number}: a share is more than 0 % and at most 100 %")
        return Stage(percent=percent, soak_s=soak_s)
    if "." in found["number"] or int(found["number"]) < 1:
        raise BadInput(
            f"stages: number {number}: a whole number of devices, at least 1, or a share such as 10%"
        )
    return Stage(devices=int(found["number"]), soak_s=soak_s)
