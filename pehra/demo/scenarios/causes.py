"""Why an event was missed, or told without being due, in words for whoever mends rule, tracker or script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from device.firmware.geometry import overlaps
from device.firmware.tracks import Tracks
from device.models.detections import Detections
from pehra.demo.scenarios.judging import NEAR_S, is_on
from pehra.demo.scenarios.script import Due, Told
from pehra.demo.scenarios.witness import Box, Sight

BEFORE_S: Final = 3.0
"""How long before an event is due its actor is looked at."""
ON_ACTOR: Final = 0.4
"""A box that overlaps an actor's more than this is one of that actor."""
AWAY_S: Final = 15.0
"""An event told within this of when it was due is said to be early or late."""


@dataclass(frozen=True, slots=True)
class Look:
    """One frame as the device saw it.

    Attributes:
        at_s: its moment, in the script's seconds.
        tracks: what was in view; None when the motion gate skipped the frame.
        detections: what the detector found; None when it was not asked.
    """

    at_s: float
    tracks: Tracks | None
    detections: Detections | None


def why_missed(
    real: Due,
    told: Sequence[Told],
    looks: Sequence[Look],
    seen: dict[int, list[Sight]],
    roles: dict[int, str],
) -> str:
    """Say of a due event that was not told what went wrong with it."""
    whom = f" of {_role(real.who, roles)}" if real.who is not None else ""
    what = f"missed {real.rule} {real.kind}{whom}, due {real.from_s:.1f}..{real.to_s:.1f} s"
    if near := _nearest(real, told, seen):
        return f"{what}: told at {near.at_s:.1f} s" + _duration(near)
    if real.who is None:
        return f"{what}: nothing was told"
    return f"{what}: {_lost_where(real.who, real, looks, seen)}"


def why_false(event: Told, due: Sequence[Due], seen: dict[int, list[Sight]], roles: dict[int, str]) -> str:
    """Say of a told event that was not due whom it was about."""
    what = f"false {event.rule} {event.kind} at {event.at_s:.1f} s" + _duration(event)
    if event.box is None:
        return what
    near = [who for who, sights in seen.items() if is_on(event.box, sights, event.at_s)]
    if not near:
        return f"{what}: nobody is there"
    has_one = [
        who for who in near if any((d.rule, d.kind, d.who) == (event.rule, event.kind, who) for d in due)
    ]
    whom = ", ".join(_role(who, roles) for who in near)
    return f"{what}: about {whom}" + (", who has one at another time" if has_one else "")


def _nearest(real: Due, told: Sequence[Told], seen: dict[int, list[Sight]]) -> Told | None:
    """The event that might have been meant, but was told at a wrong time or with a wrong duration."""
    same = [
        event
        for event in told
        if (event.rule, event.kind) == (real.rule, real.kind)
        and min(abs(event.at_s - real.from_s), abs(event.at_s - real.to_s)) < AWAY_S
        and (real.who is None or event.box is None or is_on(event.box, seen.get(real.who, []), event.at_s))
    ]
    return min(same, key=lambda event: abs(event.at_s - real.from_s), default=None)


def _lost_where(who: int, real: Due, looks: Sequence[Look], seen: dict[int, list[Sight]]) -> str:
    """Follow an actor down the road, from being seen to being tracked, and say where it was lost."""
    boxes = [
        (look, sight.box)
        for look in looks
        if real.from_s - BEFORE_S <= look.at_s <= real.to_s and look.tracks is not None
        for sight in seen.get(who, [])
        if abs(sight.at_s - look.at_s) < NEAR_S / 5
    ]
    if not boxes:
        return "out of sight"
    shown = np.median([s.visible for s in seen[who] if real.from_s - BEFORE_S <= s.at_s <= real.to_s])
    if shown < 0.6:
        return "mostly behind others"
    found = [_overlap(box, look.detections.boxes) > ON_ACTOR for look, box in boxes if look.detections]
    if np.mean(found) < 0.5:
        return f"detected in {np.mean(found):.0%} of the frames"
    ids = [number for look, box in boxes if look.tracks and (number := _track_on(box, look.tracks))]
    if len(ids) < 0.5 * len(boxes):
        return f"detected, but tracked in {len(ids) / len(boxes):.0%} of the frames only"
    numbers = list(dict.fromkeys(ids))
    if len(numbers) > 1:
        return f"tracked under {len(numbers)} numbers, {numbers}"
    return f"tracked under one number, {numbers[0]}: the rule is silent"


def _track_on(box: Box, tracks: Tracks) -> int:
    shares = overlaps(np.array([box], np.float32), tracks.boxes)[0]
    return int(tracks.ids[shares.argmax()]) if len(shares) and shares.max() > ON_ACTOR else 0


def _overlap(box: Box, boxes: np.ndarray) -> float:
    return float(overlaps(np.array([box], np.float32), boxes).max(initial=0.0))


def _duration(event: Told) -> str:
    return "" if event.duration_s is None else f", saying {event.duration_s:.1f} s"


def _role(who: int | None, roles: dict[int, str]) -> str:
    return f"actor {who} ({roles.get(who or 0, 'unknown')})"
