"""Events: filtered, newest first."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from fleet.queries.paging import Page, pack_cursor, rows_after, unpack_cursor
from fleet.queries.sites import EVERYWHERE, Sites, at_sites, of_devices_at
from fleet.store.tables import Device, Event


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; an empty field does not filter.

    Attributes:
        since_ms: from this moment on (Unix milliseconds), by `at_ms`.
        until_ms: before this moment.
    """

    device: str = ""
    cam: str = ""
    kind: str = ""
    rule: str = ""
    object_class: str = ""
    since_ms: int | None = None
    until_ms: int | None = None

    def passes(self, row: Event) -> bool:
        """Whether an event that just came belongs to the list."""
        if row.amends is not None:
            return False
        words = all(getattr(row, name) == getattr(self, name) for name in _WORDS if getattr(self, name))
        is_late_enough = self.since_ms is None or row.at_ms >= self.since_ms
        return words and is_late_enough and (self.until_ms is None or row.at_ms < self.until_ms)


_WORDS = tuple(field.name for field in fields(EventFilter) if not field.name.endswith("_ms"))


def list_events(
    session: Session, wanted: EventFilter, *, limit: int, cursor: str | None, within: Sites = EVERYWHERE
) -> Page[Event]:
    """Return one page of events of devices at these sites, newest first.

    Raises:
        BadQuery: the cursor is not ours.
    """
    where = [*_conditions(wanted), *of_devices_at(Event.device, within)]
    order: tuple[Any, ...] = (Event.at_ms, Event.device, Event.seq)
    if cursor:
        where.append(rows_after(list(zip(order, unpack_cursor(cursor, (int, str, int)), strict=True))))
    newest_first = [column.desc() for column in order]
    found = list(session.exec(select(Event).where(*where).order_by(*newest_first).limit(limit + 1)))
    if len(found) <= limit:
        return Page(found, None)
    last = found[limit - 1]
    return Page(found[:limit], pack_cursor(last.at_ms, last.device, last.seq))


def count_by_device(session: Session, within: Sites = EVERYWHERE) -> dict[str, int]:
    """Return device -> stored events, from counters kept with the events (exact, and not a scan)."""
    query = select(Device.id, Device.events_stored).where(*at_sites(within))
    return dict(session.exec(query.order_by(col(Device.id))).all())


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    where = [getattr(Event, name) == getattr(wanted, name) for name in _WORDS if getattr(wanted, name)]
    where.append(col(Event.amends).is_(None))  # what it says is in the event that it amends
    if wanted.since_ms is not None:
        where.append(col(Event.at_ms) >= wanted.since_ms)
    if wanted.until_ms is not None:
        where.append(col(Event.at_ms) < wanted.until_ms)
    return where
