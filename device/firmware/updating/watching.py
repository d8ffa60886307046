"""Looks after a release that was committed, for the time in which it is still watched over."""

from __future__ import annotations

from collections.abc import Callable

from device.firmware.updating.acts import Acts
from device.firmware.updating.dating import ending
from device.firmware.updating.finding import Moment
from device.firmware.updating.journal import Journal, watched_until
from device.firmware.updating.kind import FACTORY, Kind


def mind_watch(acts: Acts, kind: Kind, journal: Journal, complain: Callable[[str, str], None]) -> None:
    """Go back from what does not do as well as what ran before, and end the watch when its time is over.

    Args:
        acts: does it.
        kind: of the release.
        journal: of it, or of an action after it that has not touched it yet.
        complain: remembers something that is wrong, as place and reason.
    """
    held = journal.under_watch
    if held is None:
        return
    verdict, now_s = kind.watch(), acts.now()
    until_s = ending(held.watch_until_s, now_s, acts.ways.watch_s)
    is_over = Moment(now_s).is_known and now_s >= until_s
    if verdict.state == "bad":
        if _may_go_back(acts, kind, held):
            acts.go_back(kind, held, verdict.reason)
            return
        words = f"{verdict.reason}; the one before is older than the floor: send another"
        complain(f"slots/{kind.name}", words)
        is_over = True
    if is_over:
        kind.end_watch()
    acts.keep(kind, watched_until(journal, 0.0 if is_over else until_s))


def _may_go_back(acts: Acts, kind: Kind, held: Journal) -> bool:
    before = kind.describe(held.before)
    floor = acts.ledger.read().floors.get(f"{kind.name}/{before.name}", 0)
    return before.sec_ver >= floor and bool(before.name or held.before == FACTORY)
