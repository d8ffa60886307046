"""Zones and lines, on tracks made by hand."""

import numpy as np

from device.firmware.rules import LineRule, ZoneRule
from device.firmware.tracks import Tracks
from device.models.labels import CLASSES

CAR, PERSON = CLASSES.index("car"), CLASSES.index("person")
MIDDLE = np.array([[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]])


def at(*feet, ended=(), width=0.1, first_xs=None):
    """Tracks from (id, class, x, y) of their bottom centres, and the x where each was first seen."""
    boxes = [(x - width / 2, y - 0.1, x + width / 2, y) for _, _, x, y in feet]
    firsts = [(x - width / 2, 0.4, x + width / 2, 0.5) for x in first_xs or []]
    return Tracks(
        ids=np.array([f[0] for f in feet], np.int64),
        classes=np.array([f[1] for f in feet], np.int64),
        scores=np.full(len(feet), 0.9, np.float32),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        ended=tuple(ended),
        first_boxes=np.array(firsts, np.float32) if firsts else None,
    )


def line(**options):
    return LineRule("gate", np.array([0.5, 0.1]), np.array([0.5, 0.9]), **options)


def walk(rule, xs, track=1, cls=CAR, y=0.5, start_s=0.0):
    found = []
    for step, x in enumerate(xs):
        found += rule.apply(at((track, cls, x, y)), start_s + step / 10)
    return found


def test_a_crossing_counts_once_and_knows_its_direction():
    found = walk(line(), np.linspace(0.1, 0.9, 20))
    assert [(h.kind, h.direction, h.tally) for h in found] == [("line-cross", "out", "out")]
    back = walk(line(), np.linspace(0.9, 0.1, 20), track=2)
    assert [h.direction for h in back] == ["in"]


def test_a_car_that_stops_on_the_line_and_trembles_counts_once():
    rng = np.random.default_rng(1)
    stop_on_line = [
        *np.linspace(0.1, 0.5, 10),
        *(0.5 + rng.normal(0, 0.006, 200)),
        *np.linspace(0.5, 0.9, 10),
    ]
    assert len(walk(line(), stop_on_line)) == 1


def test_turning_back_before_the_line_is_no_crossing():
    assert not walk(line(), [0.3, 0.4, 0.48, 0.495, 0.48, 0.4, 0.3])


def test_passing_beside_the_end_of_the_line_is_no_crossing():
    assert not walk(line(), np.linspace(0.1, 0.9, 20), y=0.97)


def test_a_fast_object_that_jumps_over_the_line_between_frames_is_counted():
    assert len(walk(line(), [0.2, 0.8])) == 1


def test_a_rule_for_people_does_not_count_cars():
    only_people = line(classes=frozenset({PERSON}))
    assert not walk(only_people, np.linspace(0.1, 0.9, 20), cls=CAR)
    assert walk(only_people, np.linspace(0.1, 0.9, 20), track=2, cls=PERSON)


def test_entering_staying_and_leaving_a_zone_are_told_with_their_time():
    zone = ZoneRule("yard", MIDDLE, dwell_s=5.0)
    found = []
    for step in range(120):
        t = step / 10
        x = 0.5 if 1.0 <= t < 9.0 else 0.1
        found += zone.apply(at((1, PERSON, x, 0.5)), t)
    assert [h.kind for h in found] == ["zone-enter", "dwell", "zone-exit"]
    assert found[2].seen.box[0] == np.float32(0.05), "where it is when that is told"
    assert 4.9 <= found[1].duration_s <= 5.2
    assert 7.8 <= found[2].duration_s <= 8.1


def test_dwell_is_measured_in_seconds_when_the_frame_rate_drops():
    zone = ZoneRule("yard", MIDDLE, dwell_s=5.0)
    times = [*np.arange(0, 2, 1 / 15), *np.arange(2, 8, 1 / 2)]
    found = [(h.kind, t) for t in times for h in zone.apply(at((1, PERSON, 0.5, 0.5)), float(t))]
    (dwell_at,) = [t for kind, t in found if kind == "dwell"]
    assert 5.0 <= dwell_at <= 5.5


def test_flicker_at_the_edge_of_a_zone_makes_no_events():
    zone = ZoneRule("yard", MIDDLE)
    found = []
    for step in range(60):
        found += zone.apply(at((1, CAR, 0.295 if step % 2 else 0.305, 0.5)), step / 10)
    assert len(found) <= 1


def test_a_track_that_ends_inside_leaves_the_zone():
    zone = ZoneRule("yard", MIDDLE)
    for step in range(10):
        zone.apply(at((7, CAR, 0.5, 0.5)), step / 10)
    assert zone.occupancy() == {CAR: 1}
    found = zone.apply(at(ended=(7,)), 2.0)
    assert [(h.kind, h.seen.track) for h in found] == [("zone-exit", 7)]
    assert zone.occupancy() == {}
    assert not zone._stays


def test_a_line_forgets_tracks_that_ended():
    gate = line()
    walk(gate, np.linspace(0.1, 0.9, 20))
    gate.apply(at(ended=(1,)), 5.0)
    assert not gate._places


def test_a_person_who_crosses_and_comes_back_counts_once_each_way():
    there_and_back = [*np.linspace(0.2, 0.8, 20), *np.linspace(0.8, 0.2, 20)]
    assert [h.direction for h in walk(line(), there_and_back)] == ["out", "in"]


def test_who_crosses_again_and_again_counts_each_time():
    there, back = np.linspace(0.2, 0.8, 20), np.linspace(0.8, 0.2, 20)
    assert [h.direction for h in walk(line(), [*there, *back, *there])] == ["out", "in", "out"]


def test_an_object_that_was_first_seen_before_the_line_has_crossed_it_when_its_track_counts_behind_it():
    gate = line()
    (found,) = gate.apply(at((1, CAR, 0.6, 0.5), first_xs=[0.45]), 0.0)
    assert found.direction == "out"
    assert not gate.apply(at((1, CAR, 0.65, 0.5), first_xs=[0.45]), 0.1), "its beginning is told once"


def test_an_object_that_was_not_seen_on_the_line_has_crossed_it_when_it_is_seen_again():
    gate = line()
    gate.apply(at((1, PERSON, 0.4, 0.5)), 0.0)
    gate.apply(at(), 0.5)
    assert [h.direction for h in gate.apply(at((1, PERSON, 0.6, 0.5)), 1.0)] == ["out"]


def test_a_wide_object_must_be_farther_from_the_line_than_a_narrow_one_because_its_box_trembles_more():
    bus, person = line(), line()
    for t, x in enumerate((0.4, 0.52)):
        wide = bus.apply(at((1, CAR, x, 0.5), width=0.5), float(t))
        narrow = person.apply(at((2, PERSON, x, 0.5), width=0.03), float(t))
    assert (len(wide), len(narrow)) == (0, 1)
    assert len(bus.apply(at((1, CAR, 0.55, 0.5), width=0.5), 2.0)) == 1


def test_a_step_over_the_line_and_back_counts_both_ways():
    found = walk(line(), [0.40, 0.47, 0.53, 0.47, 0.40, 0.30, 0.20])
    assert [h.direction for h in found] == ["out", "in"]


def test_a_slow_walker_who_turns_back_near_the_line_counts_both_times() -> None:
    out_and_back = [*np.linspace(0.4, 0.53, 40), *np.full(20, 0.53), *np.linspace(0.53, 0.4, 40)]
    ways = [happening.direction for happening in walk(line(), out_and_back)]
    assert len(ways) == 2
    assert ways[0] != ways[1]
