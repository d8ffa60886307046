"""`pehra demo --scenario`: a table, an object for JSON, exit codes, and refusals that say what is valid."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from pehra.cli import app
from pehra.demo.scenarios.catalogue import CATALOGUE


def run(*arguments):
    return CliRunner().invoke(app, ["demo", *arguments])


def test_all_scenarios_are_listed_with_what_they_show():
    done = run("--list")
    assert done.exit_code == 0
    assert all(name in done.stdout for name in CATALOGUE)


def test_a_scenario_that_is_good_enough_ends_with_0_and_its_numbers_as_json():
    done = run("--scenario", "still", "--seed", "33", "--json")
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads(done.stdout.splitlines()[-1])["scenarios"]
    assert (found["scenario"], found["seeds"], found["is_enough"]) == ("still", [33], True)
    assert found["skipped_of_still"] >= 0.9
    for rule in found["rules"]:
        assert rule["true"] == rule["right"] + rule["missed"]
        assert rule["told"] == rule["right"] + rule["false"]
    assert "prec." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--scenario", "flood"), "there is no scenario 'flood': choose of crossing"),
        (("--scenario", "still", "--seeds", "x"), "write 3, 1-10 or 1,4,7-9"),
        (("--scenario", "still", "--seeds", "9-2"), "the first of a span is the least"),
        (("--scenario", "still", "--model", "none-such"), "none-such"),
    ],
)
def test_what_makes_no_sense_is_refused_with_code_2(arguments, says):
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
