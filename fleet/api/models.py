"""What the API answers with; built from rows, never the rows themselves."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from fleet.desired import config_state
from fleet.queries.devices import shown_state
from fleet.store import tables
from ota.messages import format_ts
from ota.messages.desired import MAX_OVERLAY_BYTES

Moment = Annotated[str, Field(examples=["2026-11-23T09:30:00.125Z"], description="RFC 3339, UTC")]


def as_moment(ms: int) -> str:
    """Return Unix milliseconds as RFC 3339."""
    return format_ts(ms / 1000)


class DeviceOut(BaseModel):
    """A device as it stands."""

    id: Annotated[str, Field(examples=["cam-liberty-01"])]
    site: Annotated[str, Field(examples=["lahore/gulberg/liberty-chowk"])]
    is_online: bool
    state: Annotated[str, Field(examples=["online"], description="in one word; `offline` when it is silent")]
    reported_state: Annotated[str, Field(description="what it last said of itself; `lost` is its will")]
    reason: str
    first_seen: Moment | None
    last_seen: Moment | None
    offline_since: Moment | None
    events_stored: int
    health: Annotated[dict[str, Any] | None, Field(description="message `Health` as it was sent")]
    info: Annotated[dict[str, Any] | None, Field(description="message `Info` as it was sent")]

    @classmethod
    def of(cls, row: tables.Device) -> DeviceOut:
        """Return the answer for a row."""
        return cls(
            id=row.id,
            site=row.site,
            is_online=row.is_online,
            state=shown_state(row),
            reported_state=row.state,
            reason=row.reason,
            first_seen=as_moment(row.first_seen_ms) if row.first_seen_ms else None,
            last_seen=as_moment(row.last_seen_ms) if row.last_seen_ms else None,
            offline_since=as_moment(row.offline_ms) if row.offline_ms else None,
            events_stored=row.events_stored,
            health=row.health,
            info=row.info,
        )


class ConfigIn(BaseModel):
    """The configuration that is wanted of a device."""

    overlay: Annotated[
        str,
        Field(
            max_length=MAX_OVERLAY_BYTES,
            description="TOML, laid over the device's own file (docs/remote.md)",
            examples=["health_s = 10"],
        ),
    ]


class DesiredOut(BaseModel):
    """What is wanted of a device."""

    seq: int
    action: str
    sha256: str
    overlay: str
    made: Moment

    @classmethod
    def of(cls, row: tables.Desired) -> DesiredOut:
        """Return the answer for a row."""
        return cls(
            seq=row.seq,
            action=row.action,
            sha256=row.sha256,
            overlay=row.overlay,
            made=as_moment(row.made_ms),
        )


class ConfigOut(BaseModel):
    """What is wanted of a device, and what it says that it runs."""

    device: Annotated[str, Field(examples=["cam-liberty-01"])]
    state: Annotated[
        str,
        Field(
            examples=["applied"],
            description="`none`: nothing is wanted; `waiting`: the device has not answered; "
            "else its outcome: `trial`, `applied`, `refused`, `rolled-back`",
        ),
    ]
    desired: DesiredOut | None
    reported: Annotated[dict[str, Any] | None, Field(description="message `Reported` as it was sent")]

    @classmethod
    def of(cls, device: tables.Device, wanted: tables.Desired | None) -> ConfigOut:
        """Return the answer for the rows of a device."""
        return cls(
            device=device.id,
            state=config_state(wanted, device),
            desired=None if wanted is None else DesiredOut.of(wanted),
            reported=device.reported,
        )


class ObjectOut(BaseModel):
    """What made an event true."""

    track: int
    cls: Annotated[str, Field(serialization_alias="class", examples=["person"])]
    conf: float
    box: Annotated[list[float], Field(description="left, top, right, bottom in 0..1")]


class EventOut(BaseModel):
    """A stored event."""

    device: str
    seq: int
    id: str
    ts: Annotated[Moment, Field(description="when it happened, as the device says")]
    at: Annotated[Moment, Field(description="when we believe it happened; lists are in this order")]
    stored_at: Annotated[Moment, Field(description="when it was stored, by the fleet's clock")]
    latency_ms: Annotated[int, Field(description="stored_at - ts; means nothing when is_hist")]
    cam: str
    kind: Annotated[str, Field(examples=["line-cross"])]
    rule: str
    sev: str
    object: ObjectOut | None
    direction: str | None
    duration_s: float | None
    speed_mps: float | None
    number: Annotated[int | None, Field(description="of a crowd: how many")]
    n: Annotated[int, Field(description="how many happenings it stands for: the rule's cooldown folds them")]
    until: Annotated[Moment | None, Field(description="when the latest of them was")]
    is_hist: Annotated[bool, Field(description="sent late, after the link had been away")]
    is_clock_synced: bool

    @classmethod
    def of(cls, row: tables.Event) -> EventOut:
        """Return the answer for a row."""
        seen = None
        if row.object_class is not None:
            box = [row.box_left or 0.0, row.box_top or 0.0, row.box_right or 0.0, row.box_bottom or 0.0]
            seen = ObjectOut(track=row.track or 0, cls=row.object_class, conf=row.conf or 0.0, box=box)
        same = ("device", "seq", "id", "cam", "kind", "rule", "sev", "direction", "duration_s", "is_hist")
        return cls(
            **{name: getattr(row, name) for name in (*same, "speed_mps", "number", "n")},
            until=as_moment(row.until_ms) if row.until_ms else None,
            ts=as_moment(row.ts_ms),
            at=as_moment(row.at_ms),
            stored_at=as_moment(row.stored_ms),
            latency_ms=row.stored_ms - row.ts_ms,
            object=seen,
            is_clock_synced=row.is_clock_synced,
        )


class CountOut(BaseModel):
    """A stored time bucket."""

    device: str
    cam: str
    rule: str
    bucket_s: int
    from_: Annotated[Moment, Field(serialization_alias="from")]
    to: Moment
    seq: int
    counts: Annotated[dict[str, dict[str, int]], Field(examples=[{"car": {"in": 12, "out": 9}}])]
    heat: Annotated[list[int] | None, Field(description="seconds in each of 16 x 9 cells, row by row")]
    is_partial: bool

    @classmethod
    def of(cls, row: tables.Count) -> CountOut:
        """Return the answer for a row."""
        same = ("device", "cam", "rule", "bucket_s", "seq", "counts", "heat", "is_partial")
        values = {name: getattr(row, name) for name in same}
        return cls(**values, from_=as_moment(row.from_ms), to=as_moment(row.to_ms))


class AlarmOut(BaseModel):
    """An alarm that stands."""

    device: str
    cam: str
    kind: Annotated[str, Field(examples=["covered"])]
    detail: str
    raised_at: Moment

    @classmethod
    def of(cls, row: tables.Alarm) -> AlarmOut:
        """Return the answer for a row."""
        same = {name: getattr(row, name) for name in ("device", "cam", "kind", "detail")}
        return cls(**same, raised_at=as_moment(row.raised_ms))


class DevicePage(BaseModel):
    """One page of devices."""

    items: list[DeviceOut]
    next_cursor: str | None


class EventPage(BaseModel):
    """One page of events, newest first."""

    items: list[EventOut]
    next_cursor: str | None


class CountPage(BaseModel):
    """One page of buckets, newest first."""

    items: list[CountOut]
    next_cursor: str | None


class AlarmPage(BaseModel):
    """One page of standing alarms, newest first."""

    items: list[AlarmOut]
    next_cursor: str | None


class StatsOut(BaseModel):
    """The fleet in numbers; what is `since start` is lost when the fleet manager stops.

    Who sees only a part of the sites gets numbers of that part, and null for what is counted of the whole.
    """

    devices: int
    online: int
    offline: int
    alarms: int
    events_stored: Annotated[int, Field(description="events in the database")]
    events_by_device: Annotated[dict[str, int], Field(examples=[{"cam-liberty-01": 1234}])]
    received: Annotated[int | None, Field(description="messages since start, good or not")] = None
    stored: Annotated[
        int | None, Field(description="durable messages newly stored since start: events and buckets")
    ] = None
    acked: Annotated[
        int | None, Field(description="durable messages acknowledged since start, repeats too")
    ] = None
    duplicates: Annotated[int | None, Field(description="durable messages that came again since start")] = (
        None
    )
    refused: Annotated[dict[str, int] | None, Field(examples=[{"bad-message": 1}])] = None
    latency_ms_p50: Annotated[
        float | None, Field(description="frame to commit, last live events since start")
    ] = None
    latency_ms_p95: float | None = None
    link_up: Annotated[bool, Field(description="whether we hear the broker")]


class HealthOut(BaseModel):
    """That the fleet manager answers, and whether it hears its devices."""

    status: Annotated[str, Field(examples=["ok"])]
    link_up: bool
