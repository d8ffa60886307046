"""Spans of time as people write them: `90s`, `30m`, `4h`, `2d`. Pure."""

from __future__ import annotations

import re
from typing import Final

from fleet.errors import BadInput

_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_FORM: Final = re.compile(r"(\d{1,7})(s|min|m|h|d)", re.ASCII)
SPAN_MAX_S: Final = 90 * 86_400


def parse_span(text: str, what: str) -> int:
    """Return seconds.

    Args:
        text: such as `4h`.
        what: how the sentence calls it if it is wrong.

    Raises:
        BadInput: it is none, or longer than 90 days.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{what}: {text[:40]!r} is no span of time: write 90s, 30m, 4h or 2d")
    span_s = int(found[1]) * _UNITS[found[2]]
    if span_s > SPAN_MAX_S:
        raise BadInput(f"{what}: {text} is more than {SPAN_MAX_S // 86_400} days")
    return span_s


def span_text(span_s: float) -> str:
    """Return a span for people, in its two largest units: `2 d 4 h`, `1 h 20 min`, `45 s`."""
    left = max(0, round(span_s))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])
