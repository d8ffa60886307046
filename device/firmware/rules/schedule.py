"""Schedules: when a rule is on duty, said in the site's own time.

An entry is `[days] HH:MM-HH:MM`: `mon-fri 22:00-06:00`, `sat,sun 00:00-24:00`, `07:30-09:00` (every day). A
span that ends before it begins goes over midnight and belongs to the day on which it begins. All times are
what a clock on the wall shows: an hour that the change to winter time repeats counts twice, one that the
change to summer time leaves out does not come. No clock is read here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN: Final = 24 * 60
_DAYS: Final = re.compile(rf"daily|({'|'.join(DAYS)})(-({'|'.join(DAYS)}))?")
_ENTRY: Final = re.compile(r"(?:([a-z,-]+) +)?(\d\d):(\d\d) *- *(\d\d):(\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """One entry.

    Attributes:
        days: on which it begins, 0 is Monday.
        from_min: minutes after midnight, 0..1439.
        to_min: minutes after midnight, 1..1440; not above `from_min` for a span over midnight.
    """

    days: frozenset[int]
    from_min: int
    to_min: int

    def covers(self, day: int, minute: int) -> bool:
        """Tell whether it covers a minute (0..1439) of a weekday (0..6, 0 is Monday)."""
        if self.from_min < self.to_min:
            return day in self.days and self.from_min <= minute < self.to_min
        is_evening = day in self.days and minute >= self.from_min
        return is_evening or ((day - 1) % 7 in self.days and minute < self.to_min)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Spans of the week in one timezone; on duty while any of them covers the moment."""

    spans: tuple[Span, ...]
    zone: ZoneInfo

    def is_open(self, utc_s: float) -> bool:
        """Tell whether the moment (Unix seconds) lies in a span."""
        local = datetime.fromtimestamp(utc_s, self.zone)
        day, minute = local.weekday(), local.hour * 60 + local.minute
        return any(span.covers(day, minute) for span in self.spans)


def parse_schedule(entries: Sequence[str], timezone: str) -> Schedule | None:
    """Return the schedule of these entries, or None for no entries: always on duty.

    Raises:
        ValueError: an entry cannot be read; the message names it.
        ZoneInfoNotFoundError: there is no such timezone.
    """
    if not entries:
        return None
    return Schedule(tuple(parse_span(entry) for entry in entries), ZoneInfo(timezone))


def parse_span(entry: str) -> Span:
    """Read one entry.

    Raises:
        ValueError: it is none; the message says why and names it.
    """
    fault = entry_fault(entry)
    found = _ENTRY.fullmatch(entry.strip().lower())
    if fault or found is None:
        raise ValueError(fault)
    days, *times = found.groups()
    from_hour, from_minute, to_hour, to_minute = map(int, times)
    return Span(_days(days), from_hour * 60 + from_minute, to_hour * 60 + to_minute)


def entry_fault(entry: str) -> str:
    """Say what is wrong with an entry, or return an empty string."""
    found = _ENTRY.fullmatch(entry.strip().lower())
    if found is None:
        return f"{entry!r} is no entry; write 'mon-fri 22:00-06:00', 'sat,sun 00:00-24:00' or '07:30-09:00'"
    days, *times = found.groups()
    if not all(_DAYS.fullmatch(part) for part in (days or "daily").split(",")):
        return f"{entry!r}: days are {', '.join(DAYS)}, such as mon-fri or sat,sun, or daily"
    from_hour, from_minute, to_hour, to_minute = map(int, times)
    from_min, to_min = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if from_minute > 59 or to_minute > 59 or from_min >= DAY_MIN or to_min > DAY_MIN:
        return f"{entry!r}: times go from 00:00 to 23:59, an end to 24:00"
    if from_min == to_min:
        return f"{entry!r} begins when it ends; a whole day is 00:00-24:00"
    return ""


def _days(text: str | None) -> frozenset[int]:
    """Return the weekdays of `mon-fri`, `sat,sun`, `fri-mon`; all for nothing or `daily`."""
    days: set[int] = set()
    for part in (text or "daily").split(","):
        first, _, last = part.partition("-")
        if first == "daily":
            days |= set(range(7))
            continue
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return frozenset(days)
