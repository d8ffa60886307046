"""What a look of the rollouts' engine costs with 100,000 devices: time, and memory at its highest.

The engine alone, on SQLite in a temporary folder: no broker; devices answer by the same functions that ingest
calls. By itself: `python -m tests.bench.rollouts [--devices 100000]`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from sqlalchemy import event

from fleet.store.database import open_database
from tests.bench.table import Row
from tests.rollout_fleet import Town, names

DEVICES: Final = 100_000
LOOK_S: Final = 2.0
"""The engine looks this often (`fleet.rollouts.engine.TICK_S`)."""
FILTER: Final = "site:lahore/* board:pi4 model<1.4"


class Costs(msgspec.Struct, frozen=True):
    """Seconds of one look, and what the process held.

    Attributes:
        first_s: all looks until every device has joined and the first is told.
        held_s: the longest transaction of them, for which ingest waits on SQLite.
        still_s: a look at which nothing happens, median.
        tell_s: a look that tells 500 devices, median.
        again_s: a look that asks all devices again whether they belong to it.
        note_ms: one device's report, from its message to the commit, median.
        peak_mib: of the whole process, at its highest.
        base_mib: before the rollout was made.
    """

    first_s: float
    held_s: float
    still_s: float
    tell_s: float
    again_s: float
    note_ms: float
    peak_mib: float
    base_mib: float


def measure(data: Path) -> list[Row]:
    """Measure in a process of its own, so that its memory is its own."""
    del data
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.rollouts"], check=True, capture_output=True, timeout=1200
    )
    costs = msgspec.json.decode(done.stdout, type=Costs)
    what = f"rollouts, {DEVICES} devices on SQLite"
    every = f"looked at every {LOOK_S:g} s"
    return [
        Row(
            f"{what}, a look at which nothing happens, p50",
            f"{1000 * costs.still_s:.0f} ms",
            every,
            f"{costs.still_s / LOOK_S:.3f}",
        ),
        Row(
            f"{what}, a look that tells 500 devices, p50",
            f"{1000 * costs.tell_s:.0f} ms",
            every,
            f"{costs.tell_s / LOOK_S:.3f}",
        ),
        Row(
            f"{what}, a look that asks all devices again (once a minute)",
            f"{costs.again_s:.2f} s",
            "every 60 s",
            f"{costs.again_s / 60:.3f}",
        ),
        Row(
            f"{what}, all join and the first is told",
            f"{costs.first_s:.1f} s",
            f"longest transaction {costs.held_s:.1f} s",
        ),
        Row(f"{what}, a device's report, p50", f"{costs.note_ms:.1f} ms", "with its commit"),
        Row(
            f"{what}, memory at its highest",
            f"{costs.peak_mib:.0f} MiB",
            f"before the rollout was made {costs.base_mib:.0f} MiB",
        ),
    ]


def fill(devices: int, folder: Path) -> None:
    """Make the devices, in a process whose memory is not looked at."""
    town = Town(open_database(f"sqlite:///{folder}/fleet.db"))
    for start in range(0, devices, 10_000):
        town.add(names(min(10_000, devices - start), start), site=f"lahore/{start // 10_000}")


def cost_of(folder: Path) -> Costs:
    """Let a rollout over all devices begin and go through its stages for a while."""
    town = Town(open_database(f"sqlite:///{folder}/fleet.db"))
    base_mib = _peak_mib()
    rollout = town.rollout(FILTER, stages="1,100%", soak_s=0)
    joining, held = [], _transactions(town)
    while not town.wanted():
        joining.append(_seconds(lambda: town.tick(2)))
    peak_mib = _peak_mib()
    still = [_seconds(lambda: town.tick(2)) for _ in range(10)]
    again = _seconds(lambda: town.tick(61))
    reports, telling = [], []
    for _ in range(6):
        waiting = [device for device in town.wanted() if town.device(rollout, device).state == "told"]
        reports += [_seconds(lambda one=device: town.says(one, "b" * 64)) for device in waiting]
        telling.append(_seconds(lambda: town.tick(2)))
    return Costs(
        first_s=sum(joining),
        held_s=max(held),
        still_s=median(still),
        tell_s=median(telling[2:]),
        again_s=again,
        note_ms=1000 * median(reports),
        peak_mib=max(peak_mib, _peak_mib()),
        base_mib=base_mib,
    )


def _transactions(town: Town) -> list[float]:
    """Return a list that gets the length of each transaction, from its lock to its commit."""
    lengths: list[float] = []
    began = [0.0]

    def begin(*arguments: object) -> None:
        if arguments[2] == "BEGIN IMMEDIATE":
            began[0] = time.perf_counter()

    def end(_connection: object) -> None:
        if began[0]:
            lengths.append(time.perf_counter() - began[0])
            began[0] = 0.0

    event.listen(town.engine, "after_cursor_execute", begin)
    event.listen(town.engine, "commit", end)
    return lengths


def _seconds(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def _peak_mib() -> float:
    """Of this program; `ru_maxrss` would be that of whoever started it, if he was larger (getrusage(2))."""
    (line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=DEVICES)
    parser.add_argument("--fill", help="only make the devices, in this folder")
    chosen = parser.parse_args()
    if chosen.fill:
        fill(chosen.devices, Path(chosen.fill))
        return
    with tempfile.TemporaryDirectory() as folder:
        words = ["--devices", str(chosen.devices), "--fill", folder]
        subprocess.run([sys.executable, "-m", "tests.bench.rollouts", *words], check=True)
        costs = cost_of(Path(folder))
    sys.stdout.write(msgspec.json.encode(costs).decode() + "\n")


if __name__ == "__main__":
    main()
