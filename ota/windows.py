"""Maintenance windows in a site's own time: `02:00-05:00`, `mon-fri 22:00-05:00`. Pure.

A window that crosses midnight belongs to the day on which it begins. Days and hours are those of the clock on
the wall, so a night in which clocks change has a window that is an hour longer or shorter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ota.errors import BadWindow

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES: Final = 24 * 60
_FORM: Final = re.compile(
    r"(?:(?P<days>[a-z,-]{3,40})\s+)?(?P<h1>\d{1,2}):(?P<m1>\d\d)\s*-\s*(?P<h2>\d{1,2}):(?P<m2>\d\d)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Window:
    """When devices may change.

    Attributes:
        days: on which it begins, 0 is Monday.
        begin_min: in minutes after midnight, 0..1439.
        end_min: 1..1440; not after `begin_min` means on the next day.
    """

    days: frozenset[int]
    begin_min: int
    end_min: int

    def is_open(self, now_ms: int, timezone: str) -> bool:
        """Whether a site's clock shows a time inside; a timezone that nobody knows counts as UTC."""
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone_of(timezone))
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin_min < self.end_min:
            return day in self.days and self.begin_min <= minute < self.end_min
        yesterday = (day - 1) % 7
        is_tonight = day in self.days and minute >= self.begin_min
        return is_tonight or (yesterday in self.days and minute < self.end_min)

    def opens_in_s(self, now_ms: int, timezone: str) -> int:
        """Return the seconds until it opens next, to the minute; 0 when it is open."""
        minute_ms = 60_000
        if self.is_open(now_ms, timezone):
            return 0
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone_of(timezone))
        for ahead in range(9):
            begin = (local + timedelta(days=ahead)).replace(
                hour=self.begin_min // 60, minute=self.begin_min % 60, second=0, microsecond=0
            )
            if begin.weekday() in self.days and begin.timestamp() * 1000 > now_ms:
                return round(max(0, begin.timestamp() * 1000 - now_ms) / minute_ms) * 60
        return 7 * 86_400


def parse_window(text: str) -> Window | None:
    """Return the window that a text means; None for an empty one, which is any time.

    Raises:
        BadWindow: it cannot be read.
    """
    if not text.strip():
        return None
    found = _FORM.fullmatch(text.strip().lower())
    if found is None:
        raise BadWindow(f"{text[:60]!r} is none: write 02:00-05:00 or mon-fri 22:00-05:00")
    begin, end = _minutes(found["h1"], found["m1"], text), _minutes(found["h2"], found["m2"], text)
    if begin in (MINUTES, end):
        raise BadWindow(f"{text[:60]!r} has no length; 00:00-24:00 is the whole day")
    return Window(_days(found["days"] or "mon-sun", text), begin, end)


@lru_cache(maxsize=512)
def zone_of(name: str) -> tzinfo:
    """Return a timezone; UTC for a name that nobody knows."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _minutes(hours: str, minutes: str, text: str) -> int:
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > MINUTES:
        raise BadWindow(f"{hours}:{minutes} in {text[:60]!r} is no time of a day")
    return total


def _days(text: str, window: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise BadWindow(f"{part!r} in {window[:60]!r} is no day: use {' '.join(DAYS)}")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days |= {(begin + n) % 7 for n in range((end - begin) % 7 + 1)}
    return frozenset(days)
