"""What a device's own words make of it in a rollout.

`after_report` and `after_update` are pure; `note_reported` and `note_update` are what ingest calls within its
transaction, for each message `Reported` and `Update`. Saying something twice changes nothing. Success comes
from the running hash alone: of a model its SHA-256, of firmware its version; for an operating system, which
reports no hash, from the word that ends its action.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update
from sqlmodel import Session, col

from fleet.rollouts.facts import read_running
from fleet.rollouts.plan import LIVE, OPEN, REASON_CHARS, SILENT
from fleet.rollouts.tell import OS, WantedTable
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice, WantedRelease

_WANTED: Final = WantedTable()
PROGRESS: Final = {
    "accepted": "downloading",
    "downloading": "downloading",
    "verified": "downloading",
    "staged": "downloading",
    "armed": "downloading",
    "switched": "installed",
    "probation": "installed",
    "committed": "installed",
    "reported": "installed",
    "clean": "installed",
}
"""States of a device's updater (docs/rollouts.md), and what they are here."""
FOR_GOOD: Final = frozenset({"rejected", "rolling-back", "rolled-back"})
"""Who refused a release, or tried it and went back, has quarantined it: telling it again is no use."""
ON_THE_WAY: Final = frozenset({"failed", "cancelled"})
ENDS: Final = ("committed", "reported", "clean")
"""Words that end the action of an operating system well."""
_LOOKED_AT: Final = (*OPEN, "succeeded", "failed", "withdrawn", "reverting", "waiting")


@dataclass(frozen=True, slots=True)
class Fate:
    """Where a device stands after it has said something."""

    state: str
    reason: str = ""


def after_report(state: str, reason: str, *, running: str, wanted: str, before: str) -> Fate | None:
    """Return where a device stands after it has reported what runs; None where that changes nothing.

    Who failed by silence may answer late. Who went back once, or ran another, does not become good by coming
    again: a device that flaps has failed.

    Args:
        state: before.
        reason: of it.
        running: what runs.
        wanted: what it was told to run.
        before: what ran when it was told; empty if that is not known.
    """
    if state == "reverting":
        return Fate("reverted") if before and running == before else None
    if running == wanted:
        return _runs_it(state, reason)
    is_back = bool(before) and running == before
    if state == "withdrawn":
        return Fate("skipped", "runs what it ran before") if is_back else None
    if state == "succeeded":
        return Fate("failed", "went back to what it ran before" if is_back else _other(running))
    return Fate("failed", _other(running)) if state in OPEN and before and not is_back else None


def _runs_it(state: str, reason: str) -> Fate | None:
    """Return where a device stands that runs the release."""
    if state in OPEN or state == "withdrawn":
        return Fate("succeeded")
    if state == "failed" and reason.startswith(SILENT):
        return Fate("succeeded", "answered late")
    return Fate("skipped", "runs it already") if state == "waiting" else None


def after_update(
    state: str,
    word: str,
    reason: str,
    *,
    ends_by_word: bool = False,
    stood: str = "",
    runs_before: bool = False,
) -> Fate | None:
    """Return where a device stands after its updater has told how far it is; None where nothing changes.

    Args:
        state: before.
        word: state of the updater.
        reason: why, in the updater's words.
        ends_by_word: its end is told by a word, because nothing that it reports says what runs.
        stood: why it was in that state before.
        runs_before: what it reported at last is what it ran before: going back changes no report.
    """
    if state == "reverting" and word in ENDS and runs_before:
        return Fate("reverted")
    if ends_by_word and word in ENDS:
        return Fate("reverted") if state == "reverting" else _runs_it(state, stood)
    told = f"{word}: {reason}"[:REASON_CHARS] if reason else word
    if state == "reverting":
        return _after_word_going_back(word, told)
    return _after_word_at_it(state, word, told) if state in OPEN else None


def _after_word_at_it(state: str, word: str, told: str) -> Fate | None:
    if word in FOR_GOOD:
        return Fate("failed", told)
    if state == "retrying":
        return None
    if word in ON_THE_WAY:
        return Fate("retrying", told)
    fate = PROGRESS.get(word)
    return Fate(fate) if fate is not None and fate != state else None


def _after_word_going_back(word: str, told: str) -> Fate | None:
    """Return where a device stands that was told to go back; on the way it goes on trying by itself."""
    if word in FOR_GOOD:
        return Fate("failed", f"did not go back: {told}"[:REASON_CHARS])
    return Fate("reverting", told) if word in ON_THE_WAY else None


def concerned(connection: Connection, devices: Collection[str]) -> set[str]:
    """Return which devices stand in a rollout that their words could change: ingest looks at no others.

    Args:
        connection: in whose transaction.
        devices: of one batch.
    """
    query = (
        select(col(RolloutDevice.device))
        .join(Rollout, col(Rollout.id) == col(RolloutDevice.rollout))
        .where(col(RolloutDevice.device).in_(devices), _is_looked_at())
        .distinct()
    )
    return set(connection.execute(query).scalars()) if devices else set()


def note_reported(
    session: Session,
    device: str,
    model_sha256: str,
    firmware: str,
    *,
    now_ms: int,
) -> int:
    """Take in what a device really runs; return how many of its rollouts that changed. The caller commits.

    Args:
        session: in whose transaction.
        device: which.
        model_sha256: of the model that runs.
        firmware: its version.
        now_ms: Unix milliseconds.
    """
    changed = 0
    for row, release, rollout in _rows(session, device):
        running = {"model": model_sha256, "firmware": firmware}.get(release.kind)
        if running is None or (row.state == "succeeded" and not _is_owner(session, row, release.kind)):
            continue
        fate = after_report(row.state, row.reason, running=running, wanted=release.mark, before=row.before)
        if fate is not None:
            changed += _keep(session, row, fate, rollout.round, now_ms)
            _let_go(session, row, fate, release.kind)
    return changed


def note_update(
    session: Session,
    device: str,
    state: str,
    reason: str,
    *,
    action: str = "",
    now_ms: int,
) -> int:
    """Take in how far a device's updater is; return how many of its rollouts that changed.

    Args:
        session: in whose transaction.
        device: which.
        state: of the updater, such as `downloading` or `rolled-back`.
        reason: why, in its words.
        action: id of the action that it speaks of; with another one than it was told last nothing changes.
        now_ms: Unix milliseconds.
    """
    changed = 0
    for row, release, rollout in _rows(session, device):
        if action and row.action != action:
            continue
        fate = after_update(
            row.state,
            state,
            reason,
            ends_by_word=release.kind == OS,
            stood=row.reason,
            runs_before=row.state == "reverting" and _runs_before(session, row, release.kind),
        )
        if fate is not None:
            changed += _keep(session, row, fate, rollout.round, now_ms)
            _let_go(session, row, fate, release.kind)
    return changed


def _let_go(session: Session, row: RolloutDevice, fate: Fate, kind: str) -> None:
    """Want nothing more of a device that has failed: it would only fail again."""
    if fate.state == "failed":
        _WANTED.withdraw(session, kind, row.rollout, [row.device])


def _runs_before(session: Session, row: RolloutDevice, kind: str) -> bool:
    return bool(row.before) and read_running(session, kind, [row.device]).get(row.device) == row.before


def _other(running: str) -> str:
    return f"runs another: {running[:64] or 'nothing that it names'}"


def _is_owner(session: Session, row: RolloutDevice, kind: str) -> bool:
    """Whether no other rollout has told the device something since."""
    wanted = session.get(WantedRelease, (row.device, kind), populate_existing=True)
    return wanted is not None and wanted.rollout == row.rollout


def _rows(session: Session, device: str) -> list[tuple[RolloutDevice, Release, Rollout]]:
    """Return how a device stands in rollouts that live, or that have taken back what they told it.

    Nobody changes these rows until the transaction ends: what an engine decides at this moment is seen.
    """
    query = (
        select(RolloutDevice, Release, Rollout)
        .join(Rollout, col(Rollout.id) == col(RolloutDevice.rollout))
        .join(Release, col(Release.id) == col(Rollout.release))
        .where(col(RolloutDevice.device) == device, _is_looked_at())
        .order_by(col(RolloutDevice.rollout))
        .with_for_update(of=RolloutDevice)
        .execution_options(populate_existing=True)
    )
    return [(row, release, rollout) for row, release, rollout in session.execute(query)]


def _is_looked_at() -> ColumnElement[bool]:
    return or_(
        and_(col(Rollout.state).in_(LIVE), col(RolloutDevice.state).in_(_LOOKED_AT)),
        col(RolloutDevice.state) == "withdrawn",
    )


def _keep(session: Session, row: RolloutDevice, fate: Fate, round_now: int, now_ms: int) -> int:
    """Write a fate if the device still stands where it stood."""
    values: dict[str, object] = {
        "state": fate.state,
        "reason": fate.reason[:REASON_CHARS],
        "changed_ms": now_ms,
    }
    if fate.state in ("succeeded", "failed"):
        values["round"] = round_now
    if fate.state == "retrying":
        values["due_run_ms"] = None
    if (row.state, fate.state) == ("reverting", "failed"):
        values["action"] = ""  # it is not told to go back once more
    done = session.execute(
        update(RolloutDevice)
        .where(
            col(RolloutDevice.rollout) == row.rollout,
            col(RolloutDevice.device) == row.device,
            col(RolloutDevice.state) == row.state,
        )
        .values(values)
        .execution_options(synchronize_session=False)
    )
    return int(getattr(done, "rowcount", 0))
