"""What is known of all devices, for filters; what has not changed since the last look is not read again."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlmodel import Session, col

from fleet.rollouts.filter import Facts
from fleet.rollouts.tell import OS, chunks
from fleet.store.tables import Device
from fleet.store.tables_identity import Identity
from fleet.store.tables_os import OsAction
from fleet.store.tables_rollouts import DeviceTag, Release

READ_ALL: Final = 2000
"""With more news than this everything is read in one sweep."""
Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Said:
    """What a device has said of itself, and when."""

    stamp: Stamp
    board: str
    model: str
    model_version: str
    model_sha256: str
    firmware: str
    timezone: str


class FactsBook:
    """Remembers what devices have said of themselves; one a thread."""

    def __init__(self) -> None:
        self._said: dict[str, _Said] = {}

    def read(self, session: Session, *, with_tags: bool) -> list[Facts]:
        """Return the facts of every device that may be told something, in no order.

        Args:
            session: to read with.
            with_tags: whether a filter asks for tags.
        """
        rows = session.execute(_STANDING).all()
        self._learn(session, rows)
        tags = read_tags(session) if with_tags else {}
        systems = dict(read_systems(session))
        nothing: frozenset[str] = frozenset()
        return [
            _facts(row, said, tags.get(row.id, nothing), systems.get(row.id, ""))
            for row in rows
            if row.state in (None, "active") and (said := self._said.get(row.id)) is not None
        ]

    def _learn(self, session: Session, rows: Sequence[Any]) -> None:
        there = {row.id for row in rows}
        for gone in self._said.keys() - there:
            del self._said[gone]
        news = [row.id for row in rows if not self._knows(row.id, (row.info_ms, row.reported_ms))]
        if len(news) > READ_ALL:
            self._keep(session.execute(select(*_SAID)))
        else:
            for some in chunks(news):
                self._keep(session.execute(select(*_SAID).where(col(Device.id).in_(some))))

    def _knows(self, device: str, stamp: Stamp) -> bool:
        said = self._said.get(device)
        return said is not None and said.stamp == stamp

    def _keep(self, rows: Iterable[Any]) -> None:
        for row in rows:
            words = (sys.intern(word or "") for word in row[3:])
            self._said[row.id] = _Said((row.info_ms, row.reported_ms), *words)


def read_facts(session: Session, *, with_tags: bool = True) -> list[Facts]:
    """Return the facts of every device that may be told something."""
    return FactsBook().read(session, with_tags=with_tags)


def read_tags(session: Session) -> dict[str, frozenset[str]]:
    """Return the tags of all devices that have some."""
    found: dict[str, set[str]] = {}
    for device, tag in session.execute(select(col(DeviceTag.device), col(DeviceTag.tag))):
        found.setdefault(device, set()).add(sys.intern(tag))
    return {device: frozenset(tags) for device, tags in found.items()}


def read_systems(session: Session, devices: list[str] | None = None) -> Iterator[tuple[str, str]]:
    """Give devices and the digest of the OS image that each has installed last, since it was enrolled.

    Args:
        session: to read with.
        devices: which; None for all.
    """
    latest = select(func.max(col(OsAction.id))).where(col(OsAction.state) == "succeeded")
    if devices is not None:
        latest = latest.where(col(OsAction.device).in_(devices))
    query = (
        select(col(OsAction.device), col(Release.mark))
        .join(Release, col(Release.id) == col(OsAction.release))
        .outerjoin(Identity, col(Identity.device) == col(OsAction.device))
        .where(col(OsAction.id).in_(latest.group_by(col(OsAction.device))))
        .where(col(OsAction.changed_ms) >= func.coalesce(col(Identity.enrolled_ms), 0))
    )
    yield from ((device, mark) for device, mark in session.execute(query))


def read_running(session: Session, kind: str, devices: Iterable[str]) -> dict[str, str]:
    """Return what devices run now of a kind: by their own words a model's digest, the firmware's version.

    Of an operating system nothing is reported: there it is the image that was installed last.
    """
    if kind == OS:
        return {device: mark for some in chunks(devices) for device, mark in read_systems(session, some)}
    mark = _first(("model", "sha256")) if kind == "model" else _first(("firmware",))
    found: dict[str, str] = {}
    for some in chunks(devices):
        query = select(col(Device.id), mark).where(col(Device.id).in_(some))
        found |= {device: running or "" for device, running in session.execute(query)}
    return found


def count_running(session: Session) -> dict[tuple[str, str], int]:
    """Return how many devices run what now: kind and mark -> devices; of `os` what was installed last."""
    installed = Counter(mark for _, mark in read_systems(session))
    found = {(OS, mark): number for mark, number in installed.items()}
    for kind, path in (("model", ("model", "sha256")), ("firmware", ("firmware",))):
        mark = _first(path).label("mark")
        query = select(mark, func.count()).where(_is_standing()).group_by(mark)
        rows = session.execute(query.outerjoin(Identity, col(Identity.device) == col(Device.id)))
        found |= {(kind, running): int(number) for running, number in rows if running}
    return found


def _is_standing() -> ColumnElement[bool]:
    return or_(col(Identity.state).is_(None), col(Identity.state) == "active")


def _first(path: tuple[str, ...]) -> ColumnElement[str | None]:
    """What a device reported at a path; what its birth certificate says where it has reported nothing."""
    return func.coalesce(col(Device.reported)[path].as_string(), col(Device.info)[path].as_string())


_STANDING: Final[Any] = select(
    col(Device.id),
    col(Device.site),
    col(Device.is_online),
    col(Device.info_ms),
    col(Device.reported_ms),
    col(Identity.state),
    col(Identity.timezone).label("home_zone"),
    col(Identity.board).label("home_board"),
).outerjoin(Identity, col(Identity.device) == col(Device.id))
_SAID: Final = (
    col(Device.id),
    col(Device.info_ms),
    col(Device.reported_ms),
    # a release and a filter mean a kind of board; what the board calls itself is for people
    func.coalesce(
        func.nullif(col(Device.info)["profile"].as_string(), ""), col(Device.info)["board"].as_string()
    ),
    _first(("model", "name")),
    _first(("model", "version")),
    _first(("model", "sha256")),
    _first(("firmware",)),
    col(Device.info)["timezone"].as_string(),
)


def _facts(row: Any, said: _Said, tags: frozenset[str], system: str) -> Facts:  # noqa: ANN401  # a row of _STANDING
    return Facts(
        row.id,
        row.site,
        said.board or row.home_board or "",
        said.model,
        said.model_version,
        said.model_sha256,
        said.firmware,
        system,
        said.timezone or row.home_zone or "UTC",
        row.is_online,
        tags,
    )
