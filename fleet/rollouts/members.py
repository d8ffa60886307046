"""Who belongs to a rollout: devices join when they begin to match its filter, and leave only while they wait.

Whoever was told stays until it has answered, whatever becomes of its tags, its site or its version meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from sqlalchemy import Table, select, update
from sqlmodel import Session, col

from fleet.rollouts.filter import Facts, Test
from fleet.rollouts.tell import OS, chunks
from fleet.store.tables_rollouts import Release, RolloutDevice

JOIN_MAX: Final = 10_000
"""Devices that join in one transaction: it must not keep ingest waiting."""
ANY_BOARD: Final = "any"
LEFT: Final = "no longer matches the filter"
HAS_IT: Final = "runs it already"
_COMES_BACK: Final = (LEFT, HAS_IT)
_TABLE = cast(Table, RolloutDevice.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look at all devices changes.

    Attributes:
        join: facts of devices that are new.
        back: devices that had left and match again.
        leave: devices that wait and do not match any more.
        had: devices that wait and run the release by other ways.
    """

    join: tuple[Facts, ...] = ()
    back: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    had: tuple[str, ...] = ()


def fits(release: Release, facts: Facts) -> bool:
    """Whether a release is for a device's board."""
    return not release.hw or ANY_BOARD in release.hw or facts.board in release.hw


def runs(release: Release, facts: Facts) -> bool:
    """Whether a device runs a release, by its own words."""
    running = {"model": facts.model_sha256, "firmware": facts.firmware, OS: facts.system}.get(
        release.kind, ""
    )
    return bool(running) and running == release.mark


def compare(
    release: Release, test: Test, facts: Iterable[Facts], known: dict[str, tuple[str, str]]
) -> Changes:
    """Return who joins and who leaves.

    Args:
        release: that is rolled out.
        test: the filter.
        facts: of all devices that may be told something.
        known: state and reason of the devices that belong to the rollout or once did.
    """
    join: list[Facts] = []
    back: list[str] = []
    had: list[str] = []
    left = {device for device, (state, _) in known.items() if state == "waiting"}
    for one in facts:
        state, reason = known.get(one.device, ("", ""))
        is_open = state in ("", "waiting") or (state == "skipped" and reason in _COMES_BACK)
        if not is_open or not fits(release, one) or not test(one):
            continue
        left.discard(one.device)
        has_it = runs(release, one)
        if state == "waiting" and has_it:
            had.append(one.device)
        elif state == "" and not has_it:
            join.append(one)
        elif state == "skipped" and not has_it:
            back.append(one.device)
    return Changes(tuple(join), tuple(back), tuple(sorted(left)), tuple(had))


def renew(
    session: Session, rollout: str, release: Release, test: Test, facts: Iterable[Facts], now_ms: int
) -> bool:
    """Bring a rollout's devices up to date; return whether more wait to join than fit into a transaction."""
    query = select(col(RolloutDevice.device), col(RolloutDevice.state), col(RolloutDevice.reason))
    rows = session.execute(query.where(col(RolloutDevice.rollout) == rollout))
    changes = compare(release, test, facts, {device: (state, reason) for device, state, reason in rows})
    _move(session, rollout, changes.leave, "waiting", ("skipped", LEFT), now_ms)
    _move(session, rollout, changes.had, "waiting", ("skipped", HAS_IT), now_ms)
    _move(session, rollout, changes.back, "skipped", ("waiting", ""), now_ms)
    new = [_row(rollout, one, now_ms) for one in changes.join[:JOIN_MAX]]
    if new:
        session.connection().execute(_TABLE.insert(), new)
    return len(changes.join) > JOIN_MAX


def rank_of(rollout: str, device: str) -> int:
    """Return a device's place in the line: another order in each rollout, the same after a restart."""
    digest = hashlib.blake2b(f"{rollout}/{device}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _row(rollout: str, one: Facts, now_ms: int) -> dict[str, object]:
    return {
        "rollout": rollout,
        "device": one.device,
        "state": "waiting",
        "reason": "",
        "stage": -1,
        "round": 0,
        "rank": rank_of(rollout, one.device),
        "timezone": one.timezone[:60],
        "before": "",
        "action": "",
        "tries": 0,
        "due_run_ms": None,
        "changed_ms": now_ms,
    }


def _move(
    session: Session, rollout: str, devices: Iterable[str], before: str, after: tuple[str, str], now_ms: int
) -> None:
    state, reason = after
    for some in chunks(devices):
        session.connection().execute(
            update(_TABLE)
            .where(_TABLE.c.rollout == rollout, _TABLE.c.device.in_(some), _TABLE.c.state == before)
            .values(state=state, reason=reason, changed_ms=now_ms)
        )
