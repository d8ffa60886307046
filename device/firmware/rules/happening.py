"""The values between rules and the rest: what a rule is, and what it makes of tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from device.firmware.geometry import Box, Polygon
from device.firmware.tracks import Tracks
from ota.messages.structs import Severity

Direction = Literal["in", "out"]
Small = npt.NDArray[np.uint8]
"""A small picture, shape (H, W, C): luma, and two planes of colour where the camera has them."""
NO_TRACK: Final = 0
"""The track number of what no single track made: a crowd, a thing without a class."""
A_THING: Final = -1
"""The class of a thing that the model has no class for."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One tracked object at the moment of a happening.

    Attributes:
        track: the track's id, or `NO_TRACK`.
        cls: index into `device.models.labels.CLASSES`, or `A_THING`.
        conf: score, 0..1.
        box: left, top, right, bottom in 0..1.
    """

    track: int
    cls: int
    conf: float
    box: Box


@dataclass(frozen=True, slots=True)
class Happening:
    """A rule that came true.

    Attributes:
        kind: `zone-enter zone-exit dwell line-cross loitering crowd wrong-way stopped object-left
            object-removed speeding`.
        rule: name of the rule.
        sev: severity that the rule was given.
        seen: the object; for a `crowd` the box around it and its most frequent class.
        direction: of a crossing.
        duration_s: how long it lasted so far: inside the zone, standing, together.
        tally: word under which it is counted (`in out enter exit`, the kind, `gate--door`), or empty.
        is_event: false when the rule only counts.
        speed_mps: of `speeding`, metres per second on the ground.
        number: of a `crowd`: how many.
    """

    kind: str
    rule: str
    sev: Severity
    seen: Sighting
    direction: Direction | None = None
    duration_s: float | None = None
    tally: str = ""
    is_event: bool = True
    speed_mps: float | None = None
    number: int | None = None


class Rule(Protocol):
    """What the pipeline needs of a rule."""

    @property
    def name(self) -> str:
        """What it is called, unique on its camera."""
        ...

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """Return what came true with this frame; called once a looked-at frame, in order of time."""
        ...

    def forget(self) -> None:
        """Drop all that is known of tracks and of the view, as if nothing had been seen."""
        ...


@runtime_checkable
class Watcher(Protocol):
    """A rule that looks at the picture itself, made small, too."""

    def watch_small(self, small: Small, mono_s: float) -> list[Happening]:
        """Return what came true in the picture itself.

        Args:
            small: shape (H, W, C), at most 160 wide; the same view as the tracks.
            mono_s: monotonic stamp of its frame; at most twice a second, in order of time.
        """
        ...


@runtime_checkable
class Local(Protocol):
    """A rule about a part of the picture."""

    @property
    def area(self) -> Polygon:
        """The part, about which `Tracks.inside` is asked."""
        ...


@runtime_checkable
class Occupied(Protocol):
    """A rule that knows how many are in its zone."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def occupancy(self) -> dict[int, int]:
        """Return how many of each class are inside now: class index -> count."""
        ...
