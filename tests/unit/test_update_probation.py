"""Whether a model stays: pace, latency, and whether it sees as much as was usual at these hours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.firmware.updating.probation import Pace, budget_ms, judged, too_slow, unlike
from device.firmware.updating.rates import Hour, Rates, added, compared, in_words, per_second

NOON = 12 * 3600.0
DAY_S = 86_400.0


def pace(frames=6000, seconds=600.0, p95_ms=20.0):
    return Pace({"cam0": seconds}, {"cam0": frames}, p95_ms)


def verdict(before, after, fps=10.0, usual=None, since=None):
    said = judged(before, after, fps, usual or {}, since or {})
    return said.state if said.state == "good" else (said.state, said.reason)


def test_a_model_as_quick_as_before_stays():
    assert verdict(pace(), pace()) == "good"
    assert verdict(pace(), pace(frames=4801)) == "good"


def test_a_fifth_fewer_frames_send_a_model_back():
    assert verdict(pace(), pace(frames=4700)) == ("bad", "7.8 frames a second with it, 10.0 before")


def test_a_slow_tail_sends_a_model_back_unless_the_cameras_wait_longer_anyway():
    assert verdict(pace(), pace(p95_ms=31.0), fps=50.0) == (
        "bad",
        "too slow: 31 ms an inference (p95), at most 30 here",
    )
    assert verdict(pace(), pace(p95_ms=99.0), fps=10.0) == "good", "each frame has 100 ms"
    assert verdict(pace(p95_ms=80.0), pace(p95_ms=119.0), fps=10.0) == "good"
    assert verdict(pace(p95_ms=80.0), pace(p95_ms=121.0), fps=10.0)[0] == "bad"


def test_a_device_that_has_just_started_is_judged_by_its_cameras_alone():
    assert verdict(Pace(), pace(frames=10)) == "good"
    assert verdict(Pace(), pace(p95_ms=101.0)) == (
        "bad",
        "too slow: 101 ms an inference (p95), at most 100 here",
    )
    assert verdict(Pace(), Pace()) == "good"


def test_a_camera_that_was_lost_meanwhile_is_not_held_against_the_model():
    both = Pace({"cam0": 600.0, "cam1": 600.0}, {"cam0": 6000, "cam1": 6000}, 20.0)
    assert verdict(both, pace()) == "good"
    assert verdict(both, Pace({"cam0": 600.0, "cam1": 2.0}, {"cam0": 6000, "cam1": 0}, 20.0)) == "good"


def test_what_is_plainly_too_slow_is_not_even_tried():
    assert too_slow(150.0, 20.0, 10.0) == ""
    assert too_slow(201.0, 20.0, 10.0) == "too slow: 201 ms an inference, at most 200 here"
    assert too_slow(201.0, 80.0, 10.0) == ""
    assert budget_ms(None, 25.0) == 40.0


def day(per_hour, *, from_s=0.0, hours=24, watched_s=3600.0, rates=None):
    """A camera's day: so many objects in each hour."""
    for hour in range(hours):
        number = per_hour[hour % len(per_hour)]
        rates = added(rates or Rates(), from_s + hour * 3600.0, watched_s, number)
    return rates


BUSY = [2, 1, 0, 0, 1, 5, 40, 120, 150, 90, 80, 100, 130, 110, 90, 100, 140, 180, 160, 90, 50, 30, 10, 5]


def test_a_day_like_the_one_before_lies_inside_the_band():
    assert compared(day(BUSY), day(BUSY, from_s=DAY_S)).word == "inside"


@pytest.mark.parametrize("factor", [0.2, 0.5, 2.0, 5.0])
def test_a_holiday_or_a_closed_road_lies_inside_the_band(factor):
    other = [round(number * factor) for number in BUSY]
    assert compared(day(BUSY), day(other, from_s=DAY_S)).word == "inside"


def test_a_model_that_sees_nothing_is_found_within_half_an_hour_of_a_busy_street():
    before = day(BUSY)
    after = added(Rates(), DAY_S + NOON, 1500.0, 0)
    assert compared(before, after).word == "blind"
    assert unlike({"cam0": before}, {"cam0": after}) == (
        "cam0 sees nothing with it: 0 objects where about 54 were usual"
    )
    assert compared(before, added(Rates(), DAY_S + NOON, 1000.0, 0)).word == "open", (
        "36 expected are not enough"
    )


def test_a_model_that_sees_nothing_by_night_is_not_judged_by_the_day():
    after = added(added(Rates(), DAY_S + 2 * 3600, 3600.0, 0), DAY_S + 3 * 3600, 3600.0, 0)
    assert compared(day(BUSY), after).word == "open"


def test_a_model_that_lost_most_or_sees_ghosts_leaves_the_band_after_hours():
    few, many = [round(n * 0.07) for n in BUSY], [n * 12 + 1 for n in BUSY]
    assert compared(day(BUSY), day(few, from_s=DAY_S)).word == "low"
    assert compared(day(BUSY), day(many, from_s=DAY_S)).word == "high"
    assert compared(day(BUSY), day([12 * 130], from_s=DAY_S + NOON, hours=2)).word == "open"
    assert in_words("cam0", compared(day(BUSY), day(many, from_s=DAY_S))).startswith(
        "cam0 sees far more with it"
    )


def test_where_nobody_passes_nothing_is_judged():
    empty = day([0])
    assert compared(empty, day([0], from_s=DAY_S)).word == "open"
    assert compared(empty, day([5], from_s=DAY_S)).word == "open"
    assert unlike({"cam0": empty}, {"cam0": day([0], from_s=DAY_S)}) == ""


def test_a_device_without_a_past_is_not_judged():
    assert unlike({}, {"cam0": day(BUSY)}) == ""
    assert compared(Rates(), day(BUSY)).word == "open"


def test_an_hour_without_a_past_is_judged_by_its_neighbours():
    rates = Rates({11: Hour(3600.0, 100.0), 13: Hour(3600.0, 300.0)})
    assert per_second(rates, 12) == pytest.approx(400 / 7200)
    assert per_second(rates, 3) is None
    assert per_second(Rates({12: Hour(60.0, 5.0)}), 12) is None, "a minute says nothing"
    assert per_second(Rates({23: Hour(3600.0, 36.0)}), 0) == pytest.approx(0.01)


def test_the_same_hour_of_later_days_counts_more_than_earlier_ones():
    rates = day([100], hours=24)
    for number in range(1, 8):
        rates = day([10], from_s=number * DAY_S, hours=24, rates=rates)
    assert per_second(rates, 12) * 3600 == pytest.approx(10, abs=1)
    assert len(rates.hours) == 24


def test_a_car_that_is_parked_for_a_day_is_one_object_and_leaving_changes_nothing():
    with_car = day([1] + [0] * 23)
    assert compared(with_car, day([0], from_s=DAY_S)).word == "open"


COUNTS = st.lists(st.integers(0, 400), min_size=24, max_size=24)


@given(COUNTS, st.integers(0, 23), st.integers(1, 24))
def test_the_same_again_is_never_out_of_the_band(counts, begin, hours):
    before = day(counts)
    after = None
    for hour in range(begin, begin + hours):
        after = added(after or Rates(), DAY_S + hour * 3600.0, 3600.0, counts[hour % 24])
    assert compared(before, after).word in ("open", "inside")


@given(COUNTS, COUNTS)
def test_a_comparison_never_fails_and_always_has_a_word(before, after):
    finding = compared(day(before), day(after, from_s=DAY_S))
    assert (in_words("cam0", finding) == "") == (finding.word in ("open", "inside"))
