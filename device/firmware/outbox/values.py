"""What the outbox is made of: settings, rows, and what a message is worth. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ota.messages import Topic
from ota.messages.structs import Count, Durable, Event

MINUTE_RANK: Final = 0
RANKS: Final = {"low": 1, "medium": 3, "high": 4}
QUARTER_RANK: Final = 2
"""Above events of low severity: when minutes are gone, a quarter hour is the only trace of its counts."""


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """How much is kept and how often it is written.

    Attributes:
        max_bytes: of messages on disk; beyond it room is made (`room.py`).
        max_waiting: messages held in memory while the disk refuses them.
        group_s: longest time between a message and its writing.
        rest_s: longest time that acknowledgements and open counts wait for a message to be written with.
        retry_s: wait after a failed write.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_waiting: int = 20_000
    group_s: float = 0.25
    rest_s: float = 2.0
    retry_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A durable message as it lies in the outbox.

    Attributes:
        made_s: when it was taken in, Unix seconds.
    """

    seq: int
    topic: str
    payload: bytes
    made_s: float


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the messages of one channel (`event` or `count`) since the outbox was made.

    Attributes:
        made: written to the disk.
        acked: stored by the fleet.
        dropped: had to go unacknowledged.
        merged: minutes that went because their quarter hour tells their sum.
    """

    made: int = 0
    acked: int = 0
    dropped: int = 0
    merged: int = 0


class Row(NamedTuple):
    """A message as the table holds it.

    Attributes:
        bucket: `60/<from>` or `900/<from>` of a count, None for an event.
        boot: id of the boot whose clock was not set when this was made; None when `ts` can be believed.
        mono_s: the moment of `ts` by that boot's monotonic clock.
    """

    seq: int
    topic: str
    rank: int
    made_s: float
    payload: bytes
    bucket: str | None = None
    boot: str | None = None
    mono_s: float | None = None


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    messages: list[Row] = field(default_factory=list)
    acked: list[tuple[int, int]] = field(default_factory=list)
    discarded: list[int] = field(default_factory=list)
    state: dict[str, bytes] = field(default_factory=dict)
    spilled: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.messages or self.acked or self.discarded or self.state or self.spilled)


def rank_of(message: Durable) -> int:
    """Return what a message is worth when room is short; the lowest goes first, alarms and `high` last."""
    if isinstance(message, Count):
        return MINUTE_RANK if message.bucket_s == 60 else QUARTER_RANK
    is_alarm = isinstance(message, Event) and message.kind.startswith("alarm-")
    return RANKS["high"] if is_alarm or not isinstance(message, Event) else RANKS[message.sev]


def bucket_of(message: Durable) -> str | None:
    """Return the name of a count's bucket, unique on its topic."""
    return f"{message.bucket_s}/{message.from_ts}" if isinstance(message, Count) else None


def count_drop(counters: dict[str, int], topic: str) -> None:
    """Count a message that had to go, by channel and by kind (of the event; `count` for counts)."""
    parsed = Topic.parse(topic)
    kind = parsed.name if parsed.channel == "event" else str(parsed.channel)
    add_to(counters, f"{parsed.channel}.dropped")
    add_to(counters, f"lost/{kind}")


def add_to(counters: dict[str, int], name: str, number: int = 1) -> None:
    """Raise a counter."""
    counters[name] = counters.get(name, 0) + number


def merge(counters: dict[str, int], more: dict[str, int]) -> None:
    """Add all of `more` to `counters`."""
    for name, value in more.items():
        add_to(counters, name, value)
