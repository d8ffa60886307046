"""Left and removed: things with a class as tracks, things without one on a small luma plane."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from device.firmware.rules import A_THING, LeftRule
from device.firmware.rules.attending import Attendance
from tests.made_tracks import BICYCLE, CAR, PERSON, at, told

WHOLE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
RIGHT = np.array([[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]])
STEADY = np.arange(0, 120, 1 / 5)
DROPPING = np.concatenate([np.arange(0, 20, 1 / 15), np.arange(20, 40, 1 / 2), np.arange(40, 120, 1 / 15)])
H, W = 120, 160


def comes_and_stands(t):
    return (0.1 + 0.02 * (t - 15), 0.6) if 15 <= t < 35 else (0.5, 0.6) if t >= 35 else None


@pytest.mark.parametrize("times", [STEADY, DROPPING], ids=["steady", "15 to 2 fps and back"])
def test_a_bicycle_that_was_brought_and_stands_alone_is_left(times):
    ((when, happening),) = told(LeftRule("yard", WHOLE), comes_and_stands, times, cls=BICYCLE)
    assert (happening.kind, happening.seen.cls) == ("object-left", BICYCLE)
    assert 64 < when < 68


def test_what_stood_there_from_the_beginning_is_not_left():
    assert not told(LeftRule("yard", WHOLE), lambda _: (0.5, 0.6), STEADY, cls=BICYCLE)


def test_what_stood_there_and_is_taken_is_removed():
    found = told(
        LeftRule("yard", WHOLE), lambda t: (0.5 + max(0, t - 60) * 0.03, 0.6), STEADY[:350], cls=BICYCLE
    )
    assert [happening.kind for _, happening in found] == ["object-removed"]
    assert found[0][1].duration_s == pytest.approx(61, abs=3)


def test_what_was_left_and_is_taken_is_told_both_times():
    def goes_again(t):
        return (0.5 + 0.05 * (t - 90), 0.6) if t >= 90 else comes_and_stands(t)

    found = told(LeftRule("yard", WHOLE), goes_again, STEADY[:490], cls=BICYCLE)
    assert [happening.kind for _, happening in found] == ["object-left", "object-removed"]


def test_a_thing_is_not_left_while_somebody_is_near_it():
    rule = LeftRule("yard", WHOLE, dwell_s=20)
    kinds = []
    for t in STEADY:
        place = comes_and_stands(t)
        owner = (0.55, 0.62) if t < 80 else (0.95, 0.62)
        feet = [(2, PERSON, *owner), *([(1, BICYCLE, *place)] if place else [])]
        kinds += [(t, happening.kind) for happening in rule.apply(at(*feet, width=0.06), t)]
    ((when, kind),) = kinds
    assert kind == "object-left"
    assert 99 < when < 103


def test_a_person_who_stands_is_not_left_behind():
    assert not told(LeftRule("yard", WHOLE), comes_and_stands, STEADY, cls=PERSON)


def test_a_thing_that_the_tracker_found_to_be_gone_is_removed():
    rule = LeftRule("yard", WHOLE)
    for t in np.arange(0, 60, 0.5):
        assert not rule.apply(at((1, BICYCLE, 0.5, 0.6)), t)
    gone = rule.apply(at(ended=(1,), reasons={1: "gone"}), 60.0)
    assert [happening.kind for happening in gone] == ["object-removed"]


def test_a_car_that_waits_and_drives_on_is_neither_left_nor_removed():
    def waits(t):
        return (0.3, 0.6) if t < 12 else (0.3 + 0.05 * (t - 12), 0.6)

    assert not told(LeftRule("yard", WHOLE), waits, STEADY[:100], cls=CAR)


class Scene:
    """A street as a small luma plane, with noise; who walks in it is seen by the tracker, or not."""

    def __init__(self, seed=0, noise=1.5):
        self._rng = np.random.default_rng(seed)
        ground = self._rng.normal(120, 18, (H // 4, W // 4))
        self._ground = cv2.resize(ground.astype(np.float32), (W, H), interpolation=cv2.INTER_CUBIC)
        self._noise = noise
        self.things = []
        self.light = 0.0

    def plane(self, person=None):
        """The scene now, with somebody at a place if there is one."""
        plane = self._ground.copy()
        for (left, top, right, bottom), level in self.things:
            plane[top:bottom, left:right] = level
        if person is not None:
            x, y = person[0] * W, person[1] * H
            plane[int(y - 36) : int(y), max(0, int(x - 6)) : int(x + 6)] = 40
        plane += self.light + self._rng.normal(0, self._noise, plane.shape)
        return np.clip(plane, 0, 255).astype(np.uint8)


def walks(rule, scene, seconds, *, acts=(), is_tracked=True, way=None, unseen=(0, 0)):
    """Somebody walks to the middle by 20 s, stays to 26 s and goes; `acts` change the scene at a second."""
    found, acts = [], dict(acts)

    def usual(t):
        if 10 <= t < 20:
            return 0.04 * (t - 10) + 0.05, 0.8
        if 20 <= t < 26:
            return 0.45, 0.8
        return (0.45 - 0.04 * (t - 26), 0.8) if 26 <= t < 36 else None

    way = way or usual
    for step in range(seconds * 2):
        t = step / 2
        if t in acts:
            acts[t](scene)
        place = way(t)
        is_seen = place and is_tracked and not unseen[0] <= t < unseen[1]
        feet = [(1, PERSON, *place)] if is_seen else []
        found += [(t, h) for h in rule.apply(at(*feet, width=0.08, height=0.3), t)]
        found += [(t, h) for h in rule.watch_small(scene.plane(place), t)]
    return found


BAG = (82, 86, 92, 96)


def put(level, box=BAG):
    return lambda scene: scene.things.append((box, level))


def take(scene):
    scene.things.pop()


@pytest.mark.parametrize(("seed", "level"), [(0, 30), (1, 60), (2, 200)])
def test_a_bag_that_is_put_down_is_left_after_its_owner_has_gone(seed, level):
    ((when, happening),) = walks(LeftRule("hall", WHOLE, dwell_s=20), Scene(seed), 90, acts={22: put(level)})
    assert (happening.kind, happening.seen.cls, happening.seen.track) == ("object-left", A_THING, 0)
    assert 46 <= when <= 58
    left, top, right, bottom = happening.seen.box
    assert (left + right) / 2 == pytest.approx(87 / W, abs=0.02)
    assert (top + bottom) / 2 == pytest.approx(91 / H, abs=0.02)


@pytest.mark.parametrize(("seed", "level"), [(0, 30), (1, 60), (2, 200)])
def test_a_bag_that_stood_there_and_is_taken_is_removed(seed, level):
    scene = Scene(seed)
    put(level)(scene)
    ((_, happening),) = walks(LeftRule("hall", WHOLE, dwell_s=20), scene, 90, acts={22: take})
    assert happening.kind == "object-removed"


def test_a_bag_that_is_left_and_later_taken_is_told_both_times():
    def twice(t):
        begin = 0 if t < 80 else 80
        at_s = t - begin
        if 10 <= at_s < 20:
            return 0.04 * (at_s - 10) + 0.05, 0.8
        return (0.45 - 0.04 * (at_s - 22), 0.8) if 20 <= at_s < 32 else None

    found = walks(LeftRule("hall", WHOLE, dwell_s=20), Scene(), 160, acts={20: put(30), 100: take}, way=twice)
    assert [happening.kind for _, happening in found] == ["object-left", "object-removed"]


def test_a_change_that_nobody_was_near_to_is_light_and_not_told():
    rule = LeftRule("hall", WHOLE, dwell_s=20)
    assert not walks(rule, Scene(), 90, acts={22: put(170, (100, 20, 150, 60))}, way=lambda _: None)


def test_a_headlight_on_a_pattern_is_not_told_though_people_are_near():
    scene = Scene()
    scene._ground[86:96, 60:110] = np.where(np.arange(50) // 5 % 2, 150.0, 60.0)

    def lit(scene):
        scene._ground[84:98, 76:98] = 1.4 * scene._ground[84:98, 76:98] + 12

    assert not walks(LeftRule("hall", WHOLE, dwell_s=20), scene, 90, acts={22: lit})


def test_what_the_edge_of_the_picture_cuts_off_is_not_told():
    def at_the_edge(t):
        return (0.97, 0.8) if 10 <= t < 26 else None

    put_there = put(30, (154, 86, 160, 96))
    assert not walks(LeftRule("hall", WHOLE, dwell_s=20), Scene(), 90, acts={22: put_there}, way=at_the_edge)


def test_a_bus_that_drives_off_in_the_first_seconds_does_not_become_background():
    scene = Scene()
    put(200, (60, 60, 140, 100))(scene)
    assert not walks(LeftRule("hall", WHOLE, dwell_s=20), scene, 90, acts={5: take})


def test_the_shadow_of_somebody_who_stands_there_from_the_beginning_does_not_become_background():
    scene = Scene()
    put(60, (76, 92, 88, 96))(scene)  # beside the feet at 0.45, 0.8

    def stands_and_goes(t):
        return (0.45, 0.8) if t < 15 else (0.45 - 0.04 * (t - 15), 0.8) if t < 25 else None

    assert not walks(LeftRule("hall", WHOLE, dwell_s=20), scene, 90, acts={15: take}, way=stands_and_goes)


def test_a_cloud_before_the_sun_is_not_told():
    def darker(scene):
        scene.light = -35.0

    def brighter(scene):
        scene.light = 20.0

    assert not walks(LeftRule("hall", WHOLE, dwell_s=20), Scene(), 120, acts={15: darker, 60: brighter})


def test_a_camera_that_was_turned_learns_anew_and_tells_nothing():
    def turned(scene):
        scene._ground = Scene(7)._ground[::-1, ::-1].copy()

    assert not walks(LeftRule("hall", WHOLE, dwell_s=20), Scene(), 120, acts={22: turned})


def test_somebody_who_walks_by_and_is_not_tracked_leaves_nothing():
    assert not walks(LeftRule("hall", WHOLE, dwell_s=20), Scene(), 90, is_tracked=False)


def test_a_bag_in_front_of_which_people_walk_by_is_still_found():
    def busy(t):
        if 10 <= t < 26:
            return min(0.45, 0.04 * (t - 10) + 0.05), 0.8
        return (0.05 + 0.09 * ((t - 26) % 10), 0.82) if t >= 26 else None

    found = walks(LeftRule("hall", WHOLE, dwell_s=20), Scene(), 180, acts={22: put(30)}, way=busy)
    assert [happening.kind for _, happening in found] == ["object-left"]


def test_what_lies_outside_the_zone_is_not_told():
    rule = LeftRule("hall", RIGHT, dwell_s=20)
    assert not walks(rule, Scene(), 90, acts={22: put(30, (62, 86, 72, 96))})
    assert walks(LeftRule("hall", RIGHT, dwell_s=20), Scene(), 90, acts={22: put(30)})


def test_a_rule_that_shall_not_look_does_not():
    assert not walks(LeftRule("hall", WHOLE, dwell_s=20, is_looking=False), Scene(), 90, acts={22: put(30)})


def test_a_plane_of_another_size_begins_anew():
    rule, scene = LeftRule("hall", WHOLE, dwell_s=5), Scene()
    for step in range(20):
        rule.apply(at(), step / 2)
        assert not rule.watch_small(scene.plane(), step / 2)
    for step in range(20, 60):
        rule.apply(at(), step / 2)
        assert not rule.watch_small(np.full((60, 80), 255, np.uint8), step / 2)


def test_a_left_rule_remembers_nobody_who_is_gone_for_good():
    rule = LeftRule("hall", WHOLE)
    for number in range(1, 20_000, 20):
        feet = [(number + i, CAR, 0.1 + 0.04 * i, 0.5) for i in range(20)]
        gone = tuple(range(number - 20, number)) if number > 1 else ()
        rule.apply(at(*feet, ended=gone), number / 10)
    assert len(rule._standers.by_track) == 20
    assert len(rule._standers._lost) <= 64


def test_a_thing_is_not_left_while_its_owner_stands_still_and_the_detector_misses_them_now_and_then():
    rule, kinds = LeftRule("yard", WHOLE, dwell_s=20), []
    for t in STEADY[:400]:
        place = comes_and_stands(t)
        is_missed = t % 15 > 9.5
        feet = [] if is_missed else [(2, PERSON, 0.55, 0.62)]
        feet += [(1, BICYCLE, *place)] if place else []
        kinds += rule.apply(at(*feet, width=0.06), t)
    assert not kinds


def test_who_walked_off_is_not_remembered_where_they_walked():
    about = Attendance()
    for t in np.arange(0, 5, 0.2):
        about.follow(at((1, PERSON, 0.1 + 0.1 * t, 0.5), width=0.05), t)
    about.follow(at(), 5.0)
    assert len(about.everyone()) == 1
    about.follow(at(), 9.5)
    assert not len(about.everyone())
    assert not len(about.near_people())


def test_a_thing_that_the_detector_takes_for_a_person_is_left_all_the_same():
    rule, scene, found = LeftRule("hall", WHOLE, dwell_s=20), Scene(), []
    for step in range(160):
        t = step / 2
        owner = (0.05 + 0.04 * (t - 10), 0.8) if 10 <= t < 20 else (0.45 - 0.04 * (t - 20), 0.8)
        feet = [(1, PERSON, *owner)] if 10 <= t < 30 else []
        if t == 20:
            put(30)(scene)
        if t >= 24:
            feet.append((2, PERSON, 0.545, 0.8))
        found += rule.apply(at(*feet, width=0.08, height=0.3), t)
        found += rule.watch_small(scene.plane(owner if 10 <= t < 30 else None), t)
    assert [happening.kind for happening in found] == ["object-left"]


def test_somebody_who_walked_up_and_stands_is_not_taken_for_a_thing():
    about = Attendance()
    for t in np.arange(0, 60, 0.2):
        place = (0.1 + 0.05 * max(0, min(4, t - 20)), 0.5)
        about.follow(at((1, PERSON, *place), width=0.05) if t >= 20 else at(), t)
    assert len(about.near_people()) == 1


def test_a_box_without_width_at_the_edge_does_no_harm():
    rule = LeftRule("yard", WHOLE)
    for t in np.arange(0, 5, 0.2):
        assert not rule.apply(at((1, PERSON, 1.0, 0.1 + 0.1 * t), width=0.0, height=0.0), t)


def left_behind(score, height):
    """Who is near after somebody walked up with score 0.7 and their track stayed on something else."""
    about = Attendance()
    for t in np.arange(12, 60, 0.2):
        is_thing = t >= 20
        x = 0.1 + 0.05 * min(8, t - 12)
        seen = at((1, PERSON, x, 0.5), width=0.05, height=height if is_thing else 0.15)
        about.follow(replace(seen, scores=np.full(1, score if is_thing else 0.7, np.float32)), t)
    return about.near_people()


def test_a_track_that_stays_on_what_its_owner_left_is_no_person_any_more():
    assert not len(left_behind(0.45, 0.1)), "fainter and lower"
    assert not len(left_behind(0.3, 0.15)), "much fainter"


def test_a_person_who_stands_is_one_though_the_detector_is_less_sure_or_sees_them_sit():
    assert len(left_behind(0.45, 0.15)) == 1
    assert len(left_behind(0.7, 0.1)) == 1


def test_somebody_whom_the_detector_loses_where_they_stand_is_not_left_and_not_removed():
    def waits(t):
        if 10 <= t < 60:
            return 0.05 + 0.04 * min(10, t - 10), 0.8
        return (0.45 + 0.04 * (t - 60), 0.8) if 60 <= t < 75 else None

    assert not walks(LeftRule("hall", WHOLE, dwell_s=20), Scene(), 120, way=waits, unseen=(20.5, 59))


def test_what_was_learnt_and_not_told_is_not_told_when_it_goes():
    def passes_at_last(t):
        return (0.05 + 0.04 * (t - 90), 0.8) if 90 <= t < 112 else None

    shadow = {45: put(30), 100: take}  # nobody is near when it comes, somebody is when it goes
    assert not walks(LeftRule("hall", WHOLE, dwell_s=20), Scene(), 150, acts=shadow, way=passes_at_last)


def told_in_colour(put_down):
    """Somebody comes at 10 s, puts something down at 20 s and goes; `put_down` draws it, (H, W, 3) Y U V."""
    rule, scene, found = LeftRule("hall", WHOLE, dwell_s=20), Scene(), []
    for step in range(180):
        t = step / 2
        owner = (0.05 + 0.04 * (t - 10), 0.8) if 10 <= t < 20 else (0.45 - 0.04 * (t - 20), 0.8)
        is_about = 10 <= t < 30
        small = np.dstack([scene.plane(owner if is_about else None), *np.full((2, H, W), 128, np.uint8)])
        if t >= 20:
            put_down(small)
        rule.apply(at(*([(1, PERSON, *owner)] if is_about else []), width=0.08, height=0.3), t)
        found += rule.watch_small(small, t)
    return found


def test_a_thing_as_bright_as_the_ground_is_found_by_its_colour():
    def colourful(small):
        small[85:97, 83:91, 2] = 200

    assert [happening.kind for happening in told_in_colour(colourful)] == ["object-left"]


def test_who_stands_with_the_legs_together_reaches_as_far_as_they_did_when_walking():
    about = Attendance()
    for t in np.arange(12, 22, 0.2):
        feet = (1, PERSON, 0.1 + 0.05 * min(6, t - 12), 0.5)
        about.follow(at(feet, width=0.06 if t < 18 else 0.03), t)
        ((left, _, right, _),) = about.near_people().tolist()
        assert right - left >= 0.03 + 2 * 1.2 * 0.059, t


def test_the_feet_of_somebody_of_whom_only_the_upper_half_is_detected_are_near_to_them():
    about = Attendance()
    for t in np.arange(12, 22, 0.2):
        walks = t < 18
        foot = (1, PERSON, 0.1 + 0.05 * min(6, t - 12), 0.6 if walks else 0.53)
        about.follow(at(foot, width=0.05, height=0.16 if walks else 0.09), t)
    ((_, _, _, bottom),) = about.near_people().tolist()
    assert bottom >= 0.6


def test_who_stands_stands_though_the_detector_loses_their_feet_and_finds_them_again():
    about = Attendance()
    for t in np.arange(12, 30, 0.2):
        has_feet = t < 18 or int(t) % 2 == 0
        foot = (1, PERSON, 0.1 + 0.05 * min(6, t - 12), 0.6 if has_feet else 0.55)
        about.follow(at(foot, width=0.05, height=0.16 if has_feet else 0.11), t)
        if t > 21:
            ((left, _, right, _),) = about.near_people().tolist()
            assert right - left >= 5 * 0.05, t


def test_who_walks_towards_the_camera_is_somebody_though_their_head_stays_at_the_horizon():
    about = Attendance()
    about.follow(at(), 0.0)
    for t in np.arange(12, 22, 0.2):
        height = 1.7 / (0.8 * (15.0 - 1.3 * (t - 12)))
        about.follow(at((1, PERSON, 0.5, 0.3 + height), width=0.35 * height, height=height), t)
        assert len(about.near_people()) == 1, t


def who_is_near_after_meeting(score, height):
    """Somebody walks past a place, and from then on something is found there that never moves."""
    about = Attendance()
    about.follow(at(), 0.0)
    for t in np.arange(12, 30, 0.2):
        feet = [(1, PERSON, 0.1 + 0.05 * (t - 12), 0.5)] if t < 24 else []
        feet += [(2, PERSON, 0.42, 0.5)] if t >= 19 else []
        boxes = at(*feet, width=0.05, height=0.15)
        if t >= 19:
            boxes.boxes[-1, 1], boxes.scores[-1] = 0.5 - height, score
        about.follow(boxes, t)
    return about.near_people()


def test_who_is_found_where_somebody_just_walked_may_be_that_one_and_is_not_doubted():
    assert len(who_is_near_after_meeting(0.85, 0.15)) == 1


def test_what_is_found_where_somebody_just_walked_and_looks_less_like_them_is_a_thing():
    assert not len(who_is_near_after_meeting(0.6, 0.15)), "less surely seen"
    assert not len(who_is_near_after_meeting(0.85, 0.1)), "lower"


def test_who_was_there_when_the_rule_began_is_not_doubted():
    about = Attendance()
    for t in np.arange(0, 60, 0.2):
        about.follow(at((1, PERSON, 0.5, 0.5), width=0.05), t)
    assert len(about.near_people()) == 1


def test_who_stood_is_remembered_for_a_while_and_not_for_ever():
    about = Attendance()
    for t in np.arange(0, 5, 0.2):
        about.follow(at((1, PERSON, 0.5, 0.5), (2, CAR, 0.2, 0.5), width=0.05), t)
    about.follow(at(), 10.0)
    assert len(about.everyone()) == 2
    (near,) = about.near_people()
    assert near[0] < 0.5 - 2 * 0.05
    about.follow(at(ended=(1,), reasons={1: "left-frame"}), 10.2)
    assert len(about.everyone()) == 1
    about.follow(at(), 20.0)
    assert not about._known


def test_a_thing_of_which_a_part_is_near_to_somebody_is_not_left():
    scene = Scene()

    def waits_beside(t):
        x = min(0.45, 0.04 * (t - 10) + 0.05)
        return None if t < 10 else (x, 0.92) if t < 21 else (x, 0.8)

    # Its lower part reaches out of what is near to the person, whose feet the detector does not see.
    found = walks(
        LeftRule("hall", WHOLE, dwell_s=20),
        scene,
        90,
        acts={22: put(30, (78, 86, 88, 116))},
        way=waits_beside,
    )
    assert not found


def test_a_thing_whose_shadow_falls_out_of_the_zone_is_left():
    upper = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.85], [0.0, 0.85]])

    def casts_a_shadow(scene):
        put(200)(scene)
        put(60, (80, 96, 92, 105))(scene)

    found = walks(LeftRule("hall", upper, dwell_s=20), Scene(), 90, acts={22: casts_a_shadow})
    assert [happening.kind for _, happening in found] == ["object-left"]


def test_the_box_of_what_was_left_is_that_of_the_thing_and_not_of_its_shadow():
    def casts_a_shadow(small):
        small[90:97, 91:115, 0] //= 2
        small[85:97, 83:91] = 200, 100, 170

    ((left, top, right, bottom),) = [happening.seen.box for happening in told_in_colour(casts_a_shadow)]
    assert (left * W, right * W) == (pytest.approx(83, abs=1), pytest.approx(91, abs=2))
    assert (top * H, bottom * H) == (pytest.approx(85, abs=1), pytest.approx(97, abs=1))
