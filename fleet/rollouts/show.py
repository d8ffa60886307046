"""How a rollout stands, for people: stages with their numbers, failures with examples, a device's history."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlmodel import Session, col

from fleet.queries.paging import Page, pack_cursor, unpack_cursor
from fleet.queries.sites import EVERYWHERE, Sites, of_devices_at
from fleet.rollouts.apply import count_states
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
    """

    text: str
    size: int
    told: int
    succeeded: int
    failed: int
    state: str


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
    counts = count_states(session, rollout.id)
    members = sum(counts.values()) - counts.get("skipped", 0)
    return RolloutShown(
        rollout,
        session.get_one(Release, rollout.release),
        counts,
        members,
        _stages(session, rollout, members),
        _errors(session, rollout.id),
    )


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


def _stages(session: Session, rollout: Rollout, members: int) -> tuple[StageShown, ...]:
    query = (
        select(col(RolloutDevice.stage), col(RolloutDevice.state), func.count())
        .where(col(RolloutDevice.rollout) == rollout.id, col(RolloutDevice.stage) >= 0)
        .group_by(col(RolloutDevice.stage), col(RolloutDevice.state))
    )
    found: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for stage, state, number in session.execute(query):
        found[stage][state] = int(number)
    return tuple(
        StageShown(
            str(stage),
            stage.size(members),
            sum(found[number].values()) - found[number].get("skipped", 0),
            found[number].get("succeeded", 0),
            found[number].get("failed", 0),
            _stage_state(rollout, number),
        )
        for number, stage in enumerate(parse_stages(rollout.stages))
    )


def _stage_state(rollout: Rollout, number: int) -> str:
    if number < rollout.stage or rollout.state == "done":
        return "done"
    if number > rollout.stage or rollout.state == "pending":
        return "ahead"
    return "rests" if rollout.quiet_run_ms is not None else "runs"


def _errors(session: Session, rollout: str) -> tuple[ErrorShown, ...]:
    has_failed = (col(RolloutDevice.rollout) == rollout, col(RolloutDevice.state) == "failed")
    number = func.count()
    query = select(col(RolloutDevice.reason), number).where(*has_failed)
    reasons = session.execute(
        query.group_by(col(RolloutDevice.reason))
        .order_by(number.desc(), col(RolloutDevice.reason))
        .limit(ERRORS)
    ).all()
    return tuple(
        ErrorShown(
            reason, int(devices), _examples(session, (*has_failed, col(RolloutDevice.reason) == reason))
        )
        for reason, devices in reasons
    )


def _examples(session: Session, where: tuple[ColumnElement[bool], ...]) -> tuple[str, ...]:
    query = (
        select(col(RolloutDevice.device)).where(*where).order_by(col(RolloutDevice.device)).limit(EXAMPLES)
    )
    return tuple(session.execute(query).scalars())
