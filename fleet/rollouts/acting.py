"""What people do with a rollout: make, approve, pause, resume, abort, revert. Twice is once.

Each is one transaction with its row in the audit log. It changes the rollout's row only from a state in which
that makes sense, so two people who press different buttons at once do not both win.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from fleet.access.audit import Detail, record
from fleet.access.caller import Caller
from fleet.errors import BadInput, Conflict, Forbidden, NotFound
from fleet.identity.claims import name_of
from fleet.rollouts.apply import Pen
from fleet.rollouts.filter_parser import parse_filter
from fleet.rollouts.gather import view_of
from fleet.rollouts.plan import REVERTED, VERBS, Settings
from fleet.rollouts.preview import preview
from fleet.rollouts.releases import get_release
from fleet.rollouts.stages import DEFAULT_STAGES, parse_stages
from fleet.rollouts.tell import Tell
from fleet.rollouts.why import sentence
from fleet.store.tables_rollouts import Release, Rollout
from ota.messages import new_id

NAME_CHARS: Final = 100
TERMINAL: Final = " (terminal)"
"""Follows the name of whoever does something with `pehra rollout`."""


@dataclass(frozen=True, slots=True)
class NewRollout:
    """What is told of a rollout when it is made.

    Attributes:
        release: id, or `name@version`.
        filter: which devices (docs/rollouts.md).
        needs_approval: a second person has to agree before it begins.
        id: of the rollout; the same again makes no second one. Empty for a new one each time.
    """

    name: str
    release: str
    filter: str
    stages: str = DEFAULT_STAGES
    settings: Settings = Settings()  # noqa: RUF009  # frozen
    needs_approval: bool = True
    id: str = ""


def create(session: Session, new: NewRollout, by: Caller | str, now_ms: int) -> Rollout:
    """Make a rollout.

    Raises:
        BadInput: name, filter, stages or settings make no sense, or no device would get it.
        NotFound: there is no such release.
        Conflict: the release was withdrawn, or the id is another rollout's.
    """
    if new.id and (known := session.get(Rollout, new.id)) is not None:
        return _checked_same(session, known, new)
    check_name(new.name)
    parse_filter(new.filter)
    parse_stages(new.stages)
    new.settings.check()
    release = get_release(session, new.release)
    if release.state != "ready":
        raise Conflict(f"{release.name} {release.version} was withdrawn: choose another release")
    if not new.settings.stays_open:
        _check_somebody_gets_it(session, release, new)
    rollout = Rollout(
        id=new.id or new_id(),
        name=new.name.strip(),
        release=release.id,
        kind=release.kind,
        filter=new.filter,
        stages=new.stages,
        settings=msgspec.to_builtins(new.settings),
        state="pending" if new.needs_approval else "running",
        made_ms=now_ms,
        made_by=name_of(by)[:100],
        made_by_id=_id_of(by),
        changed_by=name_of(by)[:100],
        started_ms=0 if new.needs_approval else now_ms,
    )
    rollout.why = _why(session, rollout)
    session.add(rollout)
    try:
        session.flush()
    except IntegrityError:  # the same was sent twice at once, and the other was first
        session.rollback()
        return _checked_same(session, get_rollout(session, new.id), new)
    detail: Detail = {
        "rollout": rollout.id,
        "release": f"{release.name} {release.version}",
        "filter": new.filter,
        "stages": new.stages,
        "needs_approval": new.needs_approval,
    }
    record(session, by, "rollout.create", rollout.name, detail, at_ms=now_ms)
    session.commit()
    session.refresh(rollout)
    return rollout


def check_name(name: str) -> None:
    """Check what people are to call a rollout.

    Raises:
        BadInput: it is empty, too long, or cannot be shown.
    """
    if not name.strip() or len(name) > NAME_CHARS or not name.isprintable():
        raise BadInput(f"rollout: give it a name of 1 to {NAME_CHARS} letters")


def approve(session: Session, rollout_id: str, by: Caller | str, now_ms: int) -> Rollout:
    """Let a rollout begin.

    Raises:
        NotFound: there is none.
        Forbidden: whoever made it cannot approve it.
        Conflict: it has ended.
    """
    with _alone(session, rollout_id) as rollout:
        if rollout.state in ("aborted", "reverted"):
            raise Conflict(f"{rollout.name} has ended ({rollout.state}): make another")
        if rollout.state != "pending":
            return rollout
        if is_maker(rollout, by):
            raise Forbidden(
                f"{name_of(by)} has made this rollout: a second person has to approve it, logged in as "
                "themselves"
            )
        rollout.approved_by, rollout.started_ms = name_of(by)[:100], now_ms
        return _keep(session, rollout, "running", "approve", by, now_ms)


def is_maker(rollout: Rollout, by: Caller | str) -> bool:
    """Whether somebody has made a rollout; who did so at the fleet's terminal is the user of that name."""
    if rollout.made_by_id and _id_of(by):
        return rollout.made_by_id == _id_of(by)
    return rollout.made_by.removesuffix(TERMINAL) == name_of(by).removesuffix(TERMINAL)


def pause(session: Session, rollout_id: str, by: Caller | str, now_ms: int) -> Rollout:
    """Tell no further device; those that were told go on.

    Raises:
        NotFound: there is none.
        Conflict: it does not run.
    """
    with _alone(session, rollout_id) as rollout:
        if rollout.state == "paused":
            return rollout
        _need(rollout, "pause", "paused")
        return _keep(session, rollout, "paused", "pause", by, now_ms)


def resume(session: Session, rollout_id: str, by: Caller | str, now_ms: int, tell: Tell) -> Rollout:
    """Go on; after a stop by itself earlier answers count no more, and whom it was taken from is told anew.

    Raises:
        NotFound: there is none.
        Conflict: it neither is paused nor has stopped.
    """
    with _alone(session, rollout_id) as rollout:
        if rollout.state == "running":
            return rollout
        _need(rollout, "resume", "resumed")
        if rollout.state == "stopped":
            rollout.round += 1
            rollout.quiet_run_ms = None
            _pen(session, rollout, tell, now_ms).wait_again()
        return _keep(session, rollout, "running", "resume", by, now_ms)


def abort(session: Session, rollout_id: str, by: Caller | str, now_ms: int, tell: Tell) -> Rollout:
    """End a rollout: nobody else gets it, who has not switched is told to let go, the others keep it.

    Raises:
        NotFound: there is none.
        Conflict: it has ended in another way, or goes back already.
    """
    with _alone(session, rollout_id) as rollout:
        if rollout.state == "aborted":
            return rollout
        _need(rollout, "abort", "aborted")
        pen = _pen(session, rollout, tell, now_ms)
        pen.withdraw_open("the rollout was aborted")
        pen.end_waiting("the rollout was aborted")
        rollout.ended_ms = now_ms
        return _keep(session, rollout, "aborted", "abort", by, now_ms)


def revert(session: Session, rollout_id: str, by: Caller | str, now_ms: int, tell: Tell) -> Rollout:
    """End a rollout and tell every device that got it to go back to what it ran before.

    Raises:
        NotFound: there is none.
        Conflict: it has not begun.
    """
    with _alone(session, rollout_id) as rollout:
        if rollout.state in ("reverting", "reverted"):
            return rollout
        _need(rollout, "revert", "reverted")
        _pen(session, rollout, tell, now_ms).end_waiting(REVERTED)
        rollout.ended_ms = None
        return _keep(session, rollout, "reverting", "revert", by, now_ms)


def get_rollout(session: Session, rollout_id: str) -> Rollout:
    """Return a rollout.

    Raises:
        NotFound: there is none.
    """
    found = session.get(Rollout, rollout_id)
    if found is None:
        raise NotFound(f"there is no rollout {rollout_id[:60]!r}: `pehra rollout list` shows those that are")
    return found


def list_rollouts(session: Session) -> list[Rollout]:
    """Return all rollouts, newest first."""
    return list(session.exec(select(Rollout).order_by(col(Rollout.made_ms).desc(), col(Rollout.id).desc())))


Action = Callable[[Session, str, "Caller | str", int, Tell], Rollout]


def _without_tell(action: Callable[[Session, str, Caller | str, int], Rollout]) -> Action:
    return lambda session, rollout_id, by, now_ms, _tell: action(session, rollout_id, by, now_ms)


ACTIONS: Final[dict[str, Action]] = {
    "pause": _without_tell(pause),
    "resume": resume,
    "abort": abort,
    "revert": revert,
}
"""What whoever manages rollouts may do with one; approval is another's."""


@contextmanager
def _alone(session: Session, rollout_id: str) -> Iterator[Rollout]:
    """Give a rollout that nobody else changes meanwhile; what was not committed is taken back at the end.

    Raises:
        NotFound: there is none.
    """
    session.rollback()
    if session.connection().dialect.name == "sqlite":
        session.connection().exec_driver_sql("BEGIN IMMEDIATE")
    try:
        session.get(Rollout, rollout_id, with_for_update=True, populate_existing=True)
        rollout = get_rollout(session, rollout_id)
        yield rollout
    finally:
        session.rollback()
    session.refresh(rollout)


def _pen(session: Session, rollout: Rollout, tell: Tell, now_ms: int) -> Pen:
    return Pen(session, rollout, session.get_one(Release, rollout.release), tell, now_ms)


def _need(rollout: Rollout, verb: str, done: str) -> None:
    states = VERBS[verb]
    if rollout.state not in states:
        raise Conflict(f"{rollout.name} is {rollout.state}: only what is {' or '.join(states)} can be {done}")


def _keep(
    session: Session, rollout: Rollout, state: str, verb: str, by: Caller | str, now_ms: int
) -> Rollout:
    before, rollout.state, rollout.changed_by = rollout.state, state, name_of(by)[:100]
    session.add(rollout)
    session.flush()
    rollout.why = _why(session, rollout)
    session.add(rollout)
    session.flush()
    detail = {"rollout": rollout.id, "before": before}
    record(session, by, f"rollout.{verb}", rollout.name, detail, at_ms=now_ms)
    session.commit()
    return rollout


def _why(session: Session, rollout: Rollout) -> str:
    """Return the sentence until the engine has looked; of a rollout that begins it is its first stage's."""
    if rollout.state == "running" and not rollout.seen_ms:
        return "It begins: the engine is choosing the devices of the first stage."
    return sentence(view_of(session, rollout, rollout.run_ms))


def _checked_same(session: Session, known: Rollout, new: NewRollout) -> Rollout:
    """Return the rollout that was made of this before.

    Raises:
        Conflict: it was made of something else.
    """
    release = get_release(session, new.release).id
    asked = (new.name.strip(), release, new.filter, new.stages, msgspec.to_builtins(new.settings))
    if asked != (known.name, known.release, known.filter, known.stages, known.settings):
        raise Conflict(f"this form has made the rollout {known.name} already: begin a new one")
    return known


def _check_somebody_gets_it(session: Session, release: Release, new: NewRollout) -> None:
    seen = preview(session, release, new.filter, new.stages)
    if not seen.devices:
        others = f" ({seen.have_it} run it already, {seen.other_boards} have another board)"
        known = others if seen.have_it or seen.other_boards else ""
        raise BadInput(
            f"no device would get this{known}: change the filter, or let it stay open for devices that join"
        )


def _id_of(by: Caller | str) -> str:
    return by.user_id if isinstance(by, Caller) else ""
