"""Alarms that stand now."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from fleet.queries.paging import Page, pack_cursor, rows_after, unpack_cursor
from fleet.queries.sites import EVERYWHERE, Sites, of_devices_at
from fleet.store.tables import Alarm


def list_alarms(
    session: Session,
    *,
    device: str = "",
    limit: int,
    cursor: str | None = None,
    within: Sites = EVERYWHERE,
) -> Page[Alarm]:
    """Return one page of standing alarms, newest first; of one device when it is named.

    Args:
        session: to read with.
        device: its id, or empty for all.
        limit: rows of a page.
        cursor: of the page before.
        within: sites whose devices are shown.

    Raises:
        BadQuery: the cursor is not ours.
    """
    where = [*([col(Alarm.device) == device] if device else []), *of_devices_at(Alarm.device, within)]
    order: tuple[Any, ...] = (Alarm.raised_ms, Alarm.device, Alarm.cam, Alarm.kind)
    if cursor:
        position = unpack_cursor(cursor, (int, str, str, str))
        where.append(rows_after(list(zip(order, position, strict=True))))
    newest_first = [column.desc() for column in order]
    found = list(session.exec(select(Alarm).where(*where).order_by(*newest_first).limit(limit + 1)))
    if len(found) <= limit:
        return Page(found, None)
    last = found[limit - 1]
    return Page(found[:limit], pack_cursor(last.raised_ms, last.device, last.cam, last.kind))
