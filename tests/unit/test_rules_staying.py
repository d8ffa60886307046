"""Who stays: loitering, crowds, stopped vehicles; durations are seconds, whatever the frames do."""

import numpy as np
import pytest

from device.firmware.rules import CrowdRule, LoiterRule, StoppedRule, ZoneRule
from device.firmware.tracks import Tracks
from tests.made_tracks import BUS, CAR, PERSON, at, told

YARD = np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]])
STEADY = np.arange(0, 60, 1 / 10)
DROPPING = np.concatenate([np.arange(0, 8, 1 / 15), np.arange(8, 22, 1 / 2), np.arange(22, 60, 1 / 15)])
RATES = pytest.mark.parametrize("times", [STEADY, DROPPING], ids=["steady", "15 to 2 fps and back"])


def pacing(t):
    """Up and down within a fifth of the picture."""
    return 0.5 + 0.1 * np.sin(t), 0.5


@RATES
def test_a_loiterer_is_told_once_after_the_dwell_time(times):
    ((when, happening),) = told(LoiterRule("yard", YARD, dwell_s=20), pacing, times, cls=PERSON)
    assert (happening.kind, happening.tally) == ("loitering", "loitering")
    assert 20.0 <= when <= 20.6
    assert happening.duration_s == pytest.approx(when, abs=0.01)


def test_who_walks_through_a_large_zone_slowly_is_no_loiterer():
    def walks(t):
        return 0.21 + 0.58 * t / 60, 0.5

    assert not told(LoiterRule("yard", YARD, dwell_s=40, reach=0.1), walks, STEADY, cls=PERSON)
    assert told(LoiterRule("yard", YARD, dwell_s=40, reach=0.5), walks, STEADY, cls=PERSON)


def test_a_loiterer_who_steps_out_for_a_moment_or_is_hidden_loiters_on():
    def steps_out(t):
        return None if 5 < t < 7 else (0.1, 0.5) if 10 < t < 12 else (0.3, 0.5)

    assert len(told(LoiterRule("yard", YARD, dwell_s=20), steps_out, STEADY, cls=PERSON)) == 1


def test_who_goes_away_and_comes_back_begins_anew():
    def comes_back(t):
        return (0.1, 0.5) if 15 < t < 25 else (0.3, 0.5)

    ((when, _),) = told(LoiterRule("yard", YARD, dwell_s=20), comes_back, STEADY, cls=PERSON)
    assert when >= 45


def test_a_loiterer_whose_track_is_renamed_loiters_on():
    rule = LoiterRule("yard", YARD, dwell_s=20)
    for t in np.arange(0, 15, 0.1):
        assert not rule.apply(at((1, PERSON, 0.5, 0.5)), t)
    rule.apply(at((2, PERSON, 0.5, 0.5)), 15.0)
    found = list(rule.apply(at((2, PERSON, 0.5, 0.5), renames=((1, 2),)), 15.1))
    for t in np.arange(15.2, 22, 0.1):
        found += rule.apply(at((2, PERSON, 0.5, 0.5)), t)
    assert [happening.seen.track for happening in found] == [2]
    assert set(rule._stays) == {2}


def loitered(rule, people_at, *, ended=(0, 0.0)):
    """What a rule makes of (track, x) of each moment of 40 s; `ended` is a track and when it ends."""
    found = []
    for t in np.arange(0.0, 40.0, 0.1):
        feet = [(track, PERSON, x, 0.5) for track, x in people_at(t)]
        gone = ended[:1] if round(t, 1) == ended[1] > 0 else ()
        found += [(t, happening) for happening in rule.apply(at(*feet, width=0.05, ended=gone), t)]
    return found


def passed(t):
    """1 stands, 2 comes by at 10 s, and from then on 2 is seen to stand there."""
    stander, walker = (1, 2) if t < 10 else (2, 1)
    return [(stander, 0.5)] + ([(walker, 0.5 + 0.1 * (t - 10))] if 6 < t < 14 else [])


def test_a_loiterer_who_is_taken_for_a_passer_by_loiters_on_where_they_were():
    ((when, happening),) = loitered(LoiterRule("yard", YARD, dwell_s=15), passed)
    assert when == pytest.approx(15.0, abs=0.2)
    assert happening.seen.track == 2


def test_a_loiterer_who_was_told_is_not_told_again_under_a_passer_bys_number():
    assert len(loitered(LoiterRule("yard", YARD, dwell_s=8), passed)) == 1


def test_a_loiterer_who_ends_when_another_is_at_their_place_goes_on_as_the_other():
    rule = LoiterRule("yard", YARD, dwell_s=15)
    ((when, _),) = loitered(rule, lambda t: [(1 if t < 10 else 2, 0.5)], ended=(1, 12.0))
    assert when == pytest.approx(15.0, abs=0.2)


def test_a_loiterer_takes_over_nothing_of_who_walks_by():
    def walks_by(t):  # 2 comes where 1 was a moment ago
        return ([(1, 0.22 + 0.05 * t)] if t < 12 else []) + ([(2, 0.38)] if t > 4.5 else [])

    ((when, _),) = loitered(LoiterRule("yard", YARD, dwell_s=15), walks_by)
    assert when == pytest.approx(19.6, abs=0.2)


def test_who_comes_to_a_place_some_time_after_it_was_left_is_another():
    def comes_later(t):
        return [(1, 0.5)] if t < 10 else [(2, 0.5)] if t > 15 else []

    ((when, _),) = loitered(LoiterRule("yard", YARD, dwell_s=15), comes_later, ended=(1, 17.0))
    assert when == pytest.approx(30.1, abs=0.2)


def test_who_has_stood_beside_a_loiterer_is_another():
    def beside(t):
        return ([(2, 0.52)] if t > 10 else []) + ([(1, 0.5)] if t < 20 else [])

    found = loitered(LoiterRule("yard", YARD, dwell_s=15), beside, ended=(1, 22.0))
    assert [happening.seen.track for _, happening in found] == [1, 2]


def test_two_who_change_places_for_ever_need_no_more_memory():
    rule = LoiterRule("yard", YARD, dwell_s=5)
    for step in range(20_000):
        t = step / 10
        ids = (1, 2) if int(t / 5) % 2 else (2, 1)
        rule.apply(at((ids[0], PERSON, 0.4, 0.5), (ids[1], PERSON, 0.6, 0.5), width=0.05), t)
    assert all(len(stay.way) <= 48 for stay in rule._stays.values())


def people(number, *, first=1):
    return [(first + i, PERSON, 0.3 + 0.03 * i, 0.5) for i in range(number)]


def gathered(rule, numbers, *, step_s=0.1):
    """What a crowd rule makes of so many people, frame by frame: (t, happening)."""
    found = []
    for frame, number in enumerate(numbers):
        t = frame * step_s
        found += [(t, happening) for happening in rule.apply(at(*people(number)), t)]
    return found


def test_a_crowd_is_told_once_with_its_number():
    ((when, happening),) = gathered(CrowdRule("square", YARD, least=4, hold_s=3), [4] * 50 + [6] * 100)
    assert 3.0 <= when <= 3.2
    assert (happening.kind, happening.number, happening.seen.track, happening.seen.cls) == (
        "crowd",
        4,
        0,
        PERSON,
    )
    left, _, right, _ = happening.seen.box
    assert left == pytest.approx(0.25)
    assert right == pytest.approx(0.44)


def test_fewer_than_the_least_are_no_crowd():
    assert not gathered(CrowdRule("square", YARD, least=4, hold_s=3), [3] * 200)


def test_a_crowd_that_one_is_missing_from_for_half_a_second_holds():
    numbers = ([4] * 8 + [3] * 5) * 10
    assert len(gathered(CrowdRule("square", YARD, least=4, hold_s=3), numbers)) == 1


def test_a_crowd_that_scattered_and_came_again_is_told_again():
    numbers = [5] * 50 + [1] * 60 + [5] * 50
    assert len(gathered(CrowdRule("square", YARD, least=4, hold_s=3), numbers)) == 2


def test_a_crowd_that_thins_out_briefly_is_the_same_crowd():
    numbers = [5] * 50 + [1] * 25 + [5] * 50
    assert len(gathered(CrowdRule("square", YARD, least=4, hold_s=3), numbers)) == 1


def test_a_crowd_is_held_in_seconds_when_the_frame_rate_drops():
    ((when, _),) = gathered(CrowdRule("square", YARD, least=4, hold_s=3), [4] * 20, step_s=0.5)
    assert 3.0 <= when <= 3.5


def test_the_occupancy_of_a_crowd_is_by_class_and_ends_with_the_tracks():
    rule = CrowdRule("square", YARD)
    rule.apply(at(*people(2), (9, CAR, 0.5, 0.6)), 0.0)
    assert rule.occupancy() == {PERSON: 2, CAR: 1}
    rule.apply(at(ended=(1, 2, 9)), 0.1)
    assert rule.occupancy() == {}


def test_a_crowd_that_stands_still_and_is_seen_now_and_then_is_one_crowd():
    rule, found, crowd = CrowdRule("square", YARD, least=5, hold_s=3), [], people(6)
    for t in np.arange(0.0, 120.0, 5.0):  # a still scene is looked at every 5 s
        seen = [crowd[i] for i in range(6) if (i + int(t)) % 3]
        unseen = tuple(one[0] for one in crowd if one not in seen)
        found += rule.apply(at(*(seen if t > 5 else crowd), remembered=unseen if t > 5 else ()), t)
        assert rule.occupancy() == {PERSON: 6}
    assert len(found) == 1


def arriving(t):
    """Four who walk in and stand from 5 s on: (id, class, x, y) of each, and where each was first seen."""
    feet = [(i, PERSON, min(0.3 + 0.1 * i, 0.1 * i + 0.06 * t), 0.5) for i in range(1, 5)]
    first = np.array([(0.1 * i - 0.05, 0.4, 0.1 * i + 0.05, 0.5) for i in range(1, 5)], np.float32)
    return feet, first


def watched(rule, seen_at, *, until_s=16.0, scores=None):
    """What a crowd rule makes of those of `arriving` whom `seen_at(t)` names."""
    found = []
    for t in np.arange(0.0, until_s, 0.1):
        feet, first = arriving(t)
        rows = [i for i, foot in enumerate(feet) if foot[0] in seen_at(t)]
        tracks = at(*(feet[i] for i in rows), first_boxes=first[rows], first_s=np.zeros(len(rows)))
        if scores is not None:
            tracks.scores[:] = np.array(scores, np.float32)[rows]
        found += [(t, happening) for happening in rule.apply(tracks, float(t))]
    return found


def test_who_walked_in_and_is_missed_while_standing_still_counts():
    rule = CrowdRule("square", YARD, least=4, hold_s=8)
    ((when, happening),) = watched(rule, lambda t: {1, 2, 3, 4} if t < 5.0 else {1, 2, 4})
    assert 8.0 <= when <= 12.0
    assert happening.number == 4


def test_who_is_missed_for_long_does_not_count_for_ever():
    rule = CrowdRule("square", YARD, least=4, hold_s=8)
    watched(rule, lambda t: {1, 2, 3, 4} if t < 5.0 else {1, 2, 4}, until_s=16.0)
    assert rule.occupancy() == {PERSON: 3}


def test_who_is_missed_alone_is_not_believed():
    rule = CrowdRule("square", YARD)
    watched(rule, lambda t: {1, 2, 3, 4} if t < 5.0 else set(), until_s=6.5)
    assert rule.occupancy() == {}


def test_a_track_that_begins_where_one_was_lost_is_the_same_person():
    rule = CrowdRule("square", YARD)
    watched(rule, lambda t: {1, 2, 3, 4} if t < 5.0 else {1, 2, 4}, until_s=8.0)
    feet, first = arriving(8.0)
    back = (9, *feet[2][1:])
    boxes = np.concatenate([first[[0, 1, 3]], [(0.55, 0.4, 0.65, 0.5)]]).astype(np.float32)
    born_s = np.array([0.0, 0.0, 0.0, 7.8])
    rule.apply(at(feet[0], feet[1], feet[3], back, first_boxes=boxes, first_s=born_s), 8.0)
    assert rule.occupancy() == {PERSON: 4}


def test_who_is_lost_at_the_border_may_have_left():
    rule = CrowdRule("square", YARD)
    for t in np.arange(0.0, 8.0, 0.1):
        feet = [(1, PERSON, 0.5, 0.5)] + ([(2, PERSON, 0.3 + 0.096 * t, 0.5)] if t < 5 else [])
        first = np.array([(0.45, 0.4, 0.55, 0.5), (0.25, 0.4, 0.35, 0.5)], np.float32)[: len(feet)]
        rule.apply(at(*feet, first_boxes=first, first_s=np.zeros(len(feet))), float(t))
    assert rule.occupancy() == {PERSON: 1}


def test_what_never_moved_and_is_hardly_detected_is_nobody():
    rule = CrowdRule("square", YARD)
    tracks = at(*people(4))
    tracks.scores[3] = 0.4
    rule.apply(tracks, 0.0)
    assert rule.occupancy() == {PERSON: 3}


def test_who_walked_in_counts_however_badly_they_are_detected():
    rule = CrowdRule("square", YARD)
    watched(rule, lambda t: {1, 2, 3, 4}, until_s=6.0, scores=[0.3] * 4)
    assert rule.occupancy() == {PERSON: 4}


def test_two_boxes_that_stay_at_one_place_are_one_person_and_two_who_pass_are_two():
    rule = CrowdRule("square", YARD)
    for t in np.arange(0.0, 3.0, 0.1):
        rule.apply(
            at((1, PERSON, 0.5, 0.5), (2, PERSON, 0.51, 0.5), (3, PERSON, 0.4 + 0.06 * t, 0.5)), float(t)
        )
        assert rule.occupancy() == {PERSON: 3 if t < 1.5 else 2}


def test_who_is_missed_where_another_box_of_theirs_is_seen_counts_once():
    """Somebody has two numbers: one is lost where they stop, the other comes to stand there."""
    rule = CrowdRule("square", YARD)
    for t in np.arange(0.0, 8.0, 0.1):
        x = min(0.5, 0.3 + 0.1 * t)
        feet = [(1, PERSON, x, 0.5), (2, PERSON, x + 0.03, 0.5), (3, PERSON, 0.6, 0.7)]
        seen = feet if t < 1.75 else [feet[0], feet[2]]
        first = np.array([(0.25, 0.4, 0.35, 0.5)] * len(seen), np.float32)
        rule.apply(at(*seen, first_boxes=first), float(t))
        if t > 4.4:
            assert rule.occupancy() == {PERSON: 2}, t


def test_one_look_without_the_older_of_two_boxes_does_not_make_two_of_one_person():
    rule = CrowdRule("square", YARD)
    for t in np.arange(0.0, 8.0, 0.1):
        feet = [(1, PERSON, 0.5, 0.5), (2, PERSON, 0.51, 0.5), (3, PERSON, 0.6, 0.7)]
        rule.apply(at(*(feet[1:] if round(t, 1) == 5.0 else feet)), float(t))
        if t > 1.6:
            assert rule.occupancy() == {PERSON: 2}, t


def test_of_two_boxes_round_one_person_the_lower_one_may_end_above():
    rule = CrowdRule("square", YARD)
    for t in np.arange(0.0, 3.0, 0.1):
        whole, half = at((1, PERSON, 0.5, 0.5), height=0.2), at((2, PERSON, 0.51, 0.48), height=0.15)
        rule.apply(both(whole, half), float(t))
    assert rule.occupancy() == {PERSON: 1}


def both(one, other):
    parts = ("ids", "classes", "scores", "boxes")
    return Tracks(*(np.concatenate([getattr(one, part), getattr(other, part)]) for part in parts))


def test_who_stands_on_the_border_stays_in_or_out():
    rule = CrowdRule("square", YARD)
    for t in np.arange(0.0, 10.0, 0.1):
        y = 0.798 if t < 1.0 else 0.803
        rule.apply(at((1, PERSON, 0.5, y), (2, PERSON, 0.3, 0.803)), float(t))
        assert rule.occupancy() == {PERSON: 1}
    rule.apply(at((1, PERSON, 0.5, 0.82), (2, PERSON, 0.3, 0.803)), 10.0)
    assert rule.occupancy() == {}


def drives_in_and_stands(t):
    x = min(0.5, 0.1 + 0.1 * t)
    return x + 0.002 * np.sin(40 * t), 0.5


@RATES
def test_a_stopped_vehicle_is_told_once_and_late_by_a_frame_at_most(times):
    ((when, happening),) = told(StoppedRule("bus-lane", YARD, dwell_s=15), drives_in_and_stands, times)
    assert happening.kind == "stopped"
    assert 18.0 <= when <= 20.1
    assert 15.0 <= happening.duration_s <= 16.0


def test_a_person_who_stands_is_no_stopped_vehicle():
    rule = StoppedRule("bus-lane", YARD, dwell_s=5)
    assert not told(rule, lambda _: (0.5, 0.5), STEADY, cls=PERSON)
    assert told(StoppedRule("bus-lane", YARD, dwell_s=5), lambda _: (0.5, 0.5), STEADY, cls=BUS)


def test_a_vehicle_that_creeps_does_not_stand():
    assert not told(
        StoppedRule("bus-lane", YARD, dwell_s=15), lambda t: (0.21 + 0.58 * t / 60, 0.5), STEADY, width=0.05
    )


def test_who_passes_before_a_standing_vehicle_and_bends_its_box_for_two_seconds_does_not_unsettle_it():
    def bent(t):
        return (0.53 if 8 < t < 10 else 0.5, 0.5)

    ((when, _),) = told(StoppedRule("bus-lane", YARD, dwell_s=15), bent, STEADY)
    assert when == pytest.approx(15.0, abs=0.2)


def test_a_vehicle_in_a_still_scene_stands_though_its_box_is_off_at_the_first_look_in_a_while():
    times = np.concatenate([np.arange(0, 12, 0.1), [17.0], np.arange(17.1, 20, 0.1)])
    ((when, happening),) = told(
        StoppedRule("bus-lane", YARD, dwell_s=15), lambda t: (0.53 if t == 17.0 else 0.5, 0.5), times
    )
    assert when == pytest.approx(17.1)
    assert happening.duration_s == pytest.approx(17.1)


def test_one_wrong_box_does_not_make_a_standing_vehicle_drive():
    def jumps_once(t):
        return (0.6, 0.5) if abs(t - 8.0) < 0.05 else (0.5, 0.5)

    ((when, _),) = told(StoppedRule("bus-lane", YARD, dwell_s=15), jumps_once, STEADY)
    assert when <= 15.2


def sized(rule, size_at, times, *, cls=CAR, y=0.5, height=0.1):
    """What a rule makes of one object whose left and right side are `size_at(t)`: the moments."""
    moments = []
    for t in times:
        left, right = size_at(t)
        tracks = at((1, cls, (left + right) / 2, y), width=right - left, height=height)
        moments += [float(t) for _ in rule.apply(tracks, float(t))]
    return moments


def test_a_box_that_is_now_half_of_a_standing_vehicle_and_then_all_of_it_does_not_unsettle_it():
    def halved(t):
        return (0.5 if 3 < t < 9 else 0.42, 0.56)

    assert sized(StoppedRule("bus-lane", YARD, dwell_s=15), halved, STEADY) == [pytest.approx(15.0, abs=0.2)]


def test_a_vehicle_that_creeps_out_from_behind_something_does_not_stand():
    def creeps(t):
        return (0.4, 0.5 + 0.008 * t)

    assert sized(StoppedRule("bus-lane", YARD, dwell_s=15), creeps, STEADY[:250]) == []


def test_a_vehicle_of_which_half_is_hidden_goes_on_standing_under_another_number():
    rule, moments = StoppedRule("bus-lane", YARD, dwell_s=15), []
    for t in STEADY:
        left, track = (0.42, 1) if t < 8 else (0.49, 2)
        width = 0.56 - left
        tracks = at(
            (track, CAR, (left + 0.56) / 2, 0.5), width=width, ended=(1,) if round(t, 1) == 8.0 else ()
        )
        moments += [float(t) for _ in rule.apply(tracks, float(t))]
    assert moments == [pytest.approx(15.0, abs=0.3)]


def test_a_vehicle_that_drives_into_the_picture_does_not_stand_though_the_edge_cuts_it_off():
    whole = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])

    def comes_in(t):
        return (0.0, 0.02 + 0.02 * t)

    assert sized(StoppedRule("bus-lane", whole, dwell_s=15), comes_in, STEADY[:400]) == []


def test_a_bus_that_fills_the_picture_does_not_stand_before_it_stops():
    def brakes(t):
        x = 0.5 - 0.01 * max(0.0, 9.0 - t)
        return (x - 0.3, x + 0.3)

    (when,) = sized(StoppedRule("bus-lane", YARD, dwell_s=15), brakes, STEADY, cls=BUS)
    assert when == pytest.approx(24.0, abs=0.8)


def test_a_vehicle_that_has_rolled_a_last_bit_is_not_unsettled_by_what_a_box_trembles():
    def rolls(t):
        x = 0.5 - 0.014 * max(0.0, 1.0 - t) + (0.006 if t > 4 else 0.0)
        return (x - 0.05, x + 0.05)

    (when,) = sized(StoppedRule("bus-lane", YARD, dwell_s=15), rolls, STEADY)
    assert when == pytest.approx(15.0, abs=0.3)


@pytest.mark.parametrize(("below", "is_in"), [(0.018, True), (0.03, False)])
def test_a_large_vehicle_whose_box_ends_a_little_below_the_zone_stands_in_it(below, is_in):
    rule = StoppedRule("bus-lane", YARD, dwell_s=15)
    found = sized(rule, lambda _: (0.3, 0.7), STEADY, cls=BUS, y=0.8 + below, height=0.4)
    assert bool(found) is is_in


def test_a_vehicle_that_stands_in_the_lane_beyond_does_not_stand_in_the_zone():
    rule = StoppedRule("bus-lane", YARD, dwell_s=15)
    assert not sized(rule, lambda _: (0.3, 0.7), STEADY, cls=BUS, y=0.195, height=0.4)


def test_a_vehicle_that_stops_drives_on_and_stops_again_is_told_twice():
    def twice(t):
        return (0.3, 0.5) if t < 25 else (min(0.6, 0.3 + 0.1 * (t - 25)), 0.5)

    assert len(told(StoppedRule("bus-lane", YARD, dwell_s=15), twice, STEADY)) == 2


def test_a_standing_vehicle_whose_track_breaks_is_told_once():
    rule, found = StoppedRule("bus-lane", YARD, dwell_s=15), []
    for t in np.arange(0, 60, 0.1):
        track, since = divmod(round(t, 1), 6)  # the one before ends two seconds after the next began
        ended = (int(track),) if track and abs(since - 2) < 0.05 else ()
        found += rule.apply(at((1 + int(track), CAR, 0.5, 0.5), ended=ended), t)
    assert len(found) == 1
    assert found[0].duration_s >= 15


def test_a_standing_vehicle_whose_track_ends_before_the_next_begins_is_told_once():
    rule, found = StoppedRule("bus-lane", YARD, dwell_s=15), []
    for t in np.arange(0, 60, 0.1):
        track, since = divmod(round(t, 1), 6)
        ended = (1 + int(track),) if abs(since - 4) < 0.05 else ()
        found += rule.apply(at(*([(1 + int(track), CAR, 0.5, 0.5)] if since < 3.95 else []), ended=ended), t)
    assert len(found) == 1


@pytest.mark.parametrize(
    "rule",
    [
        LoiterRule("r", YARD),
        CrowdRule("r", YARD),
        StoppedRule("r", YARD),
        ZoneRule("r", YARD, dwell_s=2),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_a_rule_remembers_nobody_who_is_gone_for_good(rule):
    for number in range(1, 20_000, 20):
        tracks = [(number + i, PERSON if i % 2 else CAR, 0.3 + 0.02 * i, 0.5) for i in range(20)]
        gone = tuple(range(number - 20, number)) if number > 1 else ()
        rule.apply(at(*tracks, ended=gone), number / 10)
    rule.apply(at(ended=tuple(range(number, number + 20))), number / 10 + 20)
    rule.apply(at(), number / 10 + 60)
    kept = {
        name: value
        for name in type(rule).__slots__
        if isinstance(value := getattr(rule, name), dict | list) and value
    }
    assert not kept
    if isinstance(rule, StoppedRule):
        assert not rule._standers.by_track
        assert not rule._standers._lost


def test_an_object_that_comes_back_under_another_name_never_left_the_zone():
    zone = ZoneRule("yard", YARD, dwell_s=5.0)
    found = [h.kind for t in np.arange(0, 3, 0.1) for h in zone.apply(at((1, CAR, 0.5, 0.5)), t)]
    found += [h.kind for h in zone.apply(at((2, CAR, 0.5, 0.5)), 3.0)]
    found += [h.kind for h in zone.apply(at((2, CAR, 0.5, 0.5), renames=((1, 2),)), 3.1)]
    found += [h.kind for t in np.arange(3.2, 6, 0.1) for h in zone.apply(at((2, CAR, 0.5, 0.5)), t)]
    assert found == ["zone-enter", "dwell"]
    assert zone.occupancy() == {CAR: 1}
