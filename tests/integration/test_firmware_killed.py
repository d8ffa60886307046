"""Power cuts at each step of the launcher."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.launcher_cuts import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*command: str, limit_s: float) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_cut_at_any_step_of_the_launcher_leaves_what_starts(tmp_path, scenario):
    steps = int(run("tests.launcher_cuts", scenario, str(tmp_path), limit_s=100).split()[0])
    assert steps >= (1 if scenario == "forgetting" else 3)
