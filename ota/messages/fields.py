"""The small types that every message is made of: ids, stamps, boxes, names.

A value of these types that breaks its limits cannot be decoded; nothing here reads a clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from ota.errors import BadMessage

# `$` alone would let a last newline pass (Python `re`); the look-ahead does not, in ECMA 262 too.
DEVICE_ID_PATTERN = r"^[a-z0-9][a-z0-9-]{2,39}$(?!\n)"
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,39}$(?!\n)"
TIMESTAMP_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$(?!\n)"
MAX_SEQ = 2**53 - 1
"""Largest integer that every JSON reader keeps exact (RFC 8259, section 6)."""

DeviceId = Annotated[str, Meta(pattern=DEVICE_ID_PATTERN, description="identity of a device")]
Name = Annotated[str, Meta(pattern=NAME_PATTERN, description="name of a camera, rule, kind or command")]
Timestamp = Annotated[
    str,
    Meta(
        pattern=TIMESTAMP_PATTERN,
        description="RFC 3339, UTC, milliseconds",
        examples=["2026-11-23T09:30:00.125Z"],
    ),
]
MessageId = Annotated[str, Meta(min_length=36, max_length=36, description="UUIDv7 (RFC 9562)")]
Seq = Annotated[
    int, Meta(ge=1, le=MAX_SEQ, description="per device, rises across reboots; durable messages only")
]
Unit = Annotated[float, Meta(ge=0.0, le=1.0)]
Percent = Annotated[float, Meta(ge=0.0, le=100.0)]
ShortText = Annotated[str, Meta(max_length=200)]
Box = Annotated[
    tuple[Unit, Unit, Unit, Unit], Meta(description="left, top, right, bottom in 0..1 from the top left")
]
Point = tuple[Unit, Unit]


def new_id() -> str:
    """Return a new UUIDv7 as text (36 characters), ordered by time of making."""
    import uuid_utils  # a technician's laptop reads messages, and makes none

    return str(uuid_utils.uuid7())


def format_ts(utc_s: float) -> str:
    """Return Unix seconds (UTC) as RFC 3339 with milliseconds and `Z`."""
    stamp = datetime.fromtimestamp(round(utc_s, 3), tz=UTC)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_ts(text: str) -> float:
    """Return the Unix seconds (UTC) of a `Timestamp`.

    Raises:
        BadMessage: the text has the right shape but names no moment (month 13, second 61).
    """
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise BadMessage("any", f"ts {text!r}: {error}") from error
