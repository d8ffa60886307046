"""Rows of the benchmark's table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

HEADER: Final = "| what | measured | beside | ratio |\n|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing.

    Attributes:
        what: what was done.
        value: the measurement with its unit.
        beside: the named peer or limit, with its own measurement.
        ratio: ours to the peer's, as text.
    """

    what: str
    value: str
    beside: str = ""
    ratio: str = ""


def as_line(row: Row) -> str:
    """Return the row as a line of the table under `HEADER`."""
    return f"| {row.what} | {row.value} | {row.beside} | {row.ratio} |"


def times_ms(work: Callable[[], object], repeats: int) -> np.ndarray:
    """Return how long each of `repeats` calls took, in milliseconds."""
    taken = np.empty(repeats)
    for number in range(repeats):
        began = time.perf_counter()
        work()
        taken[number] = (time.perf_counter() - began) * 1000.0
    return taken
