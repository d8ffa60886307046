"""Spans, stages, windows and the stop rule: small grammars and one formula."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import BadInput
from fleet.rollouts.plan import Settings, settings_of
from fleet.rollouts.spans import parse_span, span_text
from fleet.rollouts.stages import DEFAULT_STAGES, Stage, parse_stages
from fleet.rollouts.stop_rule import Answers, StopRule, why_stopped, wilson_lower
from fleet.rollouts.windows import parse_window

Z = 1.959964


def at(text: str, zone: str = "Asia/Karachi") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def test_stages_are_read_as_they_are_written() -> None:
    assert parse_stages("1,10%/2h,100%") == (Stage(1), Stage(percent=10.0, soak_s=7200), Stage(percent=100.0))
    assert [stage.size(1000) for stage in parse_stages(DEFAULT_STAGES)] == [1, 10, 100, 500, 1000]
    assert [stage.size(3) for stage in parse_stages(DEFAULT_STAGES)] == [1, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "number 1"),
        ("0", "at least 1"),
        ("1.5", "whole number"),
        ("0%", "more than 0"),
        ("101%", "at most 100"),
        ("10%,10%", "number 2"),
        ("50%,10%", "number 2"),
        ("5,3", "number 2"),
        ("10%,5", "number 2"),
        ("1/2x", "no span"),
        ("1/99999d", "days"),
        ("one", "number 1"),
        (",".join(str(n) for n in range(1, 30)), "at most"),
    ],
)
def test_stages_that_make_no_sense_are_refused_with_their_number(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        parse_stages(text)


@given(st.floats(0.001, 100), st.integers(0, 200_000))
def test_a_share_is_at_least_one_device_and_never_more_than_there_are(percent: float, members: int) -> None:
    size = Stage(percent=percent).size(members)
    assert min(1, members) <= size <= members
    assert size >= members * percent / 100 - 1e-6


@given(st.integers(0, 90 * 86_400))
def test_a_span_for_people_has_at_most_two_units(span_s: int) -> None:
    assert 2 <= len(span_text(span_s).split()) <= 4


def test_spans_are_read_and_refused() -> None:
    assert [parse_span(text, "x") for text in ("90s", "30m", "30min", "4h", "2d")] == [
        90,
        1800,
        1800,
        14_400,
        172_800,
    ]
    for text in ("", "4", "h", "-4h", "4 h", "91d", "1h30m"):
        with pytest.raises(BadInput, match="x: "):
            parse_span(text, "x")
    assert span_text(4800) == "1 h 20 min"
    assert span_text(0) == "0 s"


def test_a_window_is_open_by_the_clock_of_the_site() -> None:
    window = parse_window("02:00-05:00")
    assert window is not None
    assert window.is_open(at("2026-11-24T02:00"), "Asia/Karachi")
    assert not window.is_open(at("2026-11-24T05:00"), "Asia/Karachi")
    assert not window.is_open(at("2026-11-24T03:00"), "Europe/Berlin")
    assert window.is_open(at("2026-11-24T03:00", "UTC"), "Nowhere/Unknown"), "an unknown zone counts as UTC"


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    window = parse_window("fri 22:00-04:00")
    assert window is not None
    friday, saturday = "2026-11-27", "2026-11-28"
    zone = "Asia/Karachi"
    assert window.is_open(at(f"{friday}T22:00"), zone)
    assert window.is_open(at(f"{saturday}T03:59"), zone)
    assert not window.is_open(at(f"{friday}T03:00"), zone)
    assert not window.is_open(at(f"{saturday}T22:30"), zone)


def test_when_a_window_opens_next_is_known_also_over_a_change_of_clocks() -> None:
    window = parse_window("sun 02:30-05:00")
    assert window is not None
    asked = at("2026-03-28T12:00", "Europe/Berlin")  # 2:30 of the next day does not exist there
    opens_s = window.opens_in_s(asked, "Europe/Berlin")
    assert 13 * 3600 <= opens_s <= 15 * 3600
    assert window.is_open(asked + 1000 * opens_s, "Europe/Berlin")
    assert window.opens_in_s(at("2026-11-29T03:00"), "Asia/Karachi") == 0


@pytest.mark.parametrize(
    "text",
    ["2-5", "02:00", "25:00-26:00", "02:60-03:00", "03:00-03:00", "24:00-02:00", "xyz 02:00-03:00", "x" * 99],
)
def test_a_window_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="window"):
        parse_window(text)


def test_wilsons_bound_has_the_values_of_the_literature() -> None:
    # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17,
    # 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    known = {(81, 263): 0.2553, (15, 148): 0.0624, (0, 20): 0.0, (1, 29): 0.0061}
    for (failed, answered), lower in known.items():
        assert wilson_lower(failed, answered, Z) == pytest.approx(lower, abs=5e-5)
    assert wilson_lower(0, 0, Z) == 0.0


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_bound_lies_between_nothing_and_the_share_and_rises_with_failures(failed: int, good: int) -> None:
    answered = failed + good
    lower = wilson_lower(failed, answered, Z)
    assert 0.0 <= lower <= (failed / answered if answered else 0.0) + 1e-12
    assert wilson_lower(failed + 1, answered + 1, Z) >= lower - 1e-12


@pytest.mark.parametrize(
    ("failed", "answered", "stops"),
    [
        (1, 1, True),
        (50, 50, True),
        (1, 10, False),
        (3, 20, True),
        (2, 40, False),
        (40, 1000, False),
        (0, 0, False),
    ],
)
def test_the_rule_stops_what_surely_fails_too_often(failed: int, answered: int, stops: bool) -> None:
    answers = Answers(answered, failed)
    assert bool(why_stopped(StopRule(), answers, answers)) is stops


def test_the_cap_stops_a_small_share_of_very_many() -> None:
    assert why_stopped(StopRule(), Answers(), Answers(50_000, 100)) == ""
    assert "more than 100" in why_stopped(StopRule(), Answers(), Answers(50_000, 101))
    assert "more than 0" in why_stopped(StopRule(share_max=0.9, failures_max=0), Answers(), Answers(9, 1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"soak_s": "x"},
        {"deadline_s": 5},
        {"tries": 0},
        {"at_once": 0},
        {"window": "x"},
        {"stop_share_max": 1.5},
        {"stop_failures_max": -1},
        {"stop_z": 99.0},
        {"backoff_s": "30d"},
        {"colour": 1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        settings_of(**wrong)  # type: ignore[arg-type]


def test_settings_that_are_left_out_are_safe() -> None:
    assert settings_of(soak_s=None) == Settings()
    assert settings_of(soak_s="2h").soak_s == 7200
