"""Turns the rule sections of a camera into rules on duty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from device.firmware.config import RuleSection
from device.firmware.geometry import Points, group_areas
from device.firmware.rules import (
    CrowdRule,
    Duty,
    HeatRule,
    LeftRule,
    LineRule,
    Local,
    LoiterRule,
    OriginRule,
    Rule,
    SpeedRule,
    StoppedRule,
    WrongWayRule,
    ZoneRule,
    arrow_of,
    parse_schedule,
)
from device.models.labels import CLASSES


def make_duties(sections: Sequence[RuleSection], timezone: str) -> list[Duty]:
    """Return the rules of one camera, in the order of its sections.

    Args:
        sections: checked, as `parse_config` leaves them.
        timezone: IANA name of the site's timezone.
    """
    duties = [
        Duty(make_rule(section, sections), parse_schedule(section.schedule, timezone), section.cooldown_s)
        for section in sections
    ]
    group_areas([duty.rule.area for duty in duties if isinstance(duty.rule, Local)])
    return duties


def make_rule(section: RuleSection, sections: Sequence[RuleSection] = ()) -> Rule:
    """Turn a checked section into the rule it describes.

    Args:
        section: the rule's own.
        sections: all of its camera, in which `od` finds its lines.
    """
    if section.kind == "line":
        return _line(section, classes_of(section))
    if section.kind == "od":
        by_name = {other.name: other for other in sections}
        lines = [_line(by_name[name], classes_of(section)) for name in section.lines or []]
        return OriginRule(section.name, lines)
    if section.kind == "heat":
        return HeatRule(section.name, classes_of(section))
    points = np.asarray(section.points, dtype=np.float64)
    return MAKERS[section.kind](section, points, _common(section))


def blind_rules(sections: Sequence[RuleSection], seen: Sequence[str]) -> list[str]:
    """Say which rules wait for classes that the model cannot see, one sentence each.

    Args:
        sections: of one camera.
        seen: what the model can see; empty if that is not known.
    """
    if not seen:
        return []
    unseen = [(section.name, sorted(set(section.classes) - set(seen))) for section in sections]
    return [
        f"rule {name} waits for {', '.join(classes)}, unseen by the model"
        for name, classes in unseen
        if classes
    ]


def classes_of(section: RuleSection) -> frozenset[int]:
    """Return the class indices that a rule names."""
    return frozenset(CLASSES.index(cls) for cls in section.classes)


def _line(section: RuleSection, classes: frozenset[int]) -> LineRule:
    start, end = np.asarray(section.points, dtype=np.float64)
    return LineRule(section.name, start, end, classes, section.sev, is_event=section.events)


def _common(section: RuleSection) -> dict[str, Any]:
    return {"classes": classes_of(section), "sev": section.sev, "is_event": section.events}


def _given(**values: object) -> dict[str, Any]:
    """Return the values that are there: for the others the rule has its own."""
    return {name: value for name, value in values.items() if value is not None}


def _zone(section: RuleSection, points: Points, common: dict[str, Any]) -> Rule:
    return ZoneRule(section.name, points, dwell_s=section.dwell_s, **common)


def _loiter(section: RuleSection, points: Points, common: dict[str, Any]) -> Rule:
    own = _given(dwell_s=section.dwell_s, reach=section.reach)
    return LoiterRule(section.name, points, **own, **common)


def _crowd(section: RuleSection, points: Points, common: dict[str, Any]) -> Rule:
    return CrowdRule(section.name, points, **_given(least=section.least, hold_s=section.hold_s), **common)


def _wrong_way(section: RuleSection, points: Points, common: dict[str, Any]) -> Rule:
    direction = arrow_of(section.direction if section.direction is not None else 0.0)
    return WrongWayRule(section.name, points, direction, **_given(hold_s=section.hold_s), **common)


def _stopped(section: RuleSection, points: Points, common: dict[str, Any]) -> Rule:
    return StoppedRule(section.name, points, **_given(dwell_s=section.dwell_s), **common)


def _left(section: RuleSection, points: Points, common: dict[str, Any]) -> Rule:
    own = _given(dwell_s=section.dwell_s, is_looking=section.things)
    return LeftRule(section.name, points, **own, **common)


def _speed(section: RuleSection, points: Points, common: dict[str, Any]) -> Rule:
    metres = np.asarray(section.ground, dtype=np.float64)
    return SpeedRule(section.name, points, metres, section.limit_mps or np.inf, **common)


MAKERS: dict[str, Callable[[RuleSection, Points, dict[str, Any]], Rule]] = {
    "zone": _zone,
    "loiter": _loiter,
    "crowd": _crowd,
    "wrong-way": _wrong_way,
    "stopped": _stopped,
    "left": _left,
    "speed": _speed,
}
