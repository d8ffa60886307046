"""Reads what `decide` has to know of one rollout: counts, what is due, candidates for the room there is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, and_, case, exists, false, func, or_, select, true
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from fleet.rollouts.decide import advance, room
from fleet.rollouts.facts import read_running
from fleet.rollouts.plan import (
    ANSWERED,
    LIVE,
    OPEN,
    UNFINISHED,
    Blocked,
    Course,
    Due,
    GoingBack,
    Settings,
    Standing,
    View,
)
from fleet.rollouts.stages import parse_stages
from fleet.rollouts.stop_rule import Answers
from fleet.rollouts.windows import Window, parse_window
from fleet.store.tables import Device
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice, WantedRelease

DUE_MAX: Final = 5000
BACK_MAX: Final = 2000
"""Devices that are looked at in one transaction."""
REVERTIBLE: Final = (*OPEN, "succeeded", "failed", "withdrawn")


@dataclass(frozen=True, slots=True)
class _Moment:
    """A rollout at one look."""

    session: Session
    rollout: Rollout
    release: Release
    now_ms: int
    window: Window | None

    @property
    def ours(self) -> ColumnElement[bool]:
        return col(RolloutDevice.rollout) == self.rollout.id


def gather(
    session: Session, rollout: Rollout, release: Release, now_ms: int, *, hears_devices: bool = True
) -> View:
    """Return all that is known of a rollout now."""
    run_ms = advance(rollout.run_ms, rollout.seen_ms, now_ms, hears_devices=hears_devices)
    view = view_of(session, rollout, run_ms)
    moment = _Moment(session, rollout, release, now_ms, parse_window(view.settings.window))
    if rollout.state not in LIVE:
        return view
    view = replace(view, due=_due(moment, run_ms))
    if rollout.state == "reverting":
        return replace(view, going_back=_going_back(moment), left_to_revert=_count_back(moment))
    return _with_candidates(moment, view)


def view_of(session: Session, rollout: Rollout, run_ms: int) -> View:
    """Return how a rollout stands, without its devices: who is due, who could be told, who goes back.

    Args:
        session: to read with.
        rollout: the row.
        run_ms: its clock.
    """
    return View(
        stages=parse_stages(rollout.stages),
        settings=settings_in(rollout),
        course=Course(rollout.state, rollout.stage, run_ms, rollout.stage_run_ms, rollout.quiet_run_ms),
        standing=standing_of(session, rollout),
        changed_by=rollout.changed_by,
        why=rollout.why,
    )


def settings_in(rollout: Rollout) -> Settings:
    """Return the settings that a row holds."""
    return msgspec.convert(rollout.settings, Settings)


def standing_of(session: Session, rollout: Rollout) -> Standing:
    """Return how many devices of a rollout stand where."""
    table = RolloutDevice
    query = (
        select(col(table.stage), col(table.state), col(table.round), func.count())
        .where(col(table.rollout) == rollout.id)
        .group_by(col(table.stage), col(table.state), col(table.round))
    )
    counts = [(stage, state, round_, int(n)) for stage, state, round_, n in session.execute(query)]
    by_state: defaultdict[str, int] = defaultdict(int)
    for _, state, _, n in counts:
        by_state[state] += n
    is_told = (*OPEN, *ANSWERED)
    here = [one for one in counts if one[0] == rollout.stage]
    return Standing(
        members=sum(by_state.values()) - by_state["skipped"],
        told=sum(by_state[state] for state in is_told),
        waiting=by_state["waiting"],
        open=sum(by_state[state] for state in OPEN),
        in_stage=sum(n for _, state, _, n in here if state in is_told),
        succeeded=by_state["succeeded"],
        failed=by_state["failed"],
        reverting=by_state["reverting"],
        stage=_answers(here, rollout.round),
        whole=_answers(counts, rollout.round),
    )


def _answers(counts: list[tuple[int, str, int, int]], round_now: int) -> Answers:
    found = [(state, n) for _, state, round_, n in counts if round_ == round_now and state in ANSWERED]
    return Answers(sum(n for _, n in found), sum(n for state, n in found if state == "failed"))


def _count_back(moment: _Moment) -> int:
    query = select(func.count()).where(*_is_to_go_back(moment))
    return int(moment.session.execute(query).scalar_one())


def _is_to_go_back(moment: _Moment) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a device was told and its going back is not settled yet."""
    table = RolloutDevice
    return moment.ours, col(table.state).in_(REVERTIBLE), col(table.stage) >= 0, col(table.action) != ""


def _due(moment: _Moment, run_ms: int) -> tuple[Due, ...]:
    table = RolloutDevice
    is_late = and_(
        col(table.state).in_((*OPEN, "reverting")),
        or_(
            col(table.due_run_ms) <= run_ms,
            and_(col(table.due_run_ms).is_(None), col(table.state) == "retrying"),
        ),
    )
    query = (
        select(
            col(table.device),
            col(table.state),
            col(table.tries),
            col(table.due_run_ms),
            col(table.reason),
            col(table.timezone),
            func.coalesce(col(Device.is_online), False),
        )
        .outerjoin(Device, col(Device.id) == col(table.device))
        .where(moment.ours, is_late)
        .order_by(col(table.rank))
        .limit(DUE_MAX)
    )
    return tuple(
        Due(device, state, tries, due_ms, reason, bool(is_online) and _is_open(moment, timezone))
        for device, state, tries, due_ms, reason, timezone, is_online in moment.session.execute(query)
    )


def _is_open(moment: _Moment, timezone: str) -> bool:
    return moment.window is None or moment.window.is_open(moment.now_ms, timezone)


def _with_candidates(moment: _Moment, view: View) -> View:
    limit = room(view)
    if not limit:
        return view
    open_now, blocked = _open_zones(moment)
    is_held = _held(moment)
    table = RolloutDevice
    query = (
        select(col(table.device))
        .join(Device, col(Device.id) == col(table.device))
        .where(moment.ours, col(table.state) == "waiting", col(Device.is_online), open_now)
        .order_by(col(table.rank))
        .limit(limit)
    )
    query = query if is_held is None else query.where(~is_held)
    candidates = tuple(moment.session.execute(query).scalars())
    if len(candidates) == limit:
        return replace(view, candidates=candidates)
    return replace(view, candidates=candidates, blocked=_blocked(moment, open_now, is_held, blocked))


def _open_zones(moment: _Moment) -> tuple[ColumnElement[bool], Blocked]:
    """Return the condition that a device's window is open, and when the first of the others opens."""
    window = moment.window
    if window is None:
        return true(), Blocked()
    query = select(col(RolloutDevice.timezone)).where(moment.ours, col(RolloutDevice.state) == "waiting")
    zones = list(moment.session.execute(query.distinct()).scalars())
    opens_s = {zone: window.opens_in_s(moment.now_ms, zone) for zone in zones}
    closed = [seconds for seconds in opens_s.values() if seconds]
    is_open = col(RolloutDevice.timezone).in_([zone for zone, seconds in opens_s.items() if not seconds])
    return is_open, Blocked(opens_in_s=min(closed, default=0))


def _held(moment: _Moment) -> ColumnElement[bool] | None:
    """Return the condition that another rollout holds a device; None where no other lives.

    The rule: who was started first has its devices until it is done with them. Of another kind it holds only
    those that are at it, because a device changes one thing at a time.
    """
    mine = moment.rollout
    others = select(func.count()).where(col(Rollout.state).in_(LIVE), col(Rollout.id) != mine.id)
    if not moment.session.execute(others).scalar_one():
        return None
    return exists(select(1).where(_holds(moment)).correlate(RolloutDevice))


_other = aliased(RolloutDevice)
_holder = aliased(Rollout)


def _holds(moment: _Moment) -> ColumnElement[bool]:
    mine = moment.rollout
    came_first = or_(
        col(_holder.started_ms) < mine.started_ms,
        and_(col(_holder.started_ms) == mine.started_ms, col(_holder.id) < mine.id),
    )
    has_claim = and_(col(_holder.kind) == mine.kind, came_first, col(_other.state).in_(UNFINISHED))
    return and_(
        col(_other.device) == col(RolloutDevice.device),
        col(_other.rollout) == col(_holder.id),
        col(_holder.id) != mine.id,
        col(_holder.state).in_(LIVE),
        or_(col(_other.state).in_((*OPEN, "reverting")), has_claim),
    )


def _blocked(
    moment: _Moment, open_now: ColumnElement[bool], is_held: ColumnElement[bool] | None, known: Blocked
) -> Blocked:
    is_online = col(Device.is_online).is_(True)
    is_held = false() if is_held is None else is_held
    query = (
        select(
            _sum(~is_online),
            _sum(and_(is_online, ~open_now)),
            _sum(and_(is_online, open_now, is_held)),
        )
        .select_from(RolloutDevice)
        .join(Device, col(Device.id) == col(RolloutDevice.device))
        .where(moment.ours, col(RolloutDevice.state) == "waiting")
    )
    offline, closed, held = (int(number or 0) for number in moment.session.execute(query).one())
    return Blocked(
        offline=offline,
        closed=closed,
        held=held,
        holder=_holder_name(moment) if held else "",
        opens_in_s=known.opens_in_s,
    )


def _sum(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _holder_name(moment: _Moment) -> str:
    query = (
        select(col(_holder.name))
        .select_from(RolloutDevice)
        .join(_other, col(_other.device) == col(RolloutDevice.device))
        .join(_holder, col(_other.rollout) == col(_holder.id))
        .where(moment.ours, col(RolloutDevice.state) == "waiting", _holds(moment))
        .limit(1)
    )
    return moment.session.execute(query).scalar() or ""


def _going_back(moment: _Moment) -> tuple[GoingBack, ...]:
    table = RolloutDevice
    query = (
        select(
            *(col(table.device), col(table.state), col(table.before), col(table.reason)),
            col(WantedRelease.rollout),
        )
        .outerjoin(
            WantedRelease,
            and_(
                col(WantedRelease.device) == col(table.device), col(WantedRelease.kind) == moment.release.kind
            ),
        )
        .where(*_is_to_go_back(moment))
        .order_by(col(table.rank))
        .limit(BACK_MAX)
    )
    rows = moment.session.execute(query).all()
    running = read_running(moment.session, moment.release.kind, [row.device for row in rows])
    releases = releases_by_mark(moment.session, moment.release.kind, {row.before for row in rows})
    return tuple(
        GoingBack(
            device=row.device,
            is_taken=row.rollout not in (None, moment.rollout.id),
            runs_before=bool(row.before) and running.get(row.device) == row.before,
            release=releases.get(row.before),
            failed=row.reason,
            is_at_it=row.state in (*OPEN, "withdrawn"),
        )
        for row in rows
    )


def releases_by_mark(session: Session, kind: str, marks: set[str]) -> dict[str, str]:
    """Return the ids of the releases that devices report by these digests or versions."""
    query = select(col(Release.mark), col(Release.id)).where(
        col(Release.kind) == kind, col(Release.mark).in_(sorted(marks - {""}))
    )
    return {row.mark: row.id for row in session.execute(query.order_by(col(Release.made_ms)))}
