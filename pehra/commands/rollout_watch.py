"""How a rollout looks on a terminal: its stages, its failures, one sentence; live with `--watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Group
    from sqlmodel import Session

    from fleet.rollouts.show import RolloutShown

LOOK_S: Final = 1.0
BROKEN_OFF: Final = ("aborted", "reverting", "reverted")
"""States in which no stage runs, and none will."""


def watch_rollout(session: Session, rollout: str, *, look_s: float = LOOK_S) -> None:
    """Show a rollout again and again until it ends, waits for somebody's word, or Ctrl-C."""
    from rich.live import Live

    from fleet.rollouts.acting import get_rollout
    from fleet.rollouts.gather import settings_in
    from fleet.rollouts.plan import ENDED
    from fleet.rollouts.show import show

    seen = show(session, get_rollout(session, rollout))
    last = ENDED if settings_in(seen.rollout).revert_on_stop else (*ENDED, "stopped")
    try:
        with Live(render(seen), auto_refresh=False) as live:
            while seen.rollout.state not in last:
                session.rollback()  # what others have written is seen in a new transaction only
                session.expire_all()
                seen = show(session, get_rollout(session, rollout))
                live.update(render(seen), refresh=True)
                time.sleep(look_s)
    except KeyboardInterrupt:
        return


def render(seen: RolloutShown) -> Group:
    """Return what is printed."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    rollout, release = seen.rollout, seen.release
    head = Text(f"{rollout.name}: {release.kind} {release.name} {release.version} to {rollout.filter}")
    stages = Table(box=None)
    for name in ("stage", "reaches", "told", "succeeded", "failed", ""):
        stages.add_column(name, justify="left" if name in ("stage", "") else "right")
    for one in seen.stages:
        numbers = (one.size, one.told, one.succeeded, one.failed)
        stages.add_row(one.text, *map(str, numbers), "" if rollout.state in BROKEN_OFF else one.state)
    told = ", ".join(f"{state} {number}" for state, number in sorted(seen.counts.items())) or "nobody yet"
    errors = [Text(f"{one.devices} failed: {one.reason} ({', '.join(one.examples)})") for one in seen.errors]
    why = Text(
        rollout.why if rollout.why.lower().startswith(rollout.state) else f"{rollout.state}: {rollout.why}"
    )
    return Group(head, Text(f"id {rollout.id}, made by {rollout.made_by}"), stages, Text(told), *errors, why)


def as_json_of(seen: RolloutShown) -> dict[str, Any]:
    """Return what `--json` prints: the same names as the API's."""
    rollout = seen.rollout
    same = ("id", "name", "release", "kind", "filter", "stages", "state", "stage", "why", "made_by")
    return {name: getattr(rollout, name) for name in same} | {
        "members": seen.members,
        "counts": seen.counts,
        "by_stage": [
            {"text": one.text, "size": one.size, "told": one.told, "succeeded": one.succeeded}
            | {"failed": one.failed, "state": one.state}
            for one in seen.stages
        ],
        "errors": [
            {"reason": one.reason, "devices": one.devices, "examples": list(one.examples)}
            for one in seen.errors
        ],
    }
