"""What is known of one device's operating system, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlmodel import Session, col, select

from fleet.store.tables_os import OsAction, OsDevice, OsToken
from fleet.store.tables_rollouts import Release

SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class SystemShown:
    """One device.

    Attributes:
        attributes: what its engine said of itself.
        said_ms: when; None for never.
        token_ms: when its token was made; None where it has none.
        actions: what it was told, newest first, and the release of each.
    """

    attributes: dict[str, str]
    said_ms: int | None
    token_ms: int | None
    actions: list[tuple[OsAction, Release]]


def show_system(session: Session, device: str) -> SystemShown:
    """Return what is known of a device's operating system."""
    said, token = session.get(OsDevice, device), session.get(OsToken, device)
    query = (
        select(OsAction, Release)
        .join(Release, col(Release.id) == col(OsAction.release))
        .where(OsAction.device == device)
        .order_by(col(OsAction.id).desc())
        .limit(SHOWN)
    )
    return SystemShown(
        attributes=dict(said.attributes) if said is not None else {},
        said_ms=said.said_ms if said is not None else None,
        token_ms=token.made_ms if token is not None else None,
        actions=[(action, release) for action, release in session.exec(query)],
    )
