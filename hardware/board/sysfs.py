"""Small files of the kernel, read without trust: what is missing, unreadable or garbage is None."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_MOST_BYTES = 16_384
_NUMBERED = re.compile(r"(\d+)$")


def read_text(path: Path) -> str | None:
    """Return the text of a file without the NULs and blanks around it, None where there is none to read."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", errors="replace")
    except (OSError, ValueError):
        return None
    return text.strip("\0 \t\r\n") or None


def read_number(path: Path, base: int = 10) -> int | None:
    """Return the whole number in a file (`0x` is allowed for base 16), None where it is none."""
    return as_number(read_text(path), base)


def as_number(text: str | None, base: int = 10) -> int | None:
    """Turn a text into a whole number, None where it is none."""
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None


def numbered(folder: Path, stem: str) -> list[Path]:
    """Return the entries `stem0`, `stem1`, ... of a folder by their number; none where there is no folder."""
    try:
        found = [path for path in folder.iterdir() if re.fullmatch(re.escape(stem) + r"\d+", path.name)]
    except OSError:
        return []
    return sorted(found, key=_number)


def hwmon(root: Path, *names: str) -> Iterator[Path]:
    """Yield the folders of the hardware monitors that have one of these names."""
    for folder in numbered(root / "sys/class/hwmon", "hwmon"):
        if read_text(folder / "name") in names:
            yield folder


def _number(path: Path) -> int:
    found = _NUMBERED.search(path.name)
    return int(found[1]) if found else 0
