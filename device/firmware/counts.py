"""Counts per minute and per quarter of an hour, by rule, class and direction.

Open buckets are a value that can be saved and read back, so that a killed device goes on where it was.
Nothing here reads a clock.
"""

from __future__ import annotations

from typing import Final

import msgspec

BUCKETS_S: Final = (60, 900)

Tally = dict[str, dict[str, int]]
"""Class -> direction -> how many."""


class Bucket(msgspec.Struct):
    """One open bucket of one rule.

    Attributes:
        rule: name of the rule.
        bucket_s: 60 or 900.
        from_s: start, Unix seconds, a multiple of `bucket_s`.
        counts: class -> direction -> how many.
        last_s: the latest moment that was watched, Unix seconds.
    """

    rule: str
    bucket_s: int
    from_s: int
    counts: Tally
    last_s: float

    @property
    def to_s(self) -> int:
        """End of the bucket, Unix seconds."""
        return self.from_s + self.bucket_s


class Counts:
    """The open buckets of one camera."""

    def __init__(self, rules: tuple[str, ...], saved: bytes | None = None) -> None:
        self._rules = rules
        self._open: dict[tuple[str, int, int], Bucket] = {}
        for bucket in msgspec.msgpack.decode(saved, type=list[Bucket]) if saved else []:
            if bucket.rule in rules:
                self._open[bucket.rule, bucket.bucket_s, bucket.from_s] = bucket

    def watch(self, utc_s: float) -> list[Bucket]:
        """Say that the camera saw this moment; return the buckets that it closes.

        A bucket that ended, or that begins after `utc_s` (the clock was set back), is closed. One-minute
        buckets with nothing in them are not returned; quarter hours are, because a zero is not a gap.
        """
        closed = [b for b in self._open.values() if b.to_s <= utc_s or b.from_s > utc_s]
        for bucket in closed:
            del self._open[bucket.rule, bucket.bucket_s, bucket.from_s]
        for rule in self._rules:
            for bucket_s in BUCKETS_S:
                self._bucket(rule, bucket_s, utc_s).last_s = utc_s
        return [b for b in closed if b.counts or b.bucket_s == BUCKETS_S[-1]]

    def add(self, rule: str, cls: str, direction: str, utc_s: float) -> None:
        """Count one object; `watch` was called with the same moment."""
        for bucket_s in BUCKETS_S:
            tally = self._bucket(rule, bucket_s, utc_s).counts.setdefault(cls, {})
            tally[direction] = tally.get(direction, 0) + 1

    def partial(self) -> list[Bucket]:
        """Return the open buckets that hold something, for a device that is about to stop."""
        return [b for b in self._open.values() if b.counts]

    def saved(self) -> bytes:
        """Return the open buckets as bytes that `Counts(..., saved=)` reads."""
        return msgspec.msgpack.encode(list(self._open.values()))

    def _bucket(self, rule: str, bucket_s: int, utc_s: float) -> Bucket:
        from_s = int(utc_s // bucket_s) * bucket_s
        key = (rule, bucket_s, from_s)
        if key not in self._open:
            self._open[key] = Bucket(rule, bucket_s, from_s, {}, utc_s)
        return self._open[key]
