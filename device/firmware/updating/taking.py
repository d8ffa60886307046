"""What becomes of a wish that is new: it is accepted, refused, or runs already."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from device.firmware.updating.admission import refusal, release_in
from device.firmware.updating.dating import begun
from device.firmware.updating.journal import BEFORE_ARMED, REASON_CHARS, Journal
from device.firmware.updating.kind import Kind
from device.firmware.updating.ledger import Ledger
from device.firmware.updating.ways import Ways
from device.firmware.updating.wishes import Wish
from ota.errors import WireError
from ota.windows import parse_window


def followed(journal: Journal, wish: Wish | None, now_s: float) -> Journal:
    """Return a journal that goes on for the action, and by the hours, that the newest document names."""
    if journal.state in BEFORE_ARMED:
        journal = msgspec.structs.replace(journal, since_s=begun(journal.since_s, now_s))
    if wish is None or wish.content != journal.content or not journal.is_under_way or _odd(wish.window):
        return journal
    return msgspec.structs.replace(
        journal, action=wish.action, window=wish.window, deadline_s=wish.deadline_s
    )


def taken(
    kind: Kind, journal: Journal, wish: Wish | None, ledger: Callable[[], Ledger], ways: Ways, now_s: float
) -> Journal | None:
    """Return the journal with which a wish begins, or ends at once; None where it is nothing new.

    Args:
        kind: of the release.
        journal: of the action before, which has ended.
        wish: of the newest document.
        ledger: gives what the device remembers.
        ways: to the daemon around.
        now_s: Unix seconds.
    """
    if wish is None or not _is_new(journal, wish):
        return None
    fresh = Journal(
        action=wish.action,
        target=wish.target,
        seq=wish.seq,
        window=wish.window,
        deadline_s=wish.deadline_s,
        since_s=begun(0.0, now_s),
        steps=1,
        watched=_watched(journal),
    )
    if _runs(kind, wish):
        return _running(fresh)
    reason = _why_not(kind, wish, ledger(), ways)
    if reason:
        return msgspec.structs.replace(fresh, state="rejected", reason=reason[:REASON_CHARS])
    return msgspec.structs.replace(fresh, state="accepted")


def _is_new(journal: Journal, wish: Wish) -> bool:
    """A second click is nothing new; what was cancelled and is wanted again is."""
    is_same = (journal.action, journal.content) == (wish.action, wish.content)
    return not is_same or journal.state == "cancelled"


def _runs(kind: Kind, wish: Wish) -> bool:
    return kind.running().slot == kind.current() == kind.slot_with(wish.target)


def _watched(journal: Journal) -> Journal | None:
    held = journal.under_watch
    return None if held is None else msgspec.structs.replace(held, watched=None)


def _running(fresh: Journal) -> Journal:
    """Answer for what runs already; what is still watched over stays so."""
    held = fresh.watched
    if held is not None and held.content == fresh.content:
        fresh = msgspec.structs.replace(
            fresh, slot=held.slot, before=held.before, watch_until_s=held.watch_until_s
        )
    return msgspec.structs.replace(fresh, state="clean", reason="runs already", watched=None)


def _why_not(kind: Kind, wish: Wish, ledger: Ledger, ways: Ways) -> str:
    release = release_in(wish.target)
    if isinstance(release, str):
        return release
    return kind.obstacle() or _odd(wish.window) or refusal(wish.target, release, ways.situation(ledger))


def _odd(window: str) -> str:
    """Return why a window cannot be read; empty where it can."""
    try:
        parse_window(window)
    except WireError as error:
        return str(error)
    return ""
