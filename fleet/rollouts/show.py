"""How a rollout stands, for people: stages with their numbers, failures with examples, a device's history."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlmodel import Session, col
from sqlmodel import select as select_rows

from fleet.queries.paging import Page, pack_cursor, page_of, unpack_cursor
from fleet.queries.sites import EVERYWHERE, Sites, of_devices_at
from fleet.rollouts.plan import RUNS_BEFORE
from fleet.rollouts.stages import parse_stages
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice

ERRORS: Final = 10
EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class StageShown:
    """A stage with its numbers.

    Attributes:
        text: as written: `1`, `10 %`.
        size: how many devices have been told when it is full.
        told: in this stage.
        state: `ahead`, `runs`, `rests` or `done`.
        counts: state of a device that was told in this stage -> how many.
        own: how many devices this stage is to tell itself, by what is known now.
    """

    text: str
    size: int
    told: int
    succeeded: int
    failed: int
    state: str
    counts: dict[str, int] = field(default_factory=dict)
    own: int = 0


@dataclass(frozen=True, slots=True)
class ErrorShown:
    """A reason for which devices failed, with examples."""

    reason: str
    devices: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RolloutShown:
    """A rollout and all its numbers.

    Attributes:
        counts: state of a device -> how many.
        members: how many devices belong to it.
    """

    rollout: Rollout
    release: Release
    counts: dict[str, int]
    members: int
    stages: tuple[StageShown, ...]
    errors: tuple[ErrorShown, ...]


def show(session: Session, rollout: Rollout) -> RolloutShown:
    """Return how a rollout stands."""
    by_stage = _count_by_stage(session, rollout.id)
    counts = sum(by_stage.values(), Counter[str]())
    members = counts.total() - counts["skipped"]
    return RolloutShown(
        rollout,
        session.get_one(Release, rollout.release),
        dict(counts),
        members,
        _stages(rollout, members, by_stage),
        _errors(session, rollout.id) if counts["failed"] or counts["reverted"] else (),
    )


def page_rollouts(
    session: Session, *, limit: int, cursor: str | None = None, states: tuple[str, ...] = ()
) -> Page[Rollout]:
    """Return one page of rollouts, newest first.

    Args:
        session: to read with.
        limit: rows of a page.
        cursor: of the page before; None for the first.
        states: only in these; empty for all.

    Raises:
        BadQuery: the cursor is not ours.
    """
    query = select_rows(Rollout)
    if states:
        query = query.where(col(Rollout.state).in_(states))
    order = ((col(Rollout.made_ms), int), (col(Rollout.id), str))
    return page_of(session, query, order, lambda row: (row.made_ms, row.id), limit=limit, cursor=cursor)


def count_devices(session: Session, rollouts: Iterable[str]) -> dict[str, Counter[str]]:
    """Return, by rollout, how many of its devices are in each state."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    query = (
        select(col(RolloutDevice.rollout), col(RolloutDevice.state), func.count())
        .where(col(RolloutDevice.rollout).in_(list(rollouts)))
        .group_by(col(RolloutDevice.rollout), col(RolloutDevice.state))
    )
    for rollout, state, number in session.execute(query):
        found[rollout][state] = int(number)
    return found


def list_members(
    session: Session,
    rollout: str,
    *,
    state: str,
    limit: int,
    cursor: str | None,
    within: Sites = EVERYWHERE,
) -> Page[RolloutDevice]:
    """Return one page of a rollout's devices, by id.

    Raises:
        BadQuery: the cursor is not ours.
    """
    where: list[ColumnElement[bool]] = [col(RolloutDevice.rollout) == rollout]
    where += of_devices_at(RolloutDevice.device, within)
    if state:
        where.append(col(RolloutDevice.state) == state)
    if cursor:
        where.append(col(RolloutDevice.device) > unpack_cursor(cursor, (str,))[0])
    query = select(RolloutDevice).where(*where).order_by(col(RolloutDevice.device)).limit(limit + 1)
    found = list(session.execute(query).scalars())
    has_more = len(found) > limit
    return Page(found[:limit], pack_cursor(found[limit - 1].device) if has_more else None)


def history_of(session: Session, device: str) -> list[tuple[RolloutDevice, Rollout, Release]]:
    """Return how a device stood in each rollout that it belonged to, newest first."""
    query = (
        select(RolloutDevice, Rollout, Release)
        .join(Rollout, col(Rollout.id) == col(RolloutDevice.rollout))
        .join(Release, col(Release.id) == col(Rollout.release))
        .where(col(RolloutDevice.device) == device)
        .order_by(col(Rollout.made_ms).desc(), col(Rollout.id).desc())
    )
    return [(row, rollout, release) for row, rollout, release in session.execute(query)]


def _count_by_stage(session: Session, rollout: str) -> dict[int, Counter[str]]:
    query = (
        select(col(RolloutDevice.stage), col(RolloutDevice.state), func.count())
        .where(col(RolloutDevice.rollout) == rollout)
        .group_by(col(RolloutDevice.stage), col(RolloutDevice.state))
    )
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for stage, state, number in session.execute(query):
        found[stage][state] = int(number)
    return found


def _stages(rollout: Rollout, members: int, by_stage: dict[int, Counter[str]]) -> tuple[StageShown, ...]:
    shown: list[StageShown] = []
    told_before = 0
    for number, stage in enumerate(parse_stages(rollout.stages)):
        counts = by_stage.get(number, Counter())
        told, size = counts.total() - counts["skipped"], stage.size(members)
        has_begun = number <= rollout.stage and rollout.state != "pending"
        shown.append(
            StageShown(
                str(stage),
                size,
                told,
                counts["succeeded"],
                counts["failed"],
                _stage_state(rollout, number),
                dict(counts),
                max(told, size - told_before),
            )
        )
        told_before = told_before + told if has_begun else max(told_before, size)
    return tuple(shown)


def _stage_state(rollout: Rollout, number: int) -> str:
    if number < rollout.stage or rollout.state == "done":
        return "done"
    if number > rollout.stage or rollout.state == "pending":
        return "ahead"
    return "rests" if rollout.quiet_run_ms is not None else "runs"


def _errors(session: Session, rollout: str) -> tuple[ErrorShown, ...]:
    reason, state = col(RolloutDevice.reason), col(RolloutDevice.state)
    # Who failed and had gone back by itself is reverted with all others; why it failed is asked for still.
    has_gone_back = (state == "reverted") & reason.endswith(f"; {RUNS_BEFORE}", autoescape=True)
    has_failed = (col(RolloutDevice.rollout) == rollout, (state == "failed") | has_gone_back)
    number = func.count()
    query = select(reason, number).where(*has_failed).group_by(reason)
    found = session.execute(query.order_by(number.desc(), reason).limit(ERRORS)).all()
    return tuple(
        ErrorShown(told, int(devices), _examples(session, (*has_failed, reason == told)))
        for told, devices in found
    )


def _examples(session: Session, where: tuple[ColumnElement[bool], ...]) -> tuple[str, ...]:
    query = (
        select(col(RolloutDevice.device)).where(*where).order_by(col(RolloutDevice.device)).limit(EXAMPLES)
    )
    return tuple(session.execute(query).scalars())
