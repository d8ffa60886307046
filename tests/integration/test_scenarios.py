"""Every scenario on the device's own road: precision and recall of each rule, on seeds that nobody tuned for.

More seeds: `python -m tests.bench scenarios`, or `pehra demo --scenario all --seeds 1-20`.
"""

from __future__ import annotations

import pytest

from pehra.demo.scenarios.catalogue import CATALOGUE, scenario
from pehra.demo.scenarios.judging import ENOUGH
from pehra.demo.scenarios.report import summary
from pehra.demo.scenarios.trial import show

STILL_SKIPPED = 0.9


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_rule_tells_what_is_due_and_nothing_else(name):
    found = show(scenario(name, 31)).outcome()
    assert all(score.precision >= ENOUGH and score.recall >= ENOUGH for score in found.scores), found.wrong
    assert sum(score.right for score in found.scores) >= 1


def test_in_a_still_scene_the_gate_rests_and_nobody_enters_unnoticed():
    found = show(scenario("still", 32)).outcome()
    assert found.still_share >= STILL_SKIPPED
    assert found.looked < 0.25 * found.frames
    assert {score.recall for score in found.scores} == {1.0}


def test_a_device_that_sees_nothing_is_not_good_enough():
    """The check can fail: the same events are due, and none is told."""
    trial = show(scenario("still", 31))
    trial.told.clear()
    found = summary([trial.outcome()])
    assert not found.is_enough
    assert all("missed" in line for line in found.outcomes[0].wrong)
