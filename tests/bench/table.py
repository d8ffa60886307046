"""Rows of the benchmark's table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


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


def as_markdown(rows: list[Row]) -> str:
    """Return the table."""
    lines = ["| what | measured | beside | ratio |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {row.what} | {row.value} | {row.beside} | {row.ratio} |" for row in rows])


def times_ms(work: Callable[[], object], repeats: int) -> np.ndarray:
    """Return how long each of `repeats` calls took, in milliseconds."""
    taken = np.empty(repeats)
    for number in range(repeats):
        began = time.perf_counter()
        work()
        taken[number] = (time.perf_counter() - began) * 1000.0
    return taken
