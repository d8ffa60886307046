"""What ingest counts since start: refused by reason, repeats, latency. In memory, for any thread."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LATENCY_WINDOW: Final = 10_000


@dataclass(frozen=True, slots=True)
class TallyView:
    """One moment's numbers.

    Attributes:
        received: messages that came, good or not.
        stored: durable messages newly stored (events and count buckets).
        acked: durable messages acknowledged, repeats too.
        duplicates: durable messages that came again.
        refused: reason -> how many (`fleet.reading.REASONS`).
        latency_ms_p50: from the frame to the commit, of the last live events; None before the first.
        latency_ms_p95: the same, 95th percentile.
    """

    received: int
    stored: int
    acked: int
    duplicates: int
    refused: dict[str, int]
    latency_ms_p50: float | None
    latency_ms_p95: float | None


class Tally:
    """Counts; cheap enough for every message."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._latencies_ms: deque[int] = deque(maxlen=LATENCY_WINDOW)

    def received(self) -> None:
        """Count one message that came, good or not."""
        with self._lock:
            self._counts["received"] += 1

    def refused(self, reason: str, times: int = 1) -> int:
        """Count messages kept out; return how many of that reason there are now."""
        with self._lock:
            self._refused[reason] += times
            return self._refused[reason]

    def stored(self, *, stored: int, acked: int, duplicates: int, latencies_ms: Iterable[int]) -> None:
        """Count one committed batch."""
        with self._lock:
            self._counts.update(stored=stored, acked=acked, duplicates=duplicates)
            self._latencies_ms.extend(latencies_ms)

    def view(self) -> TallyView:
        """Return the numbers of this moment."""
        with self._lock:
            ordered = sorted(self._latencies_ms)
            return TallyView(
                received=self._counts["received"],
                stored=self._counts["stored"],
                acked=self._counts["acked"],
                duplicates=self._counts["duplicates"],
                refused=dict(self._refused),
                latency_ms_p50=percentile(ordered, 50),
                latency_ms_p95=percentile(ordered, 95),
            )


def percentile(ordered: list[int], percent: float) -> float | None:
    """Return the nearest-rank percentile of ascending numbers; None when there are none."""
    if not ordered:
        return None
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))])
