"""How busy and how full: processor, memory, disk and uptime out of procfs."""

from __future__ import annotations

import os
from pathlib import Path

from hardware.board.sysfs import as_number, read_text


class Processor:
    """Share of its time that the processor worked, between two calls; the first call gives None."""

    def __init__(self, root: Path) -> None:
        self._file = root / "proc/stat"
        self._before: tuple[int, int] | None = None

    def busy_pct(self) -> float | None:
        """Return 0..100 over all cores since the last call."""
        now = _times(read_text(self._file))
        before, self._before = self._before, now or self._before
        if now is None or before is None or now[1] <= before[1]:
            return None
        idle, total = now[0] - before[0], now[1] - before[1]
        return round(min(100.0, max(0.0, 100.0 * (1 - idle / total))), 1)


def memory_pct(root: Path) -> float | None:
    """Return how much of the memory is not available, 0..100."""
    sizes = {}
    for line in (read_text(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        sizes[name] = as_number(rest.split()[0] if rest.split() else None)
    total, free = sizes.get("MemTotal"), sizes.get("MemAvailable")
    if not total or free is None or not 0 <= free <= total:
        return None
    return round(100.0 * (1 - free / total), 1)


def disk_pct(folder: Path) -> float | None:
    """Return how full the disk of a folder is for a program without privileges, 0..100."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    used = disk.f_blocks - disk.f_bfree
    return round(100.0 * used / (used + disk.f_bavail), 1) if used + disk.f_bavail > 0 else None


def uptime_s(root: Path) -> float | None:
    """Return the seconds since the board started."""
    words = (read_text(root / "proc/uptime") or "").split()
    try:
        seconds = float(words[0])
    except (IndexError, ValueError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _times(text: str | None) -> tuple[int, int] | None:
    """Idle and total time of the line `cpu` (proc(5)): user nice system idle iowait irq softirq steal."""
    words = (text or "").partition("\n")[0].split()
    times = [as_number(word) for word in words[1:9]]
    if len(times) < 4 or words[0] != "cpu":
        return None
    known = [time for time in times if time is not None]
    if len(known) != len(times):
        return None
    return sum(known[3:5]), sum(known)
