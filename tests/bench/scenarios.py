"""Precision and recall of every rule on the scripted streets, over more seeds than the tests have time for.

`python -m tests.bench scenarios` takes some minutes; what was missed or false is told on standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from pehra.demo.scenarios.catalogue import CATALOGUE, scenario
from pehra.demo.scenarios.judging import ENOUGH
from pehra.demo.scenarios.report import Summary, summary
from pehra.demo.scenarios.trial import show
from tests.bench.table import Row

SEEDS: Final = range(1, 13)


def measure(data: Path) -> list[Row]:
    """Return one row a rule and kind, and one for what the motion gate skips; real data is not needed."""
    del data
    return [row for name in CATALOGUE for row in _rows(name)]


def _rows(name: str) -> list[Row]:
    found = summary([show(scenario(name, seed)).outcome() for seed in SEEDS])
    for outcome in found.outcomes:
        for line in outcome.wrong:
            sys.stderr.write(f"{name} seed {outcome.seed}: {line}\n")
    rows = [
        Row(
            f"scenario {name}, {len(SEEDS)} seeds: {score.kind}",
            f"precision {score.precision:.3f}, recall {score.recall:.3f}",
            f"{score.true} true, {score.told} told; wanted {ENOUGH}",
            "enough" if score.is_enough else "TOO LOW",
        )
        for score in found.scores
    ]
    return rows + ([_gate_row(found)] if name == "still" else [])


def _gate_row(found: Summary) -> Row:
    return Row(
        "the same: frames with nobody in sight that the motion gate skipped",
        f"{found.still_share:.1%}",
        "wanted 90 %",
        "enough" if found.still_share >= 0.9 else "TOO LOW",
    )
