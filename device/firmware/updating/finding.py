"""Looks up what `course.py` decides by: slots, links, clocks, wishes, and whoever holds a switch up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from device.firmware.clock import clock_state
from device.firmware.updating.course import Facts
from device.firmware.updating.journal import BEFORE_ARMED, FETCHING, FIRST_STARTS, Journal
from device.firmware.updating.kind import WAITS, Kind, KindName
from device.firmware.updating.ways import Ways
from device.firmware.updating.wishes import Wishes
from ota.windows import parse_window

FETCH_LIMIT_S: Final = 24 * 3600.0
"""A release that could not be fetched for so long has failed, where its document sets no deadline."""
WAIT_LIMIT_S: Final = 8 * 24 * 3600.0
"""One that waits for its window or for an aircraft to land: windows open once a week at least."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is looked.

    Attributes:
        now_s: Unix seconds.
        lived_s: seconds on probation in this process.
    """

    now_s: float
    lived_s: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the wall clock can be believed."""
        return clock_state(self.now_s) == "synced"


def find_facts(
    kind: Kind,
    journal: Journal,
    wishes: Wishes | None,
    ways: Ways,
    moment: Moment,
    has_archive: Callable[[], bool],
) -> Facts:
    """Return what is found about an action; costly facts only where they decide.

    Args:
        kind: of its release.
        journal: of it.
        wishes: of the newest document; None where none was heard since the start.
        ways: to the daemon around.
        moment: when.
        has_archive: whether what was fetched lies there.
    """
    if not journal.is_under_way or journal.target is None:
        return Facts()
    state, slot = journal.state, journal.slot
    is_early = state in BEFORE_ARMED
    hold = held_up(journal, ways, moment) if state in ("staged", "armed", "rolling-back") else ""
    return Facts(
        unwanted=unwanted(kind.name, journal, wishes) if is_early else "",
        is_late=late(journal, moment) if is_early else "",
        has_archive=has_archive(),
        # hashed anew before it is armed, and not each second of a night in which it waits for its window
        is_staged=state == "staged" and (bool(hold) or kind.is_staged(slot, journal.target)),
        is_current=kind.current() == slot,
        hold=hold,
        fell_back=kind.fell_back(slot) if state in (*FIRST_STARTS, "committed") else "",
        verdict=kind.judge(moment.lived_s) if state == "probation" else WAITS,
    )


def unwanted(name: KindName, journal: Journal, wishes: Wishes | None) -> str:
    """Return why a release is wanted no longer; empty while it is, or while nobody was heard."""
    if wishes is None:
        return ""
    wish = wishes.by_kind.get(name)
    if wish is None:
        return "it is wanted no longer"
    return "" if wish.content == journal.content else f"{wish.target.path} is wanted instead"


def late(journal: Journal, moment: Moment) -> str:
    """Return why the time of an action is over; empty while it is not, or the clock is not set."""
    if not moment.is_known:
        return ""
    if journal.deadline_s:
        return "its deadline has passed" if moment.now_s > journal.deadline_s else ""
    limit_s = FETCH_LIMIT_S if journal.state in FETCHING else WAIT_LIMIT_S
    is_over = journal.since_s and moment.now_s - journal.since_s > limit_s
    return f"not done within {limit_s / 3600:.0f} h" if is_over else ""


def held_up(journal: Journal, ways: Ways, moment: Moment) -> str:
    """Return why nothing may be switched now; going back waits for no window."""
    if reason := ways.hold():
        return reason
    window = parse_window(journal.window) if journal.state == "staged" else None
    if window is None:
        return ""
    if not moment.is_known:
        return "waits for the clock to be set: it has a window"
    if window.is_open(round(moment.now_s * 1000), ways.timezone):
        return ""
    return f"waits for its window {journal.window} ({ways.timezone})"
