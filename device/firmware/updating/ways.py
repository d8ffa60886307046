"""What the updater needs of the daemon around it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from device.firmware.updating.admission import Situation
from device.firmware.updating.holding import Hold, never
from device.firmware.updating.kind import KindName
from device.firmware.updating.ledger import Ledger


def _nothing(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Ways:
    """See the module.

    Attributes:
        situation: what is known of the device, given what it remembers.
        is_linked: whether the link is up.
        restart: ends the daemon in order, for a release of this kind.
        hold: why nothing may be switched now.
        gate: why so many bytes may not come over the network now.
        surroundings: changes when it is worth asking again at once: a stick came in, the link came up.
        sample: looks at the cameras; monotonic and Unix seconds.
        keep: keeps what the looks have shown; monotonic seconds.
        timezone: of the site.
        watch_s: how long a model that was committed is watched over.
    """

    situation: Callable[[Ledger], Situation]
    is_linked: Callable[[], bool]
    restart: Callable[[KindName], None]
    hold: Hold = never
    gate: Callable[[int], str] = lambda length: ""
    surroundings: Callable[[], Hashable] = lambda: None
    sample: Callable[[float, float], None] = _nothing
    keep: Callable[[float], None] = _nothing
    timezone: str = "UTC"
    watch_s: float = 86_400.0
