"""A row of cards: read from a CSV, checked in full before the first, and resumed where it was left.

Which cards are done stands in a file beside the CSV, a line of JSON each.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from hardware.errors import SettingInvalid
from hardware.flash.settings import DEVICE_ID, SITE

_MAX_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """One card; `claim` is the text of a ticket, or empty."""

    device: str
    site: str
    claim: str = ""
    serial: str = ""


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a batch.

    Raises:
        SettingInvalid: all that is wrong with it, with the lines.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(path, f"it cannot be read ({error})", "save it as CSV in UTF-8") from error
    reader = csv.DictReader(io.StringIO(text), strict=True)
    columns = {(name or "").strip().lower() for name in reader.fieldnames or ()}
    if not {"id", "site"} <= columns:
        raise SettingInvalid(
            path, "its first line does not name the columns id and site", "see docs/flashing.md"
        )
    try:
        numbered = [(reader.line_num, _cleaned(found)) for found in reader]
    except csv.Error as error:
        raise SettingInvalid(path, f"line {reader.line_num}: {error}", "save it as CSV") from error
    rows = [
        (line, Row(*(found.get(name, "") for name in ("id", "site", "claim", "serial"))))
        for line, found in numbered
    ]
    if problems := [*_problems(rows)]:
        raise SettingInvalid(path, "; ".join(problems[:20]), "mend them; nothing was written")
    return [row for _, row in rows]


def _cleaned(found: dict[str | None, str | list[str] | None]) -> dict[str, str]:
    return {
        name.strip().lower(): value.strip()
        for name, value in found.items()
        if name and isinstance(value, str)
    }


def _problems(rows: list[tuple[int, Row]]) -> Iterable[str]:
    if not rows:
        yield "it has no rows"
    if len(rows) > _MAX_ROWS:
        yield f"it has more than {_MAX_ROWS} rows"
    seen: dict[str, dict[str, int]] = {"id": {}, "serial": {}}
    for line, row in rows:
        if not DEVICE_ID.fullmatch(row.device):
            yield f"line {line}: id {row.device!r} is not 3 to 40 of a-z, 0-9 and '-'"
        if not SITE.fullmatch(row.site):
            yield f"line {line}: site {row.site!r} is not lower-case words with slashes"
        if not row.serial.isprintable() or len(row.serial) > 64:
            yield f"line {line}: serial {row.serial[:20]!r} cannot be"
        for name, value in (("id", row.device), ("serial", row.serial)):
            if value and (before := seen[name].setdefault(value, line)) != line:
                yield f"line {line}: {name} {value} is on line {before}, too"


class Done:
    """Which cards of a batch are done."""

    def __init__(self, batch: Path) -> None:
        """Raises `SettingInvalid` where the file beside the batch is not ours."""
        self.path = batch.with_name(batch.name + ".done")
        self._sites: dict[str, str] = {}
        try:
            lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
            for line in lines:
                said = json.loads(line)
                self._sites[said["id"]] = said["site"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingInvalid(
                self.path, f"it cannot be read ({error})", "move it away to begin anew"
            ) from error

    def open_rows(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that are not done.

        Raises:
            SettingInvalid: one was done for another site.
        """
        rows = [*rows]
        for row in rows:
            if self._sites.get(row.device, row.site) != row.site:
                raise SettingInvalid(
                    row.device,
                    f"its card was made for {self._sites[row.device]}, the batch says {row.site}",
                    f"remove its line from {self.path} to make it again",
                )
        return [row for row in rows if row.device not in self._sites]

    def add(self, row: Row, sha256: str, when: datetime) -> None:
        """Remember that a card is done, with the hash of its customisation."""
        said = {
            "id": row.device,
            "site": row.site,
            "customisation": sha256,
            "at": when.isoformat(timespec="seconds"),
        }
        with self.path.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(said) + "\n")
        self._sites[row.device] = row.site
