"""What a device's own words make of it: success is what runs, never what was said of it."""

from __future__ import annotations

import pytest

from fleet.rollouts.answers import FOR_GOOD, ON_THE_WAY, PROGRESS, Fate, after_report, after_update
from fleet.rollouts.plan import OPEN

NEW, OLD, OTHER = "new", "old", "other"


def report(state: str, running: str, reason: str = "", before: str = OLD) -> Fate | None:
    return after_report(state, reason, running=running, wanted=NEW, before=before)


@pytest.mark.parametrize("state", OPEN)
def test_who_runs_the_release_has_succeeded(state: str) -> None:
    assert report(state, NEW) == Fate("succeeded")


@pytest.mark.parametrize("state", OPEN)
def test_who_runs_what_it_ran_before_has_said_nothing_yet(state: str) -> None:
    assert report(state, OLD) is None


@pytest.mark.parametrize("state", OPEN)
def test_who_runs_another_hash_than_both_has_failed(state: str) -> None:
    assert report(state, OTHER) == Fate("failed", "runs another: other")


def test_who_goes_back_after_it_had_succeeded_has_failed() -> None:
    assert report("succeeded", OLD) == Fate("failed", "went back to what it ran before")
    assert report("succeeded", OTHER) == Fate("failed", "runs another: other")
    assert report("succeeded", NEW) is None


def test_a_device_that_flaps_stays_failed_and_one_that_was_only_late_does_not() -> None:
    assert report("failed", NEW, "went back to what it ran before") is None
    assert report("failed", NEW, "silent for 1 d after it was told") == Fate("succeeded", "answered late")


def test_who_was_told_to_let_go_is_taken_at_its_word() -> None:
    assert report("withdrawn", NEW) == Fate("succeeded")
    assert report("withdrawn", OLD) == Fate("skipped", "runs what it ran before")
    assert report("waiting", NEW) == Fate("skipped", "runs it already")
    assert report("waiting", OLD) is None


def test_going_back_is_done_when_what_was_before_runs() -> None:
    assert report("reverting", OLD) == Fate("reverted")
    assert report("reverting", NEW) is None
    assert report("reverting", "", before="") is None


@pytest.mark.parametrize("state", ["waiting", "succeeded", "failed", "skipped", "withdrawn", "reverted"])
def test_words_of_the_updater_mean_nothing_to_who_was_not_told_or_has_answered(state: str) -> None:
    assert all(after_update(state, word, "") is None for word in (*PROGRESS, *FOR_GOOD, *ON_THE_WAY))


def test_who_refuses_to_go_back_has_failed_and_says_why() -> None:
    assert after_update("reverting", "rejected", "sec-ver") == Fate(
        "failed", "did not go back: rejected: sec-ver"
    )
    assert after_update("reverting", "failed", "disk full") == Fate("reverting", "failed: disk full")
    assert after_update("reverting", "switched", "") is None
    assert after_update("reverting", "committed", "runs already") is None
    assert after_update("reverting", "committed", "runs already", runs_before=True) == Fate("reverted")


def test_no_word_of_the_updater_is_a_success() -> None:
    for state in OPEN:
        for word in (*PROGRESS, *FOR_GOOD, *ON_THE_WAY, "done", "succeeded", ""):
            fate = after_update(state, word, "")
            assert fate is None or fate.state != "succeeded"


def test_an_operating_system_which_reports_no_hash_ends_by_its_word() -> None:
    assert after_update("installed", "committed", "", ends_by_word=True) == Fate("succeeded")
    assert after_update("installed", "switched", "", ends_by_word=True) is None


def test_the_last_word_of_an_operating_system_counts_where_a_report_would() -> None:
    def ended(state: str, stood: str = "") -> Fate | None:
        return after_update(state, "committed", "", ends_by_word=True, stood=stood)

    assert ended("withdrawn") == Fate("succeeded")
    assert ended("failed", "silent for 1 d after it was told") == Fate("succeeded", "answered late")
    assert ended("failed", "rejected: flash") is None
    assert ended("reverting") == Fate("reverted")
    assert ended("succeeded") is None


def test_what_was_refused_or_rolled_back_is_final_and_what_failed_on_the_way_is_not() -> None:
    assert after_update("downloading", "rejected", "sec-ver") == Fate("failed", "rejected: sec-ver")
    assert after_update("installed", "rolled-back", "too slow") == Fate("failed", "rolled-back: too slow")
    assert after_update("downloading", "failed", "disk full") == Fate("retrying", "failed: disk full")
    assert after_update("retrying", "failed", "disk full") is None
    assert after_update("retrying", "rejected", "") == Fate("failed", "rejected")
    assert after_update("told", "failed", "x" * 500) == Fate("retrying", ("failed: " + "x" * 500)[:200])
