"""Versions in their order: `1.4 < 1.10`, `1.4 = 1.4.0`, `1.4rc1 < 1.4`. Pure."""

from __future__ import annotations

import re
from typing import Final

Key = tuple[tuple[int, ...], int, int]
_FORM: Final = re.compile(
    r"v?(?P<numbers>\d{1,9}(?:\.\d{1,9}){0,5})(?:[-._]?(?P<word>dev|a|alpha|b|beta|c|rc|pre)[-._]?(?P<n>\d{0,9}))?"
    r"(?:[-+](?P<local>[0-9A-Za-z.-]{1,40}))?",
    re.ASCII | re.IGNORECASE,
)
_EARLY: Final = {"dev": 0, "a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "rc": 3, "pre": 3}
_FINAL: Final = 9


def version_key(text: str) -> Key | None:
    """Return what orders a version; None for a text that is none.

    What comes before a version (`dev`, `a`, `b`, `rc`) is smaller than it; what follows a plus or another
    dash is build information and does not count (Semantic Versioning 2.0.0, section 10).
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    numbers = [int(part) for part in found["numbers"].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    word = (found["word"] or "").lower()
    return tuple(numbers), _EARLY.get(word, _FINAL), int(found["n"] or 0)
