"""The tables. Moments are whole milliseconds since 1970 UTC, so that both databases order them alike.

A row holds what a device said and when we stored it, never a picture.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Text, text
from sqlmodel import Field, SQLModel

Json = dict[str, Any]


class Device(SQLModel, table=True):
    """One device as it last described itself.

    Attributes:
        is_online: what presence says; `state` is what the device said.
        session: pairs the birth and the death of one connection.
        session_ended: true once the will or the farewell of `session` was seen.
        status_ms: when we believe that `state` was said (`Received.at_ms`).
        last_seen_ms: when we last received anything live, by our clock.
        offline_ms: since when it is offline, by our clock.
        events_stored: events kept of this device, counted in the same transaction that keeps them.
        info: the birth certificate as it was sent (struct `Info`).
        health: the last health as it was sent (struct `Health`).
        reported: what it last said that it really runs, as it was sent (struct `Reported`).
        update: how far its updater was when it last said so, as it was sent (struct `Update`).
    """

    __tablename__ = "device"

    id: str = Field(primary_key=True, max_length=40)
    site: str = Field(default="", max_length=200, index=True)
    is_online: bool = False
    state: str = Field(default="unknown", max_length=20)
    reason: str = Field(default="", max_length=200)
    session: str = Field(default="", max_length=36)
    session_ended: bool = False
    status_ms: int = Field(default=0, sa_type=BigInteger)
    first_seen_ms: int = Field(default=0, sa_type=BigInteger)
    last_seen_ms: int = Field(default=0, sa_type=BigInteger)
    offline_ms: int | None = Field(default=None, sa_type=BigInteger)
    events_stored: int = Field(default=0, sa_type=BigInteger)
    info_ms: int = Field(default=0, sa_type=BigInteger)
    info: Json | None = Field(default=None, sa_type=JSON)
    health_ms: int = Field(default=0, sa_type=BigInteger)
    health: Json | None = Field(default=None, sa_type=JSON)
    reported_ms: int = Field(default=0, sa_type=BigInteger)
    reported: Json | None = Field(default=None, sa_type=JSON)
    update_ms: int = Field(default=0, sa_type=BigInteger)
    update: Json | None = Field(default=None, sa_type=JSON)


class Desired(SQLModel, table=True):
    """The document of a device: its number, and the configuration that is wanted.

    The releases in it are in `wanted_release`.

    Attributes:
        seq: of the document; rises with every change, also when the database was lost (Unix seconds).
        action: id of the document.
        sha256: of the overlay, hexadecimal; empty where nothing is wanted of the configuration.
        overlay: TOML (docs/remote.md).
        made_ms: when somebody wanted that overlay.
        config_seq: number of the document that had this overlay first.
        is_due: the device is to be told.
    """

    __tablename__ = "desired"
    __table_args__ = (
        Index("ix_desired_due", "device", sqlite_where=text("is_due = 1"), postgresql_where=text("is_due")),
    )

    device: str = Field(primary_key=True, max_length=40)
    seq: int = Field(sa_type=BigInteger)
    action: str = Field(max_length=36)
    sha256: str = Field(max_length=64)
    overlay: str = Field(sa_type=Text)
    made_ms: int = Field(sa_type=BigInteger)
    config_seq: int = Field(default=0, sa_type=BigInteger)
    is_due: bool = True


class Event(SQLModel, table=True):
    """One event; (device, seq) makes a repeat harmless.

    Attributes:
        amends: `seq` of the event of the same device that this row belongs to: no event of its own.
        n: how many happenings it stands for, as its latest amendment says.
        until_ms: when the latest of them was.
        ts_ms: when it happened, as the device claims.
        at_ms: when we believe it happened: `ts_ms`, or when we received it if that claim lies more than a
            minute in the future or its clock was not set (`Received.at_ms`).
        stored_ms: when it was stored, by our clock.
    """

    __tablename__ = "event"
    __table_args__ = (
        Index("ix_event_at", "at_ms", "device", "seq"),
        Index("ix_event_device_at", "device", "at_ms", "seq"),
        {"sqlite_with_rowid": False},
    )

    device: str = Field(primary_key=True, max_length=40)
    seq: int = Field(primary_key=True, sa_type=BigInteger)
    id: str = Field(max_length=36)
    cam: str = Field(max_length=40)
    kind: str = Field(max_length=40)
    rule: str = Field(max_length=40)
    sev: str = Field(max_length=10)
    track: int | None = Field(default=None, sa_type=BigInteger)
    object_class: str | None = Field(default=None, max_length=40)
    conf: float | None = None
    box_left: float | None = None
    box_top: float | None = None
    box_right: float | None = None
    box_bottom: float | None = None
    direction: str | None = Field(default=None, max_length=3)
    duration_s: float | None = None
    speed_mps: float | None = None
    number: int | None = Field(default=None, sa_type=BigInteger)
    amends: int | None = Field(default=None, sa_type=BigInteger)
    n: int = Field(default=1, sa_type=BigInteger, sa_column_kwargs={"server_default": "1"})
    until_ms: int | None = Field(default=None, sa_type=BigInteger)
    is_hist: bool = False
    is_clock_synced: bool = True
    ts_ms: int = Field(sa_type=BigInteger)
    at_ms: int = Field(sa_type=BigInteger)
    stored_ms: int = Field(sa_type=BigInteger)


class Count(SQLModel, table=True):
    """One time bucket of a line or zone; only a higher `seq` replaces it.

    Attributes:
        counts: class -> direction -> how many.
        heat: of a heat map: seconds in each of 16 x 9 cells, row by row from the top left.
    """

    __tablename__ = "count"
    __table_args__ = (Index("ix_count_from", "from_ms"),)

    device: str = Field(primary_key=True, max_length=40)
    cam: str = Field(primary_key=True, max_length=40)
    rule: str = Field(primary_key=True, max_length=40)
    bucket_s: int = Field(primary_key=True)
    from_ms: int = Field(primary_key=True, sa_type=BigInteger)
    to_ms: int = Field(sa_type=BigInteger)
    seq: int = Field(sa_type=BigInteger)
    id: str = Field(max_length=36)
    counts: Json = Field(sa_type=JSON)
    heat: list[int] | None = Field(default=None, sa_type=JSON)
    is_partial: bool = False
    ts_ms: int = Field(sa_type=BigInteger)
    stored_ms: int = Field(sa_type=BigInteger)


class Alarm(SQLModel, table=True):
    """A condition that stands now; the row goes when it clears (its events stay).

    Attributes:
        raised_ms: since when, as we believe it (`Received.at_ms`).
    """

    __tablename__ = "alarm"

    device: str = Field(primary_key=True, max_length=40)
    cam: str = Field(primary_key=True, max_length=40)
    kind: str = Field(primary_key=True, max_length=40)
    id: str = Field(max_length=36)
    detail: str = Field(default="", max_length=200)
    raised_ms: int = Field(sa_type=BigInteger)
    stored_ms: int = Field(sa_type=BigInteger)
