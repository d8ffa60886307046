"""Raises an alarm when its cause has lasted, and clears it when it has been gone for a while."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from device.firmware.view_health.settings import ViewSettings
from device.firmware.view_health.verdict import KINDS, Kind, Verdict

SLOW: Final = 3.0
"""A slow cause must last so many times `hold_s`."""

_DECIDED: Final[dict[Kind | None, frozenset[Kind]]] = {
    None: frozenset(KINDS),
    "covered": frozenset(),
    "dark": frozenset({"bright"}),
    "bright": frozenset({"dark"}),
    "frozen": frozenset(),
    "blurred": frozenset({"covered", "dark", "bright", "frozen", "moved"}),
    "moved": frozenset({"covered", "dark", "bright", "frozen"}),
}
"""What each verdict rules out; all else stays as it is, because the verdict hides it."""


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm that was raised or cleared; the kinds are WIRE.md's."""

    kind: Kind
    is_raised: bool
    detail: str = ""


class Standing:
    """The alarms of one view; patience is counted in seconds of looking, never in looks."""

    def __init__(self, settings: ViewSettings, raised: Iterable[Kind] = ()) -> None:
        """Begin with the alarms that stood when the device was stopped."""
        self._settings = settings
        self._raised: dict[Kind, str] = dict.fromkeys(raised, "")
        self._patience: dict[Kind, float] = dict.fromkeys(KINDS, 0.0)

    @property
    def raised(self) -> dict[Kind, str]:
        """The alarms that stand with their details; a new dictionary each time."""
        return dict(self._raised)

    def forget_patience(self) -> None:
        """Begin to wait anew, after a gap in the looking."""
        self._patience = dict.fromkeys(KINDS, 0.0)

    def note(self, verdict: Verdict, elapsed_s: float) -> list[Change]:
        """Take one look's verdict in; `elapsed_s` is the time since the last look."""
        changes = []
        for kind in KINDS:
            is_cause = kind == verdict.kind
            is_ruled_out = verdict.is_sure and not is_cause and kind in _DECIDED[verdict.kind]
            if not is_cause and not is_ruled_out:
                continue
            change = self._step(kind, verdict, elapsed_s, is_cause=is_cause)
            if change is not None:
                changes.append(change)
        return changes

    def _step(self, kind: Kind, verdict: Verdict, elapsed_s: float, *, is_cause: bool) -> Change | None:
        """Wait on, or wait less: one contrary look takes back as much as it lasted."""
        is_raised = kind in self._raised
        wait_s = self._settings.clear_s if is_raised else self._settings.hold_s
        if verdict.is_slow and not is_raised:
            wait_s *= SLOW
        step_s = elapsed_s if is_cause != is_raised else -elapsed_s
        self._patience[kind] = max(0.0, self._patience[kind] + step_s)
        if self._patience[kind] < wait_s:
            return None
        self._patience[kind] = 0.0
        if is_raised:
            del self._raised[kind]
            return Change(kind, is_raised=False)
        self._raised[kind] = verdict.detail
        return Change(kind, is_raised=True, detail=verdict.detail)
