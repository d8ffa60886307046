"""Schedules in the site's time, and rules that are on and off duty."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.firmware.rules import Duty, LineRule, ZoneRule, parse_schedule
from device.firmware.rules.schedule import DAYS, entry_fault, parse_span
from tests.made_tracks import CAR, PERSON, at

KARACHI, BERLIN = "Asia/Karachi", "Europe/Berlin"


def moment(text, timezone):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)).timestamp()


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-11-23 21:59", False),  # a Monday
        ("2026-11-23 22:00", True),
        ("2026-11-24 05:59", True),
        ("2026-11-24 06:00", False),
        ("2026-11-27 23:00", True),  # Friday night
        ("2026-11-28 03:00", True),  # belongs to Friday
        ("2026-11-28 22:30", False),  # Saturday
        ("2026-11-23 03:00", False),  # Monday morning belongs to Sunday
    ],
)
def test_a_span_over_midnight_belongs_to_the_day_on_which_it_begins(when, is_open):
    schedule = parse_schedule(["mon-fri 22:00-06:00"], KARACHI)
    assert schedule.is_open(moment(when, KARACHI)) == is_open


def test_a_schedule_is_in_the_sites_time_and_not_in_utc():
    schedule = parse_schedule(["22:00-06:00"], KARACHI)
    assert schedule.is_open(datetime(2026, 11, 23, 17, 30, tzinfo=UTC).timestamp())
    assert not schedule.is_open(datetime(2026, 11, 23, 3, 30, tzinfo=UTC).timestamp())


def test_several_entries_add_up():
    schedule = parse_schedule(["mon-fri 22:00-06:00", "sat,sun 00:00-24:00"], KARACHI)
    assert schedule.is_open(moment("2026-11-28 12:00", KARACHI))
    assert schedule.is_open(moment("2026-11-29 23:59", KARACHI))
    assert not schedule.is_open(moment("2026-11-30 00:00", KARACHI))
    assert parse_schedule([], KARACHI) is None


def test_the_hour_that_winter_time_repeats_counts_twice():
    schedule = parse_schedule(["02:00-03:00"], BERLIN)
    begin = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # 02:00 in Berlin, and again an hour later
    minutes = [schedule.is_open((begin + timedelta(minutes=m)).timestamp()) for m in range(-60, 180)]
    assert sum(minutes) == 120


def test_the_hour_that_summer_time_leaves_out_does_not_come():
    schedule = parse_schedule(["02:00-03:00"], BERLIN)
    begin = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    assert not any(schedule.is_open((begin + timedelta(minutes=m)).timestamp()) for m in range(180))


def test_a_night_with_a_change_of_the_clock_is_open_from_evening_to_morning():
    schedule = parse_schedule(["22:00-06:00"], BERLIN)
    for day, hours in (("2026-03-28", 7), ("2026-10-24", 9)):
        begin = moment(f"{day} 12:00", BERLIN)
        assert sum(schedule.is_open(begin + 60 * m) for m in range(24 * 60)) == hours * 60


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("mon-fri", "write"),
        ("mon-fri 22-06", "write"),
        ("monday 22:00-06:00", "days are"),
        ("mon-tue-wed 22:00-06:00", "days are"),
        ("mon, 22:00-06:00", "days are"),
        ("mon-daily 22:00-06:00", "days are"),
        ("daily-fri 22:00-06:00", "days are"),
        ("24:00-06:00", "times go"),
        ("22:61-06:00", "times go"),
        ("22:00-24:30", "times go"),
        ("06:00-06:00", "whole day"),
        ("٢٢:00-06:00", "write"),
        ("", "write"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(entry, words):
    assert words in entry_fault(entry)
    assert repr(entry) in entry_fault(entry)
    with pytest.raises(ValueError, match=r"whole day|write|days|times"):
        parse_span(entry)


def test_days_may_go_over_the_end_of_the_week():
    assert parse_span("fri-mon 10:00-11:00").days == {4, 5, 6, 0}
    assert parse_span("daily 10:00-11:00").days == parse_span("10:00 - 11:00").days == set(range(7))
    assert parse_span("MON,wed-thu 10:00-24:00").days == {0, 2, 3}


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text):
    if not entry_fault(text):
        parse_span(text)


@given(
    st.sets(st.sampled_from(DAYS), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1440),
    st.integers(0, 7 * 1440 - 1),
)
def test_a_span_covers_exactly_the_minutes_from_its_begin_to_its_end(days, begin, end, week_minute):
    if begin == end:
        return
    clock = "{:02d}:{:02d}"
    entry = f"{','.join(days)} {clock.format(*divmod(begin, 60))}-{clock.format(*divmod(end, 60))}"
    length = (end - begin) % 1440 or 1440
    starts = [DAYS.index(day) * 1440 + begin for day in days]
    wanted = any((week_minute - start) % (7 * 1440) < length for start in starts)
    assert parse_span(entry).covers(*divmod(week_minute, 1440)) == wanted


NIGHT = parse_schedule(["22:00-06:00"], "UTC")
TEN = datetime(2026, 11, 23, 22, 0, tzinfo=UTC).timestamp()
YARD = np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]])


def kept_watch(duty, way, seconds, *, first_boxes=None):
    found = []
    for t in np.arange(*seconds, 0.5):
        tracks = at((1, PERSON, *way(t)), first_boxes=first_boxes)
        found += [(t, h.kind) for h in duty.apply(tracks, 500.0 + t, TEN + t)]
    return found


def test_who_is_inside_when_the_duty_begins_enters_then_and_dwells_from_then():
    found = kept_watch(Duty(ZoneRule("yard", YARD, dwell_s=20), NIGHT), lambda _: (0.5, 0.5), (-60, 30))
    assert [kind for _, kind in found] == ["zone-enter", "dwell"]
    assert found[0][0] == pytest.approx(0.5, abs=0.5)
    assert found[1][0] == pytest.approx(20.0, abs=0.5)


def test_off_duty_nothing_is_told_and_nobody_is_remembered():
    duty = Duty(ZoneRule("yard", YARD), parse_schedule(["06:00-22:00"], "UTC"))
    found = kept_watch(duty, lambda _: (0.5, 0.5), (-10, 10))
    assert [kind for _, kind in found] == ["zone-enter"]
    assert duty.occupancy() == {}
    assert not duty.rule._stays


def test_where_somebody_began_before_the_duty_is_no_crossing():
    start, end = np.array([0.5, 0.1]), np.array([0.5, 0.9])
    first = at((1, CAR, 0.2, 0.5)).boxes
    on_duty = Duty(LineRule("gate", start, end), NIGHT)
    assert not kept_watch(on_duty, lambda t: (0.7 + t / 1000, 0.5), (-30, 30), first_boxes=first)
    always = Duty(LineRule("gate", start, end))
    assert kept_watch(always, lambda t: (0.7 + t / 1000, 0.5), (-30, 30), first_boxes=first)


def test_a_wall_clock_that_jumps_does_not_change_how_long_somebody_stayed():
    duty = Duty(ZoneRule("yard", YARD, dwell_s=20))
    jumps = {10: -14 * 86_400.0, 15: 10.0}
    found, shift = [], 0.0
    for t in range(40):
        shift += jumps.get(t, 0.0)
        found += [(t, h.kind) for h in duty.apply(at((1, PERSON, 0.5, 0.5)), float(t), TEN + t + shift)]
    assert found == [(1, "zone-enter"), (20, "dwell")]
