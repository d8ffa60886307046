"""The values between rules and the rest: what a rule is, and what it makes of tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from device.firmware.tracks import Tracks
from ota.messages.structs import Severity

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One tracked object at the moment of a happening.

    Attributes:
        track: the track's id.
        cls: index into `device.models.labels.CLASSES`.
        conf: score, 0..1.
        box: left, top, right, bottom in 0..1.
    """

    track: int
    cls: int
    conf: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Happening:
    """A rule that came true.

    Attributes:
        kind: `zone-enter zone-exit dwell line-cross`.
        rule: name of the rule.
        sev: severity that the rule was given.
        seen: the object.
        direction: of a crossing.
        duration_s: how long the object has been inside, for `dwell` and `zone-exit`.
        tally: word under which it is counted (`in out enter exit`), or empty.
        is_event: false when the rule only counts.
    """

    kind: str
    rule: str
    sev: Severity
    seen: Sighting
    direction: Direction | None = None
    duration_s: float | None = None
    tally: str = ""
    is_event: bool = True


class Rule(Protocol):
    """What the pipeline needs of a rule."""

    name: str

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """Return what came true with this frame; called once a looked-at frame, in order of time."""
        ...
