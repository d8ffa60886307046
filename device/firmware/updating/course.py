"""What is done next: the power-cut table of UPDATES.md as a pure function of journal and facts.

Nothing is believed because the journal says so: whether a slot is whole, where the link leads and what runs
are facts that were looked up anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from device.firmware.updating.journal import BEFORE_ARMED, FETCHING, FIRST_STARTS, Journal
from device.firmware.updating.kind import WAITS, Verdict

Word = Literal[
    "rest", "cancel", "fail", "obtain", "stage", "arm", "switch", "try-out", "commit", "report", "clean",
    "go-back", "return",
]  # fmt: skip
_AFTER: Final[dict[str, Word]] = {"waits": "rest", "good": "commit", "bad": "go-back"}
CRASHES: Final = 3
"""So many first starts that did not live send a release back."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What to do, and why; for `rest`, what is waited for."""

    word: Word
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found.

    Attributes:
        unwanted: why the release is wanted no longer; empty while it is.
        is_late: its time is over.
        has_archive: the release's file is there; whether it is whole is found out when it is used.
        is_staged: a slot holds the release, whole.
        is_current: the next start takes its slot.
        hold: why nothing may be switched now: a window that is closed, an aircraft in the air.
        fell_back: why a launcher went back; empty where none did.
        verdict: how it stands on probation.
    """

    unwanted: str = ""
    is_late: str = ""
    has_archive: bool = False
    is_staged: bool = False
    is_current: bool = False
    hold: str = ""
    fell_back: str = ""
    verdict: Verdict = WAITS


def next_deed(journal: Journal, facts: Facts) -> Deed:
    """Return what is to be done in a journal's state."""
    if journal.state in BEFORE_ARMED:
        return _before_armed(journal, facts)
    if journal.state in FIRST_STARTS:
        return _first_start(journal, facts)
    if journal.state == "rolling-back":
        return Deed("rest", facts.hold) if facts.hold and facts.is_current else Deed("return")
    if journal.state == "committed":
        return _left(facts) or Deed("report")
    return Deed("clean") if journal.state == "reported" else Deed("rest")


def _before_armed(journal: Journal, facts: Facts) -> Deed:
    if facts.unwanted:
        return Deed("cancel", facts.unwanted)
    if facts.is_late:
        return Deed("fail", f"{facts.is_late}; {journal.reason}" if journal.reason else facts.is_late)
    if journal.state in FETCHING:
        return Deed("stage") if journal.state == "verified" and facts.has_archive else Deed("obtain")
    if not facts.is_staged:
        return Deed("stage") if facts.has_archive else Deed("obtain")
    return Deed("rest", facts.hold) if facts.hold else Deed("arm")


def _first_start(journal: Journal, facts: Facts) -> Deed:
    if journal.state == "armed" and not facts.fell_back:
        return Deed("rest", facts.hold) if facts.hold and not facts.is_current else Deed("switch")
    if left := _left(facts):
        return left
    if journal.state == "switched":
        return Deed("try-out")
    return Deed(_AFTER[facts.verdict.state], facts.verdict.reason)


def _left(facts: Facts) -> Deed | None:
    """Go back where something else is started than what was switched to: a launcher left it, or people."""
    if facts.fell_back or not facts.is_current:
        return Deed("go-back", facts.fell_back or "the slot is no longer the one that is started")
    return None
