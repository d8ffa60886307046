"""How the engine tells devices what to run: it writes down what is wanted, and the director tells it.

`Tell` is what the engine needs; `WantedTable` keeps it in the table that the director reads, within the
engine's own transaction, so that what a rollout believes to have told and what is wanted never differ.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol, cast

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from fleet.director.marks import mark
from fleet.store.tables_rollouts import Release, WantedRelease
from ota.messages.desired import Target

OS: Final = "os"
"""A kind of release whose devices come and ask (`fleet/hawkbit/`): no document says anything of it."""
CHUNK: Final = 500
"""Devices of one statement: SQLite allows 32766 variables, and a short list is planned faster."""
_WANTED = cast(Table, WantedRelease.__table__)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Order:
    """What one device is to run.

    Attributes:
        release: id of a release.
        action: id of what it is told; its updater's words carry it.
        window: maintenance window in the site's timezone; empty for any time.
    """

    device: str
    kind: str
    release: str
    rollout: str
    action: str
    window: str
    since_ms: int


class Tell(Protocol):
    """Tells devices what is wanted of them; both functions belong to the caller's transaction."""

    def want(self, session: Session, orders: Sequence[Order]) -> None:
        """Want something of devices; it takes the place of what was wanted of that kind."""

    def withdraw(self, session: Session, kind: str, rollout: str, devices: Iterable[str]) -> None:
        """Want nothing of that kind any more, where it was this rollout that wanted it."""


class WantedTable:
    """Writes the table `wanted_release`, and lets the documents of those devices rise."""

    def want(self, session: Session, orders: Sequence[Order]) -> None:
        """Keep what is wanted."""
        if not orders:
            return
        connection = session.connection()
        insert = _insert(connection)
        names = [column.name for column in _WANTED.columns]
        changed = {name: insert.excluded[name] for name in names if name not in ("device", "kind")}
        statement = insert.on_conflict_do_update(index_elements=["device", "kind"], set_=changed)
        connection.execute(statement, [{name: getattr(order, name) for name in names} for order in orders])
        mark(connection, [order.device for order in orders if order.kind != OS], time.time())

    def withdraw(self, session: Session, kind: str, rollout: str, devices: Iterable[str]) -> None:
        """Forget what was wanted."""
        connection = session.connection()
        for some in chunks(devices):
            statement = delete(_WANTED).where(
                _WANTED.c.kind == kind, _WANTED.c.rollout == rollout, _WANTED.c.device.in_(some)
            )
            gone = connection.execute(statement.returning(_WANTED.c.device)).scalars().all()
            mark(connection, gone if kind != OS else (), time.time())


def read_wanted(session: Session, device: str) -> list[tuple[WantedRelease, Release]]:
    """Return what a device is to run, by kind."""
    query = (
        select(WantedRelease, Release)
        .join(Release, col(Release.id) == col(WantedRelease.release))
        .where(col(WantedRelease.device) == device)
        .order_by(col(WantedRelease.kind))
    )
    return [(wanted, release) for wanted, release in session.execute(query)]


def target_of(release: Release, *, action: str | None = None, window: str = "") -> Target:
    """Return a release as a device's document names it.

    What the image repository says of it is said word for word, or the device refuses it. A release that was
    told to us by hand is described as well as we know it.

    Args:
        release: which.
        action: of the order.
        window: when it may be switched to; empty for any time.
    """
    custom = release.custom
    if "kind" not in custom:
        custom = {"kind": release.kind, "hw": list(release.hw), "sec_ver": release.sec_ver, **custom}
    hashes = {"sha256": release.sha256}
    return Target(release.path, release.length, hashes, custom, action, window or None)


def chunks(devices: Iterable[str], size: int = CHUNK) -> Iterator[list[str]]:
    """Return lists of at most so many."""
    rest = iter(devices)
    while some := list(islice(rest, size)):
        yield some


def _insert(connection: Connection) -> sqlite.Insert | postgresql.Insert:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(_WANTED)
    return postgresql.insert(_WANTED)
