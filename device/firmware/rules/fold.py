"""Cooldown: what happens again too soon amends the event that was sent instead of making more.

The first happening is sent at once. Those of the same rule, kind and direction that follow within the
cooldown are folded; when it is over, one amendment says how many there were and until when. What is open is
kept in memory only: a device that is killed meanwhile has sent the first event and counted all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from device.firmware.rules.happening import Happening

_Key = tuple[str, str, str | None]


@dataclass(slots=True)
class Told:
    """An event that was sent and may still be amended.

    Attributes:
        seq: of the event that was sent.
        happening: the latest of those it stands for.
        from_utc_s: when the first of them was, Unix seconds.
        until_utc_s: when the latest of them was.
        ends_s: monotonic end of the cooldown.
        number: how many it stands for.
    """

    seq: int
    happening: Happening
    from_utc_s: float
    until_utc_s: float
    ends_s: float
    number: int = 1


class Folds:
    """The open cooldowns of one camera; as many as it has rules, kinds and directions."""

    def __init__(self) -> None:
        self._open: dict[_Key, Told] = {}

    def fold(self, happening: Happening, utc_s: float, mono_s: float) -> bool:
        """Fold a happening into an event that stands; false if there is none and it must be sent."""
        told = self._open.get(_key(happening))
        if told is None or mono_s >= told.ends_s:
            return False
        told.happening, told.until_utc_s = happening, utc_s
        told.number += 1
        return True

    def sent(self, happening: Happening, seq: int, utc_s: float, ends_s: float) -> None:
        """Note that a happening was sent as the event `seq`; further ones are folded until `ends_s`."""
        self._open[_key(happening)] = Told(seq, happening, utc_s, utc_s, ends_s)

    def over(self, mono_s: float) -> list[Told]:
        """Take out the cooldowns that are over; return those that stand for more than one happening."""
        over = [key for key, told in self._open.items() if mono_s >= told.ends_s]
        return [told for told in [self._open.pop(key) for key in over] if told.number > 1]

    def all(self) -> list[Told]:
        """The same for all, for a device that stops."""
        return self.over(float("inf"))


def _key(happening: Happening) -> _Key:
    return happening.rule, happening.kind, happening.direction
