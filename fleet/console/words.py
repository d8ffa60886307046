"""How values are said to people: pure functions, no widgets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from fleet.queries.devices import shown_state
from fleet.queries.paging import is_storable
from fleet.store.tables import Device, Event

NOTHING = "–"
ARROWS = {"in": "→ in", "out": "← out"}


def ago(then_ms: int, now_ms: int) -> str:
    """Return how long ago, in the largest unit that says something."""
    if not then_ms:
        return NOTHING
    seconds = max(0, (now_ms - then_ms) // 1000)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "now" if seconds < 2 else f"{seconds} s ago"


def clock_time(ms: int) -> str:
    """Return a moment as date and time, UTC, to the second."""
    try:
        return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return NOTHING


def number(value: float | None, unit: str = "", digits: int = 0) -> str:
    """Return a value with its unit, or a dash."""
    return NOTHING if value is None else f"{value:.{digits}f}{f' {unit}' if unit else ''}"


def duration(seconds: float | None) -> str:
    """Return a length of time in at most two units."""
    if seconds is None:
        return NOTHING
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days >= 1:
        return f"{days:.0f} d {hours % 24:.0f} h"
    if hours >= 1:
        return f"{hours:.0f} h {minutes % 60:.0f} min"
    return f"{minutes:.0f} min" if minutes >= 1 else f"{seconds:.0f} s"


def url_of(path: str, **state: str | int | None) -> str:
    """Return a page's URL that holds its view state; what is empty is left out."""
    query = urlencode({name: value for name, value in state.items() if value not in ("", None, 0)})
    return quote(path) + (f"?{query}" if query else "")


def word_of(text: str) -> str:
    """Return what somebody typed or what stood in a URL; nothing if no text of ours could match it."""
    return text.strip() if is_storable(text) else ""


def device_line(device: Device, alarms: int, now_ms: int) -> dict[str, Any]:
    """Return a device as a row of the devices table; numbers stay numbers so that columns sort."""
    health = device.health or {}
    is_fresh = device.is_online
    return {
        "id": device.id,
        "state": shown_state(device),
        "site": device.site or NOTHING,
        "seen": ago(device.last_seen_ms, now_ms),
        "seen_ms": device.last_seen_ms,
        "fps": health.get("fps") if is_fresh else None,
        "temp_c": health.get("temp_c") if is_fresh else None,
        "alarms": alarms,
        "events": device.events_stored,
    }


def event_line(event: Event) -> dict[str, Any]:
    """Return an event as a row of an events table."""
    what = f"{event.object_class} #{event.track}" if event.object_class else NOTHING
    return {
        "key": f"{event.device}/{event.seq}",
        "at": clock_time(event.at_ms),
        "device": event.device,
        "cam": event.cam,
        "kind": event.kind,
        "rule": event.rule,
        "what": what,
        "conf": number(event.conf, digits=2),
        "detail": _detail(event),
        "sev": event.sev,
        "late": event.is_hist,
    }


def _detail(event: Event) -> str:
    parts = [ARROWS.get(event.direction or "", "")]
    if event.number is not None:
        parts.append(f"{event.number} of them")
    if event.speed_mps is not None:
        parts.append(f"{event.speed_mps:.1f} m/s")
    if event.duration_s is not None:
        parts.append(f"{event.duration_s:.1f} s")
    if event.n > 1:
        parts.append(f"{event.n} times")
    return " ".join(part for part in parts if part) or NOTHING
