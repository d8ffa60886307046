"""`make bench`: what Pehra costs, beside a named peer or limit, as ratios taken in one run.

Prints one table in Markdown. Nothing is asserted here: numbers are for reading.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from tests.bench import detectors, ingest, pipeline_cost, tracker_cost
from tests.bench.table import Row, as_markdown


def main() -> None:
    """Run every part and print the table."""
    said = Console(stderr=True)
    data = Path(os.environ.get("PEHRA_DATA", Path(__file__).resolve().parents[2] / ".." / "shared" / "data"))
    rows: list[Row] = []
    for part in (pipeline_cost, detectors, tracker_cost, ingest):
        with said.status(f"{part.__name__.rpartition('.')[2]}..."):
            rows += part.measure(data)
    sys.stdout.write(machine() + "\n\n" + as_markdown(rows) + "\n")


def machine() -> str:
    """Return the machine in one line."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, litert {version('ai-edge-litert')}, "
        f"commit {revision.stdout.strip() or 'unknown'}"
    )


if __name__ == "__main__":
    main()
