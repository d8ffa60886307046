"""From bytes on a topic to a message that may be stored; refuses everything else by reason.

Pure: no broker, no database, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fleet.errors import Refused
from ota.errors import BadMessage, BadTopic
from ota.messages import (
    MAX_MESSAGE_BYTES,
    Alarm,
    Channel,
    Count,
    Event,
    LiveFrame,
    Message,
    Occupancy,
    Topic,
    decode,
    parse_ts,
)
from ota.messages.topics import FROM_FLEET

REASONS: Final = {
    "too-large": "the payload is larger than any message of ours",
    "bad-topic": "the topic is none of ours, or its device id is not allowed",
    "fleet-only": "only the fleet may speak on this channel",
    "empty": "zero bytes on a channel where that means nothing",
    "bad-message": "not JSON, not of the channel's schema, or with a NUL in a text",
    "mismatch": "the payload speaks of another camera, kind or rule than its topic",
    "untrusted": "the topic's device holds no certificate of this fleet, or it was revoked",
    "queue-full": "the writer was behind; the device sends durable messages again",
    "unstorable": "the database refuses the message for what it holds",
    "clash": "a seq that is already stored under another id",
    "internal": "a fault of ours while reading; see the log",
}
"""Every word a message can be refused under, and what it means."""

FUTURE_TOLERANCE_MS: Final = 60_000
"""A device's clock may be this far ahead before its stamps are no longer used for ordering."""
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL: PostgreSQL keeps JSON with one, and then refuses every query that looks into the column."""

_parse_topic: Final = lru_cache(maxsize=4096)(Topic.parse)
"""A fleet says the same few topics all day; those that are refused are not kept."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message that passed.

    Attributes:
        message: None when an alarm was cleared by zero bytes.
        ts_ms: its `ts` as Unix milliseconds; when cleared, the moment of receipt.
        is_retained: it came out of the broker's memory, so it says nothing about now.
        received_ms: when we got it, Unix milliseconds by our clock.
    """

    topic: Topic
    message: Message | None
    ts_ms: int
    is_retained: bool
    received_ms: int

    @property
    def at_ms(self) -> int:
        """When we believe it happened (Unix milliseconds); all ordering uses this, never `ts_ms`."""
        is_synced = self.message is None or self.message.clock == "synced"
        return believed_ms(self.ts_ms, self.received_ms, is_synced=is_synced)


def read_message(topic_text: str, payload: bytes, *, is_retained: bool, received_ms: int) -> Received:
    """Return the message of a topic and payload.

    Raises:
        Refused: it is kept out; `reason` is one of `REASONS`.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise Refused("too-large", f"{len(payload)} bytes on {topic_text[:120]!r}")
    try:
        topic = _parse_topic(topic_text)
    except BadTopic as error:
        raise Refused("bad-topic", str(error)) from error
    if topic.channel in FROM_FLEET:
        raise Refused("fleet-only", topic_text)
    if not payload:
        return _read_empty(topic, is_retained=is_retained, received_ms=received_ms)
    try:
        _check_letters(topic, payload)
        message = decode(topic.channel, payload)
        ts_ms = to_ms(message.ts)
        _check_buckets(message)
    except BadMessage as error:
        raise Refused("bad-message", str(error)) from error
    if not _belongs(topic, message):
        raise Refused("mismatch", topic_text)
    return Received(topic, message, ts_ms, is_retained, received_ms)


def to_ms(ts: str) -> int:
    """Return the Unix milliseconds of a `Timestamp`.

    Raises:
        BadMessage: it names no moment.
    """
    return round(parse_ts(ts) * 1000)


def believed_ms(ts_ms: int, received_ms: int, *, is_synced: bool = True) -> int:
    """Return the moment used for ordering: the claim, unless it is of the future or its clock was not set.

    A device whose clock says 2099 would otherwise sit on top of every list for good, one whose clock
    says 1970 at the bottom, and neither would ever be seen.
    """
    return ts_ms if is_synced and ts_ms <= received_ms + FUTURE_TOLERANCE_MS else received_ms


def _read_empty(topic: Topic, *, is_retained: bool, received_ms: int) -> Received:
    if topic.channel is not Channel.ALARM:
        raise Refused("empty", str(topic))
    return Received(topic, None, received_ms, is_retained, received_ms)


def _check_letters(topic: Topic, payload: bytes) -> None:
    if b"\\u0000" in payload and _NUL.search(payload) is not None:
        raise BadMessage(topic.channel, "a text holds a NUL")


def _check_buckets(message: Message) -> None:
    if isinstance(message, Count) and to_ms(message.from_ts) > to_ms(message.to_ts):
        raise BadMessage(Channel.COUNT, f"from {message.from_ts} lies after to {message.to_ts}")


def _belongs(topic: Topic, message: Message) -> bool:
    match message:
        case Event():
            return (message.cam, message.kind) == (topic.camera, topic.name)
        case Count():
            return (message.cam, message.rule) == (topic.camera, topic.name)
        case Alarm():
            return message.kind == topic.name
        case Occupancy():
            return message.rule == topic.name
        case LiveFrame():
            return message.cam == topic.camera
    return True
