"""Counts: the closed time buckets of lines and zones, and their sums for a chart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from fleet.queries.paging import Page, pack_cursor, rows_after, unpack_cursor
from fleet.queries.sites import EVERYWHERE, Sites, of_devices_at
from fleet.store.tables import Count


@dataclass(frozen=True, slots=True)
class CountFilter:
    """Which buckets; an empty field does not filter.

    Attributes:
        bucket_s: 60 or 900, 3600 for heat maps; 0 for all.
        since_ms: buckets that begin at this moment or later (Unix milliseconds).
        until_ms: buckets that begin before this moment.
    """

    device: str = ""
    cam: str = ""
    rule: str = ""
    bucket_s: int = 0
    since_ms: int | None = None
    until_ms: int | None = None


def list_counts(
    session: Session, wanted: CountFilter, *, limit: int, cursor: str | None, within: Sites = EVERYWHERE
) -> Page[Count]:
    """Return one page of buckets of devices at these sites, newest first.

    Raises:
        BadQuery: the cursor is not ours.
    """
    where = [*_conditions(wanted), *of_devices_at(Count.device, within)]
    order: tuple[Any, ...] = (Count.from_ms, Count.device, Count.cam, Count.rule, Count.bucket_s)
    if cursor:
        position = unpack_cursor(cursor, (int, str, str, str, int))
        where.append(rows_after(list(zip(order, position, strict=True))))
    newest_first = [column.desc() for column in order]
    found = list(session.exec(select(Count).where(*where).order_by(*newest_first).limit(limit + 1)))
    if len(found) <= limit:
        return Page(found, None)
    last = found[limit - 1]
    place = (last.from_ms, last.device, last.cam, last.rule, last.bucket_s)
    return Page(found[:limit], pack_cursor(*place))


def sum_by_class(session: Session, wanted: CountFilter) -> dict[str, dict[int, int]]:
    """Return class -> start of bucket (Unix milliseconds) -> how many, all rules and directions together.

    Reads every bucket that is wanted, so name a span of time.
    """
    sums: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for from_ms, counts in session.exec(select(Count.from_ms, Count.counts).where(*_conditions(wanted))):
        for cls, directions in counts.items():
            sums[cls][from_ms] += sum(directions.values())
    return {cls: dict(buckets) for cls, buckets in sums.items()}


def _conditions(wanted: CountFilter) -> list[ColumnElement[bool]]:
    words = ("device", "cam", "rule", "bucket_s")
    where = [getattr(Count, name) == getattr(wanted, name) for name in words if getattr(wanted, name)]
    if wanted.since_ms is not None:
        where.append(col(Count.from_ms) >= wanted.since_ms)
    if wanted.until_ms is not None:
        where.append(col(Count.from_ms) < wanted.until_ms)
    return where
