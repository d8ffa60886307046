"""A device that is cut while it updates itself always boots, is old or new, and says which in the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def cut(scenario, first, *, rounds):
    """All steps and 300 moments of each: `python -m tests.power_cut_updates` (docs/updates-device.md)."""
    command = [sys.executable, "-m", "tests.power_cut_updates", "--only", scenario]
    command += ["--first", str(first), "--stride", "11", "--rounds", str(rounds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    name, steps, _, kills, *_ = done.stdout.replace(":", "").split()
    assert name == scenario
    return int(steps), int(kills)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("scenario", "first"),
    [("model_first", 3), ("model_next", 6), ("model_bad", 9), ("firmware_good", 4), ("firmware_bad", 7)],
)
def test_cuts_at_every_so_many_steps_and_at_random_moments(scenario, first):
    steps, _ = cut(scenario, first, rounds=4)
    assert steps >= 100


@pytest.mark.timeout(300)
def test_a_board_with_launcher_and_real_programs_is_killed_at_random_while_its_firmware_is_updated():
    steps, kills = cut("firmware_launched", 5, rounds=4)
    assert (steps >= 30, kills >= 2) == (True, True)
