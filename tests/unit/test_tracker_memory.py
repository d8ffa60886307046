"""Who is out of sight: how long it is remembered, how it comes back, and why it ends."""

import numpy as np
import pytest

from device.firmware.tracker import Tracker, TrackerSettings
from tests.made_detections import CAR, PERSON, box, seen

FPS = 8
PLACE = box(0.5, 0.5, 0.06, 0.2)
NO_MOTION = np.zeros((36, 64), np.bool_)
MOTION_THERE = NO_MOTION.copy()
MOTION_THERE[18:26, 32:36] = True
DEFAULT = TrackerSettings()


def watch(tracker, way, from_s, to_s, motion=NO_MOTION):
    """What the tracker says in each frame of persons at `way(t)`, unseen for None."""
    told = []
    for t in np.arange(round(from_s * FPS), round(to_s * FPS)) / FPS:
        place = way(t)
        found = seen() if place is None else seen((PERSON, 0.8, place))
        told.append(tracker.update(found, float(t), motion))
    return told


def standing(t):
    return PLACE


def unseen(t):
    return None


def walking(t, top=0.5):
    return box(0.1 + 0.05 * t, top, 0.06, 0.2)


def ids(told):
    return {track for tracks in told for track in tracks.ids.tolist()}


def reasons(told):
    return {track: why for tracks in told for track, why in tracks.reasons.items()}


def test_who_stands_undetected_while_nothing_moves_there_is_remembered_and_keeps_its_number():
    tracker = Tracker()
    told = watch(tracker, standing, 0, 5)
    told += watch(tracker, unseen, 5, 25 + DEFAULT.still_lost_s)
    told += watch(tracker, standing, 25 + DEFAULT.still_lost_s, 30 + DEFAULT.still_lost_s)
    assert (ids(told), reasons(told)) == ({1}, {})
    assert told[-1].first_s.tolist() == [0.0]


def test_who_stands_and_is_never_detected_again_ends_as_unverified():
    tracker = Tracker()
    watch(tracker, standing, 0, 5)
    assert not reasons(watch(tracker, unseen, 5, 5 + DEFAULT.verify_s))
    due_s = 5 + DEFAULT.verify_s
    assert reasons(watch(tracker, unseen, due_s, due_s + DEFAULT.still_lost_s + 1)) == {1: "unverified"}


def test_who_stood_where_something_moved_and_is_not_found_again_ends_as_gone():
    tracker = Tracker()
    watch(tracker, standing, 0, 5)
    assert reasons(watch(tracker, unseen, 5, 10, MOTION_THERE)) == {1: "gone"}


def test_who_left_while_something_moved_is_not_remembered_by_the_calm_that_follows():
    tracker = Tracker()
    watch(tracker, standing, 0, 5)
    watch(tracker, unseen, 5, 6, MOTION_THERE)
    told = watch(tracker, unseen, 6, 12)
    assert reasons(told) == {1: "gone"}
    assert not any(tracks.remembered for tracks in told)


@pytest.mark.parametrize(("apart", "remembered"), [(0.03, ()), (0.07, (1,))])
def test_who_stands_unseen_is_remembered_only_where_nobody_else_is_found(apart, remembered):
    tracker, other = Tracker(), box(0.5 + apart, 0.5, 0.06, 0.2)
    for t in np.arange(0, 12, 1 / FPS):
        places = [PLACE, other] if t < 5 else [other]
        told = tracker.update(seen(*((PERSON, 0.8, place) for place in places)), float(t), NO_MOTION)
    assert (told.ids.tolist(), told.remembered) == ([2], remembered)


def test_who_walks_out_of_the_picture_ends_as_left_frame():
    tracker = Tracker()

    def walking_out(t):
        left = 0.85 + 0.05 * t
        return (left, 0.5, min(1.0, left + 0.06), 0.7)

    told = watch(tracker, walking_out, 0, 2.75) + watch(tracker, unseen, 2.75, 6)
    assert (ids(told), reasons(told)) == ({1}, {1: "left-frame"})


def test_who_vanishes_in_the_middle_ends_as_lost():
    tracker = Tracker()
    told = watch(tracker, walking, 0, 2) + watch(tracker, unseen, 2, 6)
    assert (ids(told), reasons(told)) == ({1}, {1: "lost"})


def test_of_too_many_objects_the_longest_unseen_end_as_crowded_out():
    tracker = Tracker(TrackerSettings(max_tracks=3))
    first = seen(*((CAR, 0.8, box(x, 0.2)) for x in (0.1, 0.4, 0.7)))
    for frame in range(3):
        assert len(tracker) <= 3
        tracks = tracker.update(first, frame / FPS)
    assert tracks.ids.tolist() == [1, 2, 3]
    tracks = tracker.update(seen((CAR, 0.8, box(0.4, 0.2)), (CAR, 0.8, box(0.4, 0.7))), 3 / FPS)
    assert (len(tracker), set(tracks.reasons.values())) == (3, {"crowded-out"})
    assert set(tracks.reasons) < {1, 3}


@pytest.mark.parametrize(("away_s", "numbers"), [(1.5, {1}), (2.5, {1, 2})])
def test_who_comes_back_while_remembered_goes_on_under_its_number(away_s, numbers):
    tracker = Tracker()
    told = watch(tracker, walking, 0, 3) + watch(tracker, unseen, 3, 3 + away_s)
    told += watch(tracker, walking, 3 + away_s, 8)
    assert ids(told) == numbers


def test_a_lost_object_shown_under_a_new_number_is_renamed_and_its_old_number_never_comes_back():
    tracker, told = Tracker(), []
    told += watch(tracker, walking, 0, 3) + watch(tracker, unseen, 3, 4.125)
    for frame in range(33, 33 + 5 * FPS):
        # For a moment it looks like a car, which nobody was.
        cls, score = (CAR, 0.4) if frame < 36 else (PERSON, 0.9)
        told.append(tracker.update(seen((cls, score, walking(frame / FPS))), frame / FPS, NO_MOTION))
    at = [number for number, tracks in enumerate(told) if tracks.renames]
    assert [told[number].renames for number in at] == [((1, 2),)]
    assert (ids(told[at[0] :]), reasons(told)) == ({2}, {})
    assert told[-1].first_s.tolist() == [0.0]
    assert tracker.confirmed_total == 1


def test_a_skipped_frame_keeps_who_stands_who_walks_and_who_does_not_count_yet():
    def three(t):
        return [PLACE, walking(t, top=0.1), box(0.8, 0.8)]

    tracker = Tracker()
    for frame in range(5 * FPS):
        shown = three(frame / FPS)[: 3 if frame >= 5 * FPS - 2 else 2]
        tracks = tracker.update(seen(*((PERSON, 0.8, place) for place in shown)), frame / FPS, NO_MOTION)
    assert tracks.ids.tolist() == [1, 2]
    for held in range(2 * FPS):
        tracker.hold(5 + held / FPS)
    tracks = tracker.update(seen(*((PERSON, 0.8, place) for place in three(5))), 7.0, NO_MOTION)
    assert (tracks.ids.tolist(), tracks.ended) == ([1, 2, 3], ())


@pytest.mark.parametrize("fall_s", [5.0, 14 * 86400.0])
def test_a_stamp_that_falls_loses_nobody_and_changes_no_duration(fall_s):
    tracker, start_s = Tracker(), 3e6
    for frame in range(5 * FPS):
        t = start_s + frame / FPS
        told = seen((PERSON, 0.8, PLACE), (PERSON, 0.8, box(0.1 + 0.05 * frame / FPS, 0.1)))
        before = tracker.update(told, t, NO_MOTION)
    lost_s = t
    for frame in range(1, FPS + 1):
        t = lost_s + frame / FPS
        before = tracker.update(seen((PERSON, 0.8, PLACE)), t, NO_MOTION)
    after = tracker.update(seen((PERSON, 0.8, PLACE)), t - fall_s, NO_MOTION)
    assert (after.ids.tolist(), after.still.tolist(), after.ended) == ([1], [True], ())
    assert t - fall_s - after.first_s == pytest.approx(t - before.first_s)
    ends = [
        (frame / FPS, tracks.reasons)
        for frame in range(1, 4 * FPS)
        if (tracks := tracker.update(seen((PERSON, 0.8, PLACE)), t - fall_s + frame / FPS, NO_MOTION)).ended
    ]
    assert ends == [(DEFAULT.remember_s - 1 + 1 / FPS, {2: "lost"})]
