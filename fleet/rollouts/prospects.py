"""What would happen if somebody pressed a button now: one sentence in numbers, said before the deed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from sqlalchemy import exists, func, select
from sqlmodel import Session, col

from fleet.rollouts.gather import REVERTIBLE
from fleet.rollouts.plan import OPEN
from fleet.rollouts.preview import preview
from fleet.rollouts.show import count_devices
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice


@dataclass(frozen=True, slots=True)
class Prospects:
    """The numbers on which the next deed depends.

    Attributes:
        state: of the rollout.
        waiting: devices in line; of a rollout that has not begun: all that would get it now.
        open: that were told and have not answered.
        succeeded: that have it.
        taken_back: from which it was taken back when the rollout stopped.
        returning: that going back would concern.
        stranded: of these, those that run something of which no release is known to go back to.
        first: devices of the first stage.
        offline: of the waiting, of a rollout that has not begun.
    """

    state: str
    waiting: int = 0
    open: int = 0
    succeeded: int = 0
    taken_back: int = 0
    returning: int = 0
    stranded: int = 0
    first: int = 0
    offline: int = 0


def look_ahead(session: Session, rollout: Rollout) -> Prospects:
    """Return what is known for the next deed.

    Raises:
        BadInput: the rollout's filter cannot be read any more.
    """
    if rollout.state == "pending":
        seen = preview(session, session.get_one(Release, rollout.release), rollout.filter, rollout.stages)
        return Prospects(
            rollout.state,
            waiting=seen.devices,
            first=seen.by_stage[0],
            offline=seen.devices - seen.online,
        )
    counts = count_devices(session, [rollout.id]).get(rollout.id, Counter())
    return Prospects(
        rollout.state,
        waiting=counts["waiting"],
        open=sum(counts[state] for state in OPEN),
        succeeded=counts["succeeded"],
        taken_back=counts["withdrawn"],
        returning=sum(counts[state] for state in REVERTIBLE),
        stranded=_stranded(session, rollout),
    )


def sentence_for(verb: str, ahead: Prospects) -> str:
    """Return what a deed would do now.

    Args:
        verb: one of `plan.VERBS`.
        ahead: the numbers.
    """
    return _SENTENCES[verb](ahead)


def _approve(ahead: Prospects) -> str:
    if not ahead.waiting:
        return "It begins, but no device matches its filter now: it waits for one that does."
    offline = f", {ahead.offline} of which are offline now" if ahead.offline else ""
    return (
        f"It begins at once: {_of(ahead.first, ahead.waiting)} in the first stage, {_devices(ahead.waiting)} "
        f"in the end{offline}."
    )


def _pause(ahead: Prospects) -> str:
    return f"{_finish(ahead)} {_will(ahead.waiting, 'not be told', 'are in line')} until somebody resumes it."


def _resume(ahead: Prospects) -> str:
    if ahead.state != "stopped":
        return f"It goes on: {_will(ahead.waiting, 'be told', 'are in line')}, stage by stage."
    return (
        f"It goes on although it stopped itself, and its failures so far count no more: "
        f"{_will(ahead.waiting + ahead.taken_back, 'be told', 'are in line or were told to let go')}."
    )


def _abort(ahead: Prospects) -> str:
    if ahead.state == "pending":
        return f"It never begins: {_devices(ahead.waiting)} that would get it now will not."
    parts = [
        f"{_will(ahead.waiting, 'not get it', 'are in line')}.",
        f"{_will(ahead.open, 'be told to let go', 'are at it')}." if ahead.open else "",
        f"{_will(ahead.succeeded, 'keep it', 'have it')}." if ahead.succeeded else "",
        "It cannot be resumed.",
    ]
    return " ".join(part for part in parts if part)


def _revert(ahead: Prospects) -> str:
    able = ahead.returning - ahead.stranded
    parts = [
        f"{_devices(able)} will be told to go back to what they ran before, at once and in no window."
        if able != 1
        else "1 device will be told to go back to what it ran before, at once and in no window.",
        f"{_devices(ahead.stranded)} cannot, because no release is known of what ran before: they are named."
        if ahead.stranded
        else "",
        f"{_will(ahead.waiting, 'not get it', 'are in line')}." if ahead.waiting else "",
    ]
    return " ".join(part for part in parts if part)


def _finish(ahead: Prospects) -> str:
    return f"{_will(ahead.open, 'finish', 'are at it')}." if ahead.open else "Nobody is at it now."


def _will(number: int, what: str, who: str) -> str:
    singular = who.replace("are ", "is ", 1).replace("have ", "has ", 1).replace("or were", "or was")
    return f"{_devices(number)} that {who if number != 1 else singular} will {what}"


def _of(part: int, whole: int) -> str:
    return _devices(part) if part != whole else f"all {_devices(whole)}" if whole > 1 else _devices(whole)


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number} devices"


def _stranded(session: Session, rollout: Rollout) -> int:
    """Count devices that could not go back: nobody knows a release of what they ran before."""
    known = exists(
        select(1).where(col(Release.kind) == rollout.kind, col(Release.mark) == col(RolloutDevice.before))
    )
    query = select(func.count()).where(
        col(RolloutDevice.rollout) == rollout.id,
        col(RolloutDevice.state).in_(REVERTIBLE),
        col(RolloutDevice.stage) >= 0,
        ~known.correlate(RolloutDevice),
    )
    return int(session.execute(query).scalar_one())


_SENTENCES: Final = {
    "approve": _approve,
    "pause": _pause,
    "resume": _resume,
    "abort": _abort,
    "revert": _revert,
}
