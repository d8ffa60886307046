"""Who moves: the wrong way, too fast, from one line to another."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from device.firmware.rules import LineRule, OriginRule, SpeedRule, WrongWayRule, arrow_of
from device.firmware.rules.ground import Ground, ground_fault, homography
from device.firmware.rules.speed import speed_along
from tests.made_tracks import BUS, CAR, PERSON, at, told

ROAD = np.array([[0.1, 0.3], [0.9, 0.3], [0.9, 0.9], [0.1, 0.9]])
STEADY = np.arange(0, 20, 1 / 10)
DROPPING = np.concatenate([np.arange(0, 2, 1 / 15), np.arange(2, 5, 1 / 2), np.arange(5, 20, 1 / 15)])
RATES = pytest.mark.parametrize("times", [STEADY, DROPPING], ids=["steady", "15 to 2 fps and back"])
TO_THE_RIGHT = (1.0, 0.0)


def rightwards(t):
    return 0.15 + 0.07 * t, 0.6


def leftwards(t):
    return 0.85 - 0.07 * t, 0.6


@RATES
def test_who_moves_against_the_direction_is_told_once(times):
    ((when, happening),) = told(WrongWayRule("lane", ROAD, TO_THE_RIGHT), leftwards, times[times < 10])
    assert happening.kind == "wrong-way"
    assert when < 3


def test_who_moves_with_the_direction_or_across_it_is_not_told():
    assert not told(WrongWayRule("lane", ROAD, TO_THE_RIGHT), rightwards, STEADY[:100])
    assert not told(WrongWayRule("lane", ROAD, TO_THE_RIGHT), lambda t: (0.5, 0.35 + 0.05 * t), STEADY[:100])


def test_a_standing_car_whose_box_trembles_goes_no_way():
    rng = np.random.default_rng(2)
    noise = iter(rng.normal(0, 0.004, 1000))
    assert not told(WrongWayRule("lane", ROAD, TO_THE_RIGHT), lambda _: (0.5 + next(noise), 0.6), STEADY)


def test_a_car_that_backs_up_after_driving_on_is_told():
    def backs_up(t):
        return (0.2 + 0.05 * t, 0.6) if t < 10 else (0.7 - 0.04 * (t - 10), 0.6)

    ((when, _),) = told(WrongWayRule("lane", ROAD, TO_THE_RIGHT), backs_up, STEADY)
    assert 10 < when < 13


def test_one_jump_of_a_box_is_no_way():
    assert not told(
        WrongWayRule("lane", ROAD, TO_THE_RIGHT),
        lambda t: (0.3 if abs(t - 5) < 0.05 else 0.5, 0.6),
        STEADY,
    )


def test_a_wrong_way_outside_the_zone_is_not_told():
    assert not told(WrongWayRule("lane", ROAD, TO_THE_RIGHT), lambda t: (0.85 - 0.07 * t, 0.2), STEADY[:100])


def test_a_track_that_goes_on_under_another_name_is_followed_the_wrong_way():
    rule, found = WrongWayRule("lane", ROAD, TO_THE_RIGHT), []
    for step in range(40):
        x, track = 0.8 - 0.004 * step, 1 if step < 10 else 2
        renames = ((1, 2),) if step == 10 else ()
        found += rule.apply(at((track, CAR, x, 0.6), renames=renames), step / 10)
    assert [happening.seen.track for happening in found] == [2]
    assert set(rule._ways) == {2}


@pytest.mark.parametrize(
    ("direction", "arrow"),
    [(0.0, (1, 0)), (90.0, (0, 1)), (180.0, (-1, 0)), ([(0.2, 0.9), (0.6, 0.1)], (0.4, -0.8))],
)
def test_a_direction_is_an_angle_clockwise_from_the_right_or_an_arrow(direction, arrow):
    assert arrow_of(direction) == pytest.approx(arrow)


# A road of 8 m by 40 m as a camera at its side sees it: the far end is narrower.
CORNERS = np.array([[0.4, 0.3], [0.6, 0.3], [0.9, 0.9], [0.1, 0.9]])
METRES = np.array([[0.0, 40.0], [8.0, 40.0], [8.0, 0.0], [0.0, 0.0]])


def place_of(x_m, y_m):
    """Where a point of the road is seen."""
    inverse = homography(METRES, CORNERS)
    u, v, w = inverse @ np.array([x_m, y_m, 1.0])
    return u / w, v / w


def drive(speed_mps, *, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)

    def way(t):
        y_m = 38.0 - speed_mps * t
        if y_m < 1.0:
            return None
        x, y = place_of(4.0, y_m)
        return x + rng.normal(0, noise), y + rng.normal(0, noise)

    return way


def speeding(limit_mps=10.0, **options):
    return SpeedRule("school", CORNERS, METRES, limit_mps, **options)


@RATES
def test_who_is_too_fast_is_told_once_with_his_speed(times):
    ((_, happening),) = told(speeding(), drive(13.0), times, width=0.03)
    assert (happening.kind, happening.tally) == ("speeding", "speeding")
    assert happening.speed_mps == pytest.approx(13.0, abs=0.3)


@RATES
def test_who_keeps_the_limit_is_not_told(times):
    assert not told(speeding(), drive(9.0), times, width=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_trembling_boxes_change_the_speed_by_less_than_a_tenth(seed):
    ((_, happening),) = told(speeding(), drive(13.0, noise=0.0015, seed=seed), STEADY, width=0.03)
    assert happening.speed_mps == pytest.approx(13.0, rel=0.1)


def test_wrong_boxes_now_and_then_do_not_change_the_speed():
    way = [(t, 3.0 * t, -4.0 * t) for t in np.arange(0, 1.5, 0.1)]
    way[4] = (way[4][0], 50.0, 50.0)
    way[9] = (way[9][0], -20.0, 3.0)
    assert speed_along(way) == pytest.approx(5.0)


def test_a_box_that_the_edge_of_the_picture_cuts_off_is_not_measured():
    wide = np.array([[0.0, 0.2], [1.0, 0.2], [1.0, 1.0], [0.0, 1.0]])
    rule = SpeedRule("edge", wide, METRES, 1.0)
    assert not told(rule, lambda t: (0.04, 0.3 + 0.05 * t), STEADY[:100], width=0.1)
    assert told(rule, lambda t: (0.5, 0.3 + 0.05 * t), STEADY[:100], width=0.1, track=2)


def test_a_speed_is_known_only_after_a_while():
    rule = speeding()
    told(rule, drive(5.0), STEADY[:3], width=0.03)
    assert rule.speed_of(1) is None
    told(rule, drive(5.0), STEADY[:15], width=0.03, track=2)
    assert rule.speed_of(2) == pytest.approx(5.0, abs=0.1)
    assert rule.speed_of(3) is None


def test_a_speed_rule_forgets_tracks_that_ended():
    rule = speeding()
    told(rule, drive(5.0), STEADY[:10], width=0.03)
    rule.apply(at(ended=(1,)), 2.0)
    assert not rule._ways


def corners(size):
    """Four corners around a square, each moved by up to a third of it."""
    square, shift = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)], st.floats(-0.14, 0.14)
    moves = st.lists(st.tuples(shift, shift), min_size=4, max_size=4)
    return moves.map(
        lambda by: [(size * (x + dx), size * (y + dy)) for (x, y), (dx, dy) in zip(square, by, strict=True)]
    )


@given(corners(1.0), corners(50.0))
def test_a_calibration_without_fault_takes_its_points_to_their_metres(points, metres):
    assume(not ground_fault(points, metres))
    ground = Ground(np.array(points), np.array(metres))
    assert ground.metres(np.array(points)) == pytest.approx(np.array(metres), abs=1e-3)


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_a_point_of_the_road_is_found_again_in_metres(across, along):
    place = np.array([place_of(8.0 * across, 40.0 * along)])
    assert Ground(CORNERS, METRES).metres(place)[0] == pytest.approx((8.0 * across, 40.0 * along), abs=1e-6)


def test_a_bus_whose_box_leaves_the_zone_for_a_moment_is_told_once_and_in_time():
    road = np.array([[0.0, 0.4], [1.0, 0.4], [1.0, 0.6], [0.0, 0.6]])

    def trembles(t):
        return 0.9 - 0.1 * t, 0.61 if int(t * 10) % 4 == 3 else 0.59

    rule = WrongWayRule("one-way", road, (1.0, 0.0))
    ((when, _),) = told(rule, trembles, np.arange(0, 8, 0.1), cls=BUS, width=0.2)
    assert when <= 1.5


def test_who_left_the_zone_and_comes_in_anew_the_wrong_way_is_told_again():
    road = np.array([[0.0, 0.4], [1.0, 0.4], [1.0, 0.6], [0.0, 0.6]])

    def again(t):
        return (0.9 - 0.1 * min(t, 4), 0.5) if t < 4 else (0.5, 0.8) if t < 6 else (0.5 - 0.1 * (t - 6), 0.5)

    found = told(WrongWayRule("one-way", road, (1.0, 0.0)), again, np.arange(0, 9, 0.1), width=0.05)
    assert [when > 6 for when, _ in found] == [False, True]


def test_beyond_the_horizon_there_are_no_metres():
    assert np.isnan(Ground(CORNERS, METRES).metres(np.array([[0.5, 0.0]]))).all()


@pytest.mark.parametrize(
    ("points", "metres", "words"),
    [
        (CORNERS[:3], METRES, "four corners"),
        (CORNERS, METRES[:3], "four corners"),
        ([*CORNERS[:3], CORNERS[0]], METRES, "points 1 and 4 are the same"),
        (CORNERS, [*METRES[:3], METRES[2]], "ground 3 and 4 are the same"),
        ([(0.1, 0.5), (0.5, 0.5), (0.9, 0.5), (0.5, 0.9)], METRES, "points 1, 2 and 3 lie on a line"),
        (CORNERS, [(0, 0), (4, 4), (8, 8), (0, 9)], "ground 1, 2 and 3 lie on a line"),
        (CORNERS, METRES[[0, 2, 1, 3]], "different orders"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused_with_the_reason(points, metres, words):
    assert words in ground_fault([tuple(p) for p in points], [tuple(m) for m in metres])


def line(name, x):
    return LineRule(name, np.array([x, 0.1]), np.array([x, 0.9]))


def test_a_way_from_one_line_to_another_is_counted_where_it_ends():
    rule = OriginRule("turns", [line("west", 0.3), line("east", 0.7)])
    ((when, happening),) = told(rule, rightwards, STEADY[:100])
    assert happening.tally == "west--east"
    assert not happening.is_event
    assert 7 < when < 9
    ((_, back),) = told(rule, leftwards, STEADY[:100], track=2)
    assert back.tally == "east--west"


def test_back_over_the_same_line_is_no_way():
    rule = OriginRule("turns", [line("west", 0.3), line("east", 0.7)])
    assert not told(rule, lambda t: (0.2 + 0.2 * np.sin(t / 2), 0.5), STEADY)


def test_who_crosses_three_lines_has_gone_two_ways():
    rule = OriginRule("turns", [line("a", 0.2), line("b", 0.5), line("c", 0.8)])
    found = told(rule, lambda t: (0.05 + 0.09 * t, 0.5), STEADY[:100])
    assert [happening.tally for _, happening in found] == ["a--b", "b--c"]


def test_an_origin_rule_for_people_does_not_count_cars():
    lines = [LineRule("a", *np.array([[0.3, 0.1], [0.3, 0.9]]), classes=frozenset({PERSON})), line("b", 0.7)]
    assert not told(OriginRule("turns", lines), rightwards, STEADY[:100])


def test_a_renamed_track_keeps_its_origin_and_an_ended_one_is_forgotten():
    rule, found = OriginRule("turns", [line("west", 0.3), line("east", 0.7)]), []
    for step in range(80):
        x, track = 0.15 + 0.01 * step, 1 if step < 40 else 2
        renames = ((1, 2),) if step == 41 else ()
        found += rule.apply(at((track, CAR, x, 0.5), renames=renames), step / 10)
    assert [happening.tally for happening in found] == ["west--east"]
    rule.apply(at(ended=(1, 2)), 9.0)
    assert not rule._last


def test_a_crossing_that_an_object_makes_under_two_names_counts_once():
    gate, found = line("gate", 0.5), []
    for step in range(60):
        x, track = 0.2 + 0.01 * step, 1 if step < 20 else 2
        renames = ((1, 2),) if step == 45 else ()
        found += gate.apply(at((track, CAR, x, 0.5), renames=renames), step / 10)
    assert len(found) == 1


def test_a_crossing_that_nobody_saw_is_counted_when_the_object_comes_back_under_another_name():
    gate, found = line("gate", 0.5), []
    for step in range(15):
        found += gate.apply(at((1, CAR, 0.2 + 0.01 * step, 0.5)), step / 10)
    found += gate.apply(at(), 2.0)
    found += gate.apply(at((2, CAR, 0.6, 0.5), renames=((1, 2),)), 4.0)
    assert [happening.direction for happening in found] == ["out"]
