"""The thermal ladder over traces: it steps in time, does not flutter, and distrusts bad sensors."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.firmware.thermal import GONE_S, STUCK_S, ThermalLadder
from hardware.board import Thermal
from hardware.board.profile import profiles

THERMAL = Thermal(
    sensors=[],
    throttles_c=80,
    steps_c=[74, 77, 79],
    factors=[0.5, 0.25, 0.1],
    hysteresis_c=4,
    hold_s=20,
    recover_s=60,
)
EVERY_S = 5.0


class Climb:
    """A ladder that is fed a trace, one reading each 5 s."""

    def __init__(self, thermal: Thermal = THERMAL) -> None:
        self.ladder, self.now_s = ThermalLadder(thermal), 1000.0

    def feel(self, *temps, is_throttled=False):
        for temp in temps:
            self.now_s += EVERY_S
            self.warmth = self.ladder.feel(temp, self.now_s, is_throttled=is_throttled)
        return self.warmth

    def steps(self, temps):
        return [self.feel(temp).step for temp in temps]


def hold(temp, seconds):
    return [temp + 0.2 * (number % 2) for number in range(int(seconds / EVERY_S))]


def test_a_cool_board_runs_at_full_rate():
    climb = Climb()
    warmth = climb.feel(*hold(55, 600))
    assert (warmth.step, warmth.factor, warmth.is_hot, warmth.sensor) == (0, 1.0, False, "ok")
    assert warmth.temp_c == pytest.approx(55.1, abs=0.11)


def test_a_board_that_warms_up_gives_up_frames_step_by_step():
    steps = Climb().steps([70 + 0.15 * number for number in range(80)])
    assert sorted(steps) == steps
    assert set(steps) == {0, 1, 2, 3}


def test_the_last_step_comes_before_the_board_throttles_itself():
    climb = Climb()
    climb.feel(*hold(60, 60))
    temp = 60.0
    while climb.feel(temp).step < 3:
        temp += 0.5
        assert temp < THERMAL.throttles_c + 1.0


def test_two_steps_are_at_least_the_hold_time_apart():
    climb = Climb()
    climb.feel(*hold(60, 30))
    trace = hold(78, 120)
    steps = climb.steps(trace)
    first, second = steps.index(1), steps.index(2)
    assert (second - first) * EVERY_S >= THERMAL.hold_s


def test_a_sudden_rise_to_the_last_step_skips_the_steps_between():
    climb = Climb()
    climb.feel(*hold(60, 30))
    assert climb.steps([79.5, 79.5, 79.5])[-1] == 3


def test_a_board_around_a_limit_does_not_flutter():
    climb = Climb()
    climb.feel(*hold(60, 30))
    steps = climb.steps([74 + (1.5 if number % 8 < 4 else -1.5) for number in range(400)])
    changes = sum(before != after for before, after in pairwise(steps))
    assert changes == 1
    assert steps[-1] == 1


def test_a_board_that_cools_down_climbs_one_step_in_each_recovery_time():
    climb = Climb()
    climb.feel(*hold(60, 30), *hold(79.5, 60))
    assert climb.warmth.step == 3
    steps = climb.steps(hold(60, 300))
    moments = [steps.index(step) * EVERY_S for step in (2, 1, 0)]
    assert moments[0] >= THERMAL.recover_s
    assert moments[1] - moments[0] >= THERMAL.recover_s
    assert moments[2] - moments[1] >= THERMAL.recover_s
    assert moments[2] <= 4 * THERMAL.recover_s


def test_a_warm_moment_begins_the_recovery_anew():
    climb = Climb()
    climb.feel(*hold(60, 30), *hold(75, 60))
    assert climb.warmth.step == 1
    climb.feel(*hold(65, 50), *hold(73, 20), *hold(65, 50))
    assert climb.warmth.step == 1
    assert climb.feel(*hold(65, 30)).step == 0


@pytest.mark.parametrize("wild", [120.0, -39.0, 85.0])
def test_one_wild_value_moves_nothing(wild):
    climb = Climb()
    climb.feel(*hold(60, 60))
    assert set(climb.steps([wild, *hold(60, 30), wild, *hold(60, 120)])) == {0}


def test_one_wild_value_does_not_let_a_hot_board_recover():
    climb = Climb()
    climb.feel(*hold(60, 30), *hold(76, 60))
    assert set(climb.steps([20.0, *hold(76, 60), 20.0, *hold(76, 60)])) == {1}


def test_the_very_first_value_alone_moves_nothing():
    assert Climb().steps([85.0, 50.0, 50.2, 50.0]) == [0, 0, 0, 0]


def test_a_jump_that_lasts_is_believed():
    climb = Climb()
    climb.feel(*hold(50, 60))
    assert climb.steps([82.0, 82.4, 82.1])[-1] == 3


def test_a_sensor_that_is_silent_for_a_moment_keeps_its_step():
    climb = Climb()
    climb.feel(*hold(60, 30), *hold(76, 60))
    assert climb.feel(*[None] * int((GONE_S - EVERY_S) / EVERY_S)).step == 1


def test_a_sensor_that_is_gone_is_told_and_the_rate_comes_back():
    climb = Climb()
    climb.feel(*hold(60, 30), *hold(76, 60))
    warmth = climb.feel(*[None] * 60)
    assert (warmth.step, warmth.sensor, warmth.temp_c) == (0, "gone", None)
    assert climb.feel(*hold(60, 30)).sensor == "ok"


def test_a_board_without_a_sensor_runs_at_full_rate_and_is_no_fault():
    assert {(w.step, w.sensor) for w in [Climb().feel(*[None] * n) for n in (1, 500)]} == {(0, "none")}


def test_a_sensor_stuck_at_85_degrees_does_not_blind_the_camera_for_ever():
    climb = Climb()
    climb.feel(*hold(60, 60))
    assert climb.feel(*[85.0] * 10).step == 3
    warmth = climb.feel(*[85.0] * int((STUCK_S + 4 * THERMAL.recover_s) / EVERY_S))
    assert (warmth.step, warmth.sensor, warmth.temp_c) == (0, "stuck", None)
    assert climb.feel(*[85.0] * 2000).step == 0


def test_a_sensor_that_was_stuck_is_believed_again_when_it_moves():
    climb = Climb()
    climb.feel(*hold(60, 60), *[85.0] * 300)
    assert climb.warmth.sensor == "stuck"
    assert climb.feel(*hold(78, 60)).step >= 1
    assert climb.warmth.sensor == "ok"


def test_a_board_that_is_really_hot_for_hours_stays_down():
    climb = Climb()
    climb.feel(*hold(60, 60))
    warmth = climb.feel(*[80.0 + 0.5 * (number % 3) for number in range(3000)])
    assert (warmth.step, warmth.sensor) == (3, "ok")


def test_a_cool_sensor_that_never_moves_is_no_alarm():
    assert Climb().feel(*[40.0] * 1000).step == 0


@pytest.mark.parametrize("temp", [None, 60.0])
def test_a_board_that_throttles_whatever_its_sensor_says_takes_the_first_step(temp):
    climb = Climb()
    climb.feel(*[temp] * 10)
    assert climb.feel(*[temp] * 10, is_throttled=True).step == 1
    assert climb.feel(*[temp] * 20).step == 0


@given(st.lists(st.none() | st.floats(-40, 125), max_size=200), st.booleans())
def test_whatever_the_sensor_says_the_factor_is_one_of_the_profiles(temps, is_throttled):
    climb = Climb()
    for temp in temps:
        warmth = climb.feel(temp, is_throttled=is_throttled)
        assert warmth.factor in {1.0, *THERMAL.factors}
        assert 0 <= warmth.step <= 3


@pytest.mark.parametrize("name", sorted(profiles()))
def test_every_profile_steps_down_below_its_own_limit(name):
    thermal = profiles()[name].thermal
    climb = Climb(thermal)
    warmth = climb.feel(*hold(thermal.throttles_c - 1, 200))
    assert warmth.factor == thermal.factors[-1]
