"""Where an action stands: the states of UPDATES.md, what may follow what, and the files that remember it.

A state is written before it is acted on, so that a power cut at any line finds what was being done. Pure but
for `JournalFiles`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from device.firmware.updating.kind import KindName
from device.firmware.updating.twin import Twin
from ota.messages.desired import Target

State = Literal[
    "idle", "accepted", "downloading", "verified", "staged", "armed", "switched", "probation", "committed",
    "reported", "clean", "rejected", "cancelled", "rolling-back", "rolled-back", "failed",
]  # fmt: skip
FETCHING: Final = ("accepted", "downloading", "verified")
BEFORE_ARMED: Final = (*FETCHING, "staged")
"""States in which nothing that runs has been touched."""
FIRST_STARTS: Final = ("armed", "switched", "probation")
"""States in which a start may be a first start of what is new."""
COMMITTED: Final = ("committed", "reported", "clean")
"""States in which what is new stays."""
ENDED: Final = ("idle", "clean", "rejected", "cancelled", "rolled-back", "failed")
"""States in which nothing is left to do."""
MOST_STEPS: Final = 28
"""More changes of state than this in one action are a loop (UPDATES.md)."""
REASON_CHARS: Final = 200

_FORWARD: Final[dict[State, tuple[State, ...]]] = {
    "accepted": ("downloading", "verified", "staged"),
    "downloading": ("verified", "staged"),
    "verified": ("downloading", "staged"),
    "staged": ("downloading", "verified", "armed"),
    "armed": ("switched",),
    "switched": ("probation",),
    "probation": ("committed",),
    "committed": ("reported",),
    "reported": ("clean",),
    "rolling-back": ("rolled-back",),
}


class Journal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One action of one kind of release.

    Attributes:
        state: where it stands.
        action: its id.
        target: the release, as the document names it.
        seq: number of the document.
        window: when it may be switched to, in the site's timezone; empty for any time.
        deadline_s: Unix seconds after which it has failed; 0 where the document says none.
        since_s: Unix seconds at which it was accepted; 0 while the clock was not set.
        slot: where the release lies, or is to lie.
        before: slot of what ran before.
        was_linked: whether the link was up when it was switched.
        starts: first starts that were begun with it.
        steps: changes of state so far.
        reason: why it ended so, or what it waits for.
        is_inconsistent: going back found the slot before damaged.
        is_told: its end was said while the link was up.
        was_good: it had been committed before it went back.
        watch_until_s: Unix seconds until which what was committed is watched over; 0: no longer.
        watched: the action before, while its release runs on and is still watched over.
    """

    state: State = "idle"
    action: str = ""
    target: Target | None = None
    seq: int = 0
    window: str = ""
    deadline_s: float = 0.0
    since_s: float = 0.0
    slot: str = ""
    before: str = ""
    was_linked: bool = False
    starts: int = 0
    steps: int = 0
    reason: str = ""
    is_inconsistent: bool = False
    is_told: bool = False
    was_good: bool = False
    watch_until_s: float = 0.0
    watched: Journal | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether something is left to do."""
        return self.state not in ENDED

    @property
    def is_changing(self) -> bool:
        """Whether it has touched what runs, and is not over."""
        return self.state in (*FIRST_STARTS, "rolling-back")

    @property
    def content(self) -> str:
        """SHA-256 of the release's file; empty where there is none."""
        return "" if self.target is None else self.target.hashes.get("sha256", "")

    @property
    def under_watch(self) -> Journal | None:
        """The action whose release was committed and is still watched over: this one, or the one before."""
        return self if self.watch_until_s and self.state in COMMITTED else self.watched

    @property
    def is_watching(self) -> bool:
        """Whether what is seen now is compared with what is usual."""
        return self.is_changing or self.under_watch is not None


def may_follow(before: State, after: State) -> bool:
    """Whether a state may come after another."""
    if after in ("rejected", "cancelled", "failed"):
        return before in BEFORE_ARMED
    if after == "rolling-back":  # the watch over what was committed may still send it back
        return before in (*FIRST_STARTS, *COMMITTED)
    return after in _FORWARD.get(before, ()) or (after == "accepted" and before in ENDED)


def moved(journal: Journal, state: State, *, reason: str = "", **changes: object) -> Journal:
    """Return the journal in another state; one that goes round in circles is ended instead.

    Raises:
        ValueError: that state may not follow.
    """
    if not may_follow(journal.state, state):
        raise ValueError(f"{state} may not follow {journal.state}")
    steps = 1 if state == "accepted" else journal.steps + 1
    if steps > MOST_STEPS:
        words = f"went round in circles: {steps} steps, the last to {state} ({reason or journal.reason})"
        if journal.state in BEFORE_ARMED and state not in ("rejected", "cancelled", "failed"):
            state, reason = "failed", words
        elif journal.state in FIRST_STARTS and state != "rolling-back":
            state, reason = "rolling-back", words
    fields = {"state": state, "steps": steps, "reason": reason[:REASON_CHARS], "is_told": False} | changes
    return msgspec.structs.replace(journal, **fields)


def watched_until(journal: Journal, until_s: float) -> Journal:
    """Return the journal with another end of the watch; 0: there is no watch any more."""
    if journal.under_watch is journal:
        return msgspec.structs.replace(journal, watch_until_s=until_s)
    if journal.watched is None:
        return journal
    held = msgspec.structs.replace(journal.watched, watch_until_s=until_s) if until_s else None
    return msgspec.structs.replace(journal, watched=held)


class JournalFiles:
    """The journals of all kinds, one a kind, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._twins = {name: Twin(folder, name, Journal()) for name in get_args(KindName)}

    def read(self, kind: KindName) -> Journal:
        """Return what was written last and is whole."""
        return self._twins[kind].read()

    def write(self, kind: KindName, journal: Journal) -> None:
        """Keep it; durable when it returns.

        Raises:
            OSError: the disk refuses.
        """
        self._twins[kind].write(journal)
