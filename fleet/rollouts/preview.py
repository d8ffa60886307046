"""Who would get a release, before anybody does: how many, by board and by what runs now. Writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlmodel import Session, col, select

from fleet.rollouts.facts import read_facts
from fleet.rollouts.filter import Facts, compiled, fields_of
from fleet.rollouts.filter_parser import parse_filter
from fleet.rollouts.members import fits, runs
from fleet.rollouts.plan import LIVE, UNFINISHED
from fleet.rollouts.stages import parse_stages
from fleet.rollouts.tell import OS
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice

SAMPLE: Final = 20


@dataclass(frozen=True, slots=True)
class Preview:
    """Who would get it.

    Attributes:
        devices: how many would.
        online: how many of them are there now.
        by_board: board -> how many.
        by_version: what runs now -> how many.
        by_stage: how many have been told when each stage is full.
        sample: ids of some of them.
        have_it: how many match and run it already.
        other_boards: how many match and have a board that it is not for.
        held: how many are in the hands of a rollout that lives.
        holders: names of those rollouts.
    """

    devices: int
    online: int
    by_board: dict[str, int]
    by_version: dict[str, int]
    by_stage: tuple[int, ...]
    sample: tuple[str, ...]
    have_it: int
    other_boards: int
    held: int
    holders: tuple[str, ...]


def preview(session: Session, release: Release, filter_text: str, stages_text: str) -> Preview:
    """Return who would get a release now.

    Raises:
        BadFilter: the filter cannot be read.
        BadInput: the stages cannot.
    """
    wanted = parse_filter(filter_text)
    stages = parse_stages(stages_text)
    test = compiled(wanted)
    matching = [one for one in read_facts(session, with_tags="tag" in fields_of(wanted)) if test(one)]
    fitting = [one for one in matching if fits(release, one)]
    getting = [one for one in fitting if not runs(release, one)]
    held, holders = _held(session, release.kind, {one.device for one in getting})
    return Preview(
        devices=len(getting),
        online=sum(one.is_online for one in getting),
        by_board=_counted(one.board or "unknown" for one in getting),
        by_version=_counted(_version(one, release.kind) for one in getting),
        by_stage=tuple(stage.size(len(getting)) for stage in stages),
        sample=tuple(sorted(one.device for one in getting)[:SAMPLE]),
        have_it=len(fitting) - len(getting),
        other_boards=len(matching) - len(fitting),
        held=held,
        holders=holders,
    )


def _version(one: Facts, kind: str) -> str:
    if kind == "model":
        return f"{one.model} {one.model_version}".strip() or "unknown"
    if kind == OS:
        return one.system[:16] or "unknown"
    return one.firmware or "unknown"


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _held(session: Session, kind: str, devices: set[str]) -> tuple[int, tuple[str, ...]]:
    query = (
        select(RolloutDevice.device, Rollout.name)
        .join(Rollout, col(Rollout.id) == col(RolloutDevice.rollout))
        .where(col(Rollout.state).in_(LIVE), Rollout.kind == kind, col(RolloutDevice.state).in_(UNFINISHED))
    )
    held = [(device, name) for device, name in session.exec(query) if device in devices]
    return len({device for device, _ in held}), tuple(sorted({name for _, name in held}))
