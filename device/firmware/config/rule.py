"""The section of a rule: what to notice, and what each kind of rule needs for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta

from device.firmware.config.section import Positive, Section
from device.firmware.geometry import line_fault, polygon_fault
from device.firmware.rules.ground import ground_fault
from device.firmware.rules.schedule import entry_fault
from device.models.labels import CLASSES
from ota.messages.fields import Name, Point
from ota.messages.structs import Severity

Kind = Literal[
    "zone", "line", "loiter", "crowd", "wrong-way", "stopped", "left", "speed", "od", "heat"
]  # docs/rules.md has a chapter for each
KINDS: Final = ("zone", "line", "loiter", "crowd", "wrong-way", "stopped", "left", "speed", "od", "heat")
OWN_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "dwell_s": ("zone", "loiter", "stopped", "left"),
    "reach": ("loiter",),
    "least": ("crowd",),
    "hold_s": ("crowd", "wrong-way"),
    "direction": ("wrong-way",),
    "things": ("left",),
    "ground": ("speed",),
    "limit_mps": ("speed",),
    "lines": ("od",),
}
"""Key -> the kinds of rule that know it; a key elsewhere is a mistake."""
NEEDED_KEYS: Final = (
    ("wrong-way", "direction", "an angle such as 90 (down), or an arrow of two points"),
    ("speed", "ground", "the same four corners as points, in metres on the ground"),
    ("speed", "limit_mps", "metres per second"),
    ("od", "lines", "the names of at least two lines of this camera"),
)
LONGEST_NAME: Final = 40
Metres = Annotated[float, Meta(ge=-10_000, le=10_000)]


class RuleSection(Section, frozen=True, kw_only=True):
    """What to notice.

    Attributes:
        name: unique on its camera.
        kind: `zone line loiter crowd wrong-way stopped left speed od heat` (docs/rules.md).
        points: x, y in 0..1 from the top left: a polygon, or the ends of a line; none for `od` and `heat`.
        classes: which classes count; all where absent (`stopped`: the vehicles).
        dwell_s: how long a stay must last to be told; for a `zone` only if it is given.
        reach: `loiter`: stays within a circle of this radius, share of the picture.
        least: `crowd`: so many at the same time.
        hold_s: `crowd`, `wrong-way`: for so long without a break.
        direction: `wrong-way`: the way that is right; degrees clockwise (0 right, 90 down), or an arrow of
            two points.
        things: `left`: look for things that the model has no class for, too.
        ground: `speed`: where each of the four points lies on the ground, in metres.
        limit_mps: `speed`: faster than this is told.
        lines: `od`: names of line rules between which is counted.
        sev: `low`, `medium` or `high`.
        events: false counts without an event for each object.
        cooldown_s: after an event, further ones of the same kind are folded into it for so long.
        schedule: when it is on duty, in the site's timezone (`mon-fri 22:00-06:00`); always where absent.
    """

    name: Name
    kind: Kind
    points: Annotated[list[Point], Meta(max_length=64)] = []
    classes: list[str] = []
    dwell_s: Positive | None = None
    reach: Annotated[float, Meta(gt=0, le=2)] | None = None
    least: Annotated[int, Meta(ge=2, le=300)] | None = None
    hold_s: Positive | None = None
    direction: Annotated[float, Meta(ge=0, lt=360)] | list[Point] | None = None
    things: bool | None = None
    ground: list[tuple[Metres, Metres]] | None = None
    limit_mps: Annotated[float, Meta(gt=0, le=200)] | None = None
    lines: Annotated[list[Name], Meta(max_length=16)] | None = None
    sev: Severity = "low"
    events: bool = True
    cooldown_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    schedule: Annotated[list[str], Meta(max_length=32)] = []


def rule_faults(rule: RuleSection, all_rules: Sequence[RuleSection]) -> list[tuple[str, str]]:
    """Return what is wrong with a rule beyond single values, as key and reason.

    Args:
        rule: the rule to check.
        all_rules: the rules of its camera, for those that are named in it.
    """
    faults = [
        ("classes", f"no class {cls!r}; there are {', '.join(CLASSES)}")
        for cls in rule.classes
        if cls not in CLASSES
    ]
    faults += _key_faults(rule)
    fault = _points_fault(rule)
    if fault:
        faults.append(("points", fault))
    elif rule.ground is not None and (fault := ground_fault(rule.points, rule.ground)):
        faults.append(("ground", fault))
    if isinstance(rule.direction, list) and (fault := line_fault(rule.direction)):
        faults.append(("direction", fault.replace("line", "arrow")))
    faults += [("lines", fault) for fault in _lines_faults(rule, all_rules)]
    for number, entry in enumerate(rule.schedule):
        if fault := entry_fault(entry):
            faults.append((f"schedule[{number}]", fault))
    return faults


def _key_faults(rule: RuleSection) -> list[tuple[str, str]]:
    faults = []
    for key, kinds in OWN_KEYS.items():
        if getattr(rule, key) is not None and rule.kind not in kinds:
            faults.append((key, f"a {rule.kind} rule has no {key}; it belongs to {', '.join(kinds)}"))
    for kind, key, what in NEEDED_KEYS:
        if rule.kind == kind and getattr(rule, key) is None:
            faults.append((key, f"a {kind} rule needs {key}: {what}"))
    return faults


def _points_fault(rule: RuleSection) -> str:
    if rule.kind in ("od", "heat"):
        return f"a {rule.kind} rule has no points of its own" if rule.points else ""
    return line_fault(rule.points) if rule.kind == "line" else polygon_fault(rule.points)


def _lines_faults(rule: RuleSection, all_rules: Sequence[RuleSection]) -> list[str]:
    if rule.lines is None:
        return []
    known = [other.name for other in all_rules if other.kind == "line"]
    faults = [
        f"no line rule {name!r} on this camera; there are {', '.join(known) or 'none'}"
        for name in rule.lines
        if name not in known
    ]
    if len(set(rule.lines)) != len(rule.lines) or len(rule.lines) < 2:
        faults.append("at least two lines, each named once")
    longest = sorted((len(name) for name in rule.lines), reverse=True)[:2]
    if sum(longest) + len("--") > LONGEST_NAME:
        faults.append(f"<from>--<to> has at most {LONGEST_NAME} letters: give the lines shorter names")
    return faults
