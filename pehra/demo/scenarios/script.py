"""The values of a scenario: what is shown, what the camera is told, and what it must tell.

Values only: who makes them is a scenario's own module, who compares them is `judging.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hardware.camera.frame import Pixels
from hardware.camera.street import Street


@dataclass(frozen=True, slots=True)
class Due:
    """One event that must be told, once.

    Attributes:
        rule: name of the rule; for an alarm its kind.
        kind: of the event, such as `loitering`.
        from_s: the earliest moment at which it is true and may be told, in the script's seconds.
        to_s: the latest at which it must have been told.
        who: the actor whom it is about; None for an alarm, or where it is about several.
        direction: of a crossing, `in` or `out`; None where there is none.
        duration_s: what the event must say, least and most; None where it says nothing.
    """

    rule: str
    kind: str
    from_s: float
    to_s: float
    who: int | None = None
    direction: str | None = None
    duration_s: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One event that the device told.

    Attributes:
        rule: name of the rule; for an alarm its kind.
        kind: of the event.
        at_s: the moment it names, in the script's seconds.
        box: of its object, 0..1; None without one.
        direction: of a crossing.
        duration_s: what it says of a stay.
        track: number of its track.
    """

    rule: str
    kind: str
    at_s: float
    box: tuple[float, float, float, float] | None = None
    direction: str | None = None
    duration_s: float | None = None
    track: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scripted street.

    Attributes:
        name: by which it is called.
        seed: which street, positions, times and looks.
        moments: the frames' moments, in the script's seconds, rising.
        street: who is where; the truth's source.
        rules: the camera's rules and its settings as TOML, the part under `[[camera]]`.
        due: all that must be told; what else is told of the same rules, or as an alarm, is false.
        roles: what each actor does, in words, for the report.
        picture: what the camera shows at a moment; the street's own picture where None.
    """

    name: str
    seed: int
    moments: tuple[float, ...]
    street: Street
    rules: str
    due: tuple[Due, ...]
    roles: dict[int, str] = field(default_factory=dict)
    picture: Callable[[float], Pixels] | None = None

    def render(self, at_s: float) -> Pixels:
        """What the camera shows at a moment."""
        return (self.picture or self.street.render)(at_s)


def moments(duration_s: float, fps: float) -> tuple[float, ...]:
    """Frames at an even pace from 0 to before `duration_s`."""
    return tuple(number / fps for number in range(int(duration_s * fps)))


def camera(fps: float, *rules: str) -> str:
    """The TOML of a camera with these rules, each made by `rule`."""
    return f"fps = {fps}\n" + "".join(rules)


def rule(name: str, kind: str, points: Sequence[tuple[float, float]], **keys: object) -> str:
    """The TOML of one rule; numbers, words, lists and True or False as Python writes them."""
    rows = {"name": name, "kind": kind, "points": [list(point) for point in points], **keys}
    return "\n[[camera.rule]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in rows.items())


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
