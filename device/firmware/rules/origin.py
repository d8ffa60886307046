"""Origin and destination: how many went from which line to which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from device.firmware.rules.choice import follow_renames, sighting, take_ended
from device.firmware.rules.happening import Happening
from device.firmware.rules.line import LineRule
from device.firmware.tracks import Tracks


@dataclass(slots=True)
class OriginRule:
    """Counts ways between lines; it makes no events.

    A way is counted when its second line is crossed, under `<from>--<to>`. Who crosses a third counts there
    again, from the second. The direction in which a line is crossed does not matter; back over the same line
    is no way.

    Attributes:
        name: unique on its camera.
        lines: at least two; of the classes that count.
    """

    name: str
    lines: Sequence[LineRule]
    _last: dict[int, str] = field(default_factory=dict)

    def apply(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        """See `Rule.apply`."""
        follow_renames(self._last, tracks, lambda _, new: new)
        happenings = []
        for line in self.lines:
            for row, _ in line.crossings(tracks, mono_s):
                before, track = self._last.get(int(tracks.ids[row])), int(tracks.ids[row])
                self._last[track] = line.name
                if before is not None and before != line.name:
                    happenings.append(self._counted(tracks, row, before, line.name))
        take_ended(self._last, tracks)
        return happenings

    def forget(self) -> None:
        """See `Rule.forget`."""
        self._last.clear()
        for line in self.lines:
            line.forget()

    def _counted(self, tracks: Tracks, row: int, before: str, after: str) -> Happening:
        tally = f"{before}--{after}"
        return Happening("way", self.name, "low", sighting(tracks, row), tally=tally, is_event=False)
