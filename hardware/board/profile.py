"""What is known of each kind of board: one TOML file a kind in `profiles/`, and which one fits.

A profile is data with its sources named; nothing here reads a sensor.
"""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PROFILES = Path(__file__).parent / "profiles"
GENERIC = "generic"

Celsius = Annotated[float, Meta(ge=-40, le=125)]
Factor = Annotated[float, Meta(gt=0, lt=1)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a profile; an unknown key is a mistake."""


class Thermal(_Table, frozen=True, kw_only=True):
    """When the board gets too warm, and what is done before it helps itself.

    Attributes:
        sensors: names of the sensor that matters, best first: a thermal zone's type or a monitor's name.
        throttles_c: from here the board slows itself down.
        steps_c: from each of these on, the frame rate is multiplied by the factor of the same place.
        factors: of the frame rate, falling; as many as there are steps.
        hysteresis_c: a step is left so much below its temperature.
        hold_s: at least so long between two steps down, so that the first can work.
        recover_s: so long it must have been cool before one step up.
    """

    sensors: list[str]
    throttles_c: Celsius
    steps_c: Annotated[list[Celsius], Meta(min_length=1, max_length=8)]
    factors: Annotated[list[Factor], Meta(min_length=1, max_length=8)]
    hysteresis_c: Annotated[float, Meta(gt=0, le=20)] = 4.0
    hold_s: Annotated[float, Meta(gt=0)] = 20.0
    recover_s: Annotated[float, Meta(gt=0)] = 60.0

    def __post_init__(self) -> None:
        if len(self.steps_c) != len(self.factors):
            raise ValueError("steps_c and factors must be of one length")
        if sorted(self.steps_c) != self.steps_c or sorted(self.factors, reverse=True) != self.factors:
            raise ValueError("steps_c must rise and factors fall")
        if self.steps_c[-1] >= self.throttles_c:
            raise ValueError("the last step must come before throttles_c")


class Advice(_Table, frozen=True, kw_only=True):
    """Settings to begin with; `pehra device check` measures what the board can really do.

    Attributes:
        model: a shipped detector.
        fps: of one camera.
        threads: of the interpreter.
    """

    model: str
    fps: Annotated[float, Meta(gt=0)]
    threads: Annotated[int, Meta(ge=1, le=16)]


class Profile(_Table, frozen=True, kw_only=True):
    """One kind of board.

    Attributes:
        name: a word, the file's stem.
        title: for people.
        compatible: patterns (`*`) of the device tree's `compatible`.
        models: how the device tree's `model` begins, where `compatible` tells nothing.
        thermal: its temperatures.
        advice: what to begin with.
        throttling: who tells that it slowed down: the Raspberry Pi's firmware, or nobody.
        storage: block devices that may hold the system, the first that is there is asked for its wear.
        power_rails: labels of the INA3221's channel that measures the whole board, best first.
        supply: the power supply that it needs.
        notes: what the technician should know.
        sources: the documents that the numbers come from.
    """

    name: str
    title: str
    compatible: list[str] = []
    models: list[str] = []
    thermal: Thermal
    advice: Advice
    throttling: Literal["raspberry-pi", "none"] = "none"
    storage: list[str] = []
    power_rails: list[str] = []
    supply: str = ""
    notes: str = ""
    sources: list[str] = []


@cache
def profiles(folder: Path = PROFILES) -> dict[str, Profile]:
    """Return all profiles by name.

    Raises:
        ValueError: a file is no profile; it names the file.
    """
    found = {}
    for file in sorted(folder.glob("*.toml")):
        try:
            found[file.stem] = msgspec.convert(tomllib.loads(file.read_text("utf-8")), Profile)
        except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"{file.name}: {error}") from error
    return found


def profile_of(model: str, compatible: list[str]) -> Profile:
    """Return the profile that fits a device tree, the generic one where none does.

    Args:
        model: the tree's `model`, such as `Raspberry Pi 4 Model B Rev 1.4`.
        compatible: its `compatible`, the most exact entry first.
    """
    known = profiles()
    for entry in compatible:
        for profile in known.values():
            if any(fnmatchcase(entry, pattern) for pattern in profile.compatible):
                return profile
    for profile in known.values():
        if any(model.startswith(start) for start in profile.models):
            return profile
    return known[GENERIC]
