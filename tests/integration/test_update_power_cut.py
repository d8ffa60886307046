"""A device that is cut while it updates itself always boots, is old or new, and says which in the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("scenario", "first"),
    [("model_first", 3), ("model_next", 6), ("model_bad", 9), ("firmware_good", 4), ("firmware_bad", 7)],
)
def test_cuts_at_every_so_many_steps_and_at_random_moments(scenario, first):
    """All steps and 300 moments of each: `python -m tests.power_cut_updates` (docs/updates-device.md)."""
    command = [sys.executable, "-m", "tests.power_cut_updates", "--only", scenario]
    command += ["--first", str(first), "--stride", "11", "--rounds", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    name, steps, _, *_ = done.stdout.replace(":", "").split()
    assert (name, int(steps) >= 100) == (scenario, True)
