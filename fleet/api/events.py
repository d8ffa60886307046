"""Events and counts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from fleet.access import audit
from fleet.access.roles import Permission
from fleet.api.deps import Cursor, Limit, SeeEvents, SessionDep
from fleet.api.entry import now_ms
from fleet.api.models import CountOut, CountPage, EventOut, EventPage
from fleet.errors import BadQuery
from fleet.queries.counts import CountFilter, list_counts
from fleet.queries.events import EventFilter, list_events
from fleet.queries.paging import Storable

router = APIRouter(tags=["events"])

Word = Annotated[Storable, Query(max_length=60)]
ClassWord = Annotated[Storable, Query(alias="class", max_length=60, examples=["person"])]
Moment = Annotated[
    datetime | None,
    Query(description="RFC 3339; without a zone it is UTC", examples=["2026-11-23T09:30:00Z"]),
]
Bucket = Annotated[int, Query(description="60 or 900 seconds, 3600 for heat maps; 0 for all", examples=[60])]


def _event_filter(
    device: Word = "",
    cam: Word = "",
    kind: Word = "",
    rule: Word = "",
    cls: ClassWord = "",
    since: Moment = None,
    until: Moment = None,
) -> EventFilter:
    return EventFilter(device, cam, kind, rule, cls, as_ms(since), as_ms(until))


def _count_filter(
    device: Word = "",
    cam: Word = "",
    rule: Word = "",
    bucket_s: Bucket = 0,
    since: Moment = None,
    until: Moment = None,
) -> CountFilter:
    if bucket_s not in (0, 60, 900, 3600):
        raise BadQuery("bucket_s: devices count in buckets of 60, 900 and 3600 seconds; 0 asks for all")
    return CountFilter(device, cam, rule, bucket_s, as_ms(since), as_ms(until))


@router.get("/events", summary="List events, newest first")
def read_events(
    caller: SeeEvents,
    session: SessionDep,
    wanted: Annotated[EventFilter, Depends(_event_filter)],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> EventPage:
    """Stored events, newest first; filtered and in pages."""
    audit.look(session, caller, "events.list", wanted.device, _told(wanted), at_ms=now_ms())
    within = caller.sites(Permission.SEE_EVENTS)
    page = list_events(session, wanted, limit=limit, cursor=cursor, within=within)
    return EventPage(items=[EventOut.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.get("/counts", summary="List count buckets, newest first")
def read_counts(
    caller: SeeEvents,
    session: SessionDep,
    wanted: Annotated[CountFilter, Depends(_count_filter)],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> CountPage:
    """Time buckets of lines and zones, newest first; filtered and in pages."""
    within = caller.sites(Permission.SEE_EVENTS)
    page = list_counts(session, wanted, limit=limit, cursor=cursor, within=within)
    return CountPage(items=[CountOut.of(row) for row in page.items], next_cursor=page.next_cursor)


def _told(wanted: EventFilter) -> dict[str, Any]:
    return {name: value for name, value in asdict(wanted).items() if value and name != "device"}


def as_ms(moment: datetime | None) -> int | None:
    """Return a moment as Unix milliseconds; without a zone it is UTC."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
