"""Counts per minute and per quarter of an hour, by rule, class and direction.

Open buckets are a value that can be saved and read back, so that a killed device goes on where it was.
Nothing here reads a clock.
"""

from __future__ import annotations

from typing import Final

import msgspec

BUCKETS_S: Final = (60, 900)
WHOLE: Final = 0.9
"""A bucket that was watched for a smaller share of its time is partial: a gap must not look like a zero."""
LONGEST_STEP_S: Final = 5.0
"""Frames further apart than this are a gap in watching."""
LATE_S: Final = 5.0
"""Without frames a bucket is closed so much after its end, because a last frame may be under way."""
SET_BACK_S: Final = 3600.0
"""A clock set back by less than this goes on adding to the buckets it meets again."""

Tally = dict[str, dict[str, int]]
"""Class -> direction -> how many."""
_Key = tuple[str, int, int]


class Bucket(msgspec.Struct):
    """One bucket of one rule.

    Attributes:
        rule: name of the rule.
        bucket_s: 60 or 900.
        from_s: start, Unix seconds, a multiple of `bucket_s`.
        counts: class -> direction -> how many.
        last_s: the latest moment that was watched, Unix seconds.
        watched_s: for how long it was watched.
    """

    rule: str
    bucket_s: int
    from_s: int
    counts: Tally
    last_s: float
    watched_s: float = 0.0

    @property
    def end_s(self) -> int:
        """End of the bucket, Unix seconds."""
        return self.from_s + self.bucket_s

    @property
    def is_whole(self) -> bool:
        """Whether it was watched (nearly) all the time."""
        return self.watched_s >= WHOLE * self.bucket_s

    @property
    def to_s(self) -> float:
        """End of what was counted: the bucket's end, or the last watched moment of a partial one."""
        return self.end_s if self.is_whole else min(max(self.last_s, self.from_s), self.end_s)


class Counts:
    """The buckets of one camera."""

    def __init__(self, rules: tuple[str, ...], saved: bytes | None = None) -> None:
        self._rules = rules
        self._open: dict[_Key, Bucket] = {}
        self._recent: dict[_Key, Bucket] = {}
        self._last_s: float | None = None
        self._minute: int | None = None
        self._current: list[Bucket] = []
        for bucket in msgspec.msgpack.decode(saved, type=list[Bucket]) if saved else []:
            if bucket.rule in rules:
                self._open[_key(bucket)] = bucket

    def watch(self, utc_s: float) -> list[Bucket]:
        """Say that the camera saw this moment; return the buckets that it closes.

        A bucket that ended is closed, and so is one that begins more than `SET_BACK_S` after `utc_s` (the
        clock was set back). One-minute buckets with nothing in them are not returned; quarter hours are,
        because a zero is not a gap.
        """
        minute, closed = int(utc_s // BUCKETS_S[0]), []
        if minute != self._minute:
            closed = self._close(utc_s)
            # Within a minute no bucket begins or ends.
            self._minute = minute
            self._current = [self._bucket(rule, one, utc_s) for rule in self._rules for one in BUCKETS_S]
        step_s = 0.0 if self._last_s is None else utc_s - self._last_s
        self._last_s = utc_s
        watched_s = step_s if 0.0 < step_s <= LONGEST_STEP_S else 0.0
        for bucket in self._current:
            bucket.last_s = utc_s
            bucket.watched_s += watched_s
        return closed

    def idle(self, utc_s: float) -> list[Bucket]:
        """Return the buckets that are over although no frame came."""
        return self._close(utc_s - LATE_S)

    def add(self, rule: str, cls: str, direction: str, utc_s: float) -> None:
        """Count one object; `watch` was called with the same moment."""
        for bucket_s in BUCKETS_S:
            tally = self._bucket(rule, bucket_s, utc_s).counts.setdefault(cls, {})
            tally[direction] = tally.get(direction, 0) + 1

    def partial(self) -> list[Bucket]:
        """Return the open buckets that hold something, for a device that is about to stop."""
        return [bucket for bucket in self._open.values() if bucket.counts]

    def saved(self) -> bytes:
        """Return the open buckets as bytes that `Counts(..., saved=)` reads."""
        return msgspec.msgpack.encode(list(self._open.values()))

    def _close(self, utc_s: float) -> list[Bucket]:
        over = [b for b in self._open.values() if b.end_s <= utc_s or b.from_s > utc_s + SET_BACK_S]
        for bucket in over:
            self._recent[_key(bucket)] = self._open.pop(_key(bucket))
        if over:
            self._minute = None
            self._recent = {k: b for k, b in self._recent.items() if b.end_s > utc_s - SET_BACK_S}
        return [bucket for bucket in over if bucket.counts or bucket.bucket_s == BUCKETS_S[-1]]

    def _bucket(self, rule: str, bucket_s: int, utc_s: float) -> Bucket:
        from_s = int(utc_s // bucket_s) * bucket_s
        key = (rule, bucket_s, from_s)
        if key not in self._open:
            # A clock that was set back meets a bucket that was reported: go on, so that the next report
            # replaces the first with more and not with less.
            met_again = self._recent.pop(key, None)
            self._open[key] = met_again or Bucket(rule, bucket_s, from_s, {}, utc_s)
        return self._open[key]


def _key(bucket: Bucket) -> _Key:
    return bucket.rule, bucket.bucket_s, bucket.from_s
