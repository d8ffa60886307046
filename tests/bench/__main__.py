"""`make bench`: what Pehra costs, beside a named peer or limit, as ratios taken in one run.

Prints one table in Markdown, each part's rows as soon as they are measured. Nothing is asserted here: numbers
are for reading. `make bench ARGS="tracking ingest"` measures only these parts.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.bench import (
    camera_process,
    deltas,
    detectors,
    flash,
    identity,
    ingest,
    pipeline_cost,
    rollout_air,
    rollouts,
    rules_cost,
    scenarios,
    soak,
    tracking,
    view,
)
from tests.bench.table import HEADER, Row, as_line

Part = Callable[[Path], list[Row]]
"""Measures with the folder of real data, which may be absent, and returns its rows."""

PARTS: Final[dict[str, Part]] = {
    "pipeline_cost": pipeline_cost.measure,
    "rules_cost": rules_cost.measure,
    "camera_process": camera_process.measure,
    "detectors": detectors.measure,
    "tracking": tracking.measure,
    "ingest": ingest.measure,
    "scenarios": scenarios.measure,
    "soak": soak.measure,
    "view": view.measure,
    "flash": flash.measure,
    "rollouts": rollouts.measure,
    "rollout_air": rollout_air.measure,
    "deltas": deltas.measure,
    "identity": identity.measure,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure the parts that were asked for, or all, and print their rows."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without any")
    chosen = parser.parse_args(arguments).parts or list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}: choose of {', '.join(PARTS)}")
    said = Console(stderr=True)
    data = Path(os.environ.get("PEHRA_DATA", Path(__file__).resolve().parents[2] / ".." / "shared" / "data"))
    _say(f"{machine()}\n\n{HEADER}")
    for name in chosen:
        with said.status(f"{name}..."):
            rows = PARTS[name](data)
        _say("\n".join(map(as_line, rows)))


def machine() -> str:
    """Return the machine, the day, the load and the commit in one line."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} at the start, "
        f"Python {platform.python_version()}, litert {version('ai-edge-litert')}, "
        f"{datetime.now(UTC):%Y-%m-%d}, commit {_git('rev-parse', '--short', 'HEAD') or 'unknown'}"
        + (" and changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    )


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
