"""The audit log as CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

from sqlmodel import Session

from fleet.access.audit import all_entries
from ota.messages import format_ts

HEADER: Final = ("n", "at", "who", "action", "target", "detail", "previous", "hash")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def csv_lines(session: Session) -> Iterator[str]:
    """Return the log line by line, oldest row first, with a header."""
    yield _line(HEADER)
    for row in all_entries(session):
        words = (row.who, row.action, row.target, row.detail, row.previous, row.hash)
        yield _line((str(row.n), format_ts(row.at_ms / 1000), *map(safe_cell, words)))


def _line(cells: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
