"""What a device's document says: the configuration that is wanted, and the releases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlmodel import Session, col, select

from fleet.rollouts.tell import OS, target_of
from fleet.store import tables
from fleet.store.tables_rollouts import Release, WantedRelease
from ota.messages import Desired, Target, format_ts, new_id

VALID_S: Final = 30 * 86_400.0


def documents_of(session: Session, rows: Sequence[tables.Desired], now_s: float) -> list[Desired]:
    """Return what devices are told, in the order of their rows."""
    targets = _targets(session, [row.device for row in rows])
    return [document_of(row, targets[row.device], now_s) for row in rows]


def document_of(row: tables.Desired, targets: list[Target], now_s: float) -> Desired:
    """Return the document of one device."""
    return Desired(
        id=new_id(),
        ts=format_ts(now_s),
        device=row.device,
        action=row.action,
        seq=row.seq,
        expires=format_ts(now_s + VALID_S),
        targets=targets,
        config=row.sha256,
        overlay=row.overlay.split("\n") if row.sha256 else [],
    )


def _targets(session: Session, devices: list[str]) -> defaultdict[str, list[Target]]:
    query = (
        select(WantedRelease, Release)
        .join(Release, col(Release.id) == col(WantedRelease.release))
        .where(col(WantedRelease.device).in_(devices), col(WantedRelease.kind) != OS)
        .order_by(col(WantedRelease.device), col(WantedRelease.kind))
    )
    found: defaultdict[str, list[Target]] = defaultdict(list)
    for wanted, release in session.exec(query):
        found[wanted.device].append(target_of(release, action=wanted.action, window=wanted.window))
    return found
