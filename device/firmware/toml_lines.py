"""Finds the line of a key in a TOML text, for error messages; `tomllib` parses but keeps no lines.

It reads table headers and the first word of each line, no values; where it cannot tell it says None.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\-]+)\s*\]\]?")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+)\s*=")
_STEP = re.compile(r"([A-Za-z0-9_\-]+)(?:\[(\d+)\])?")


def line_of(text: str, path: str) -> int | None:
    """Return the line (from 1) of the deepest part of a path that stands in the text.

    Args:
        text: the TOML document.
        path: such as `camera[0].rule[1].points`.
    """
    wanted = _steps(path)
    best: int | None = None
    best_depth = 0
    counts: dict[str, int] = {}
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            table = _table(header[2], header[1] == "[[", counts)
            here = table
        elif key:
            here = [*table, key[1]]
        else:
            continue
        depth = _shared(here, wanted)
        if depth > best_depth:
            best, best_depth = number, depth
    return best


def _steps(path: str) -> list[str]:
    steps: list[str] = []
    for name, index in _STEP.findall(path):
        steps.append(f"{name}[{index}]" if index else name)
    return steps


def _table(name: str, is_array: bool, counts: dict[str, int]) -> list[str]:
    parts = name.split(".")
    path: list[str] = []
    for depth, part in enumerate(parts):
        key = ".".join([*path, part])
        if is_array and depth == len(parts) - 1:
            counts[key] = counts.get(key, -1) + 1
        path.append(f"{part}[{counts[key]}]" if key in counts else part)
    return path


def _shared(here: list[str], wanted: list[str]) -> int:
    depth = 0
    for have, want in zip(here, wanted, strict=False):
        if have != want and have != want.partition("[")[0]:
            return 0
        depth += 1
    return depth if len(here) <= len(wanted) else 0
