"""Detections to tracks: identity over time, at any frame rate."""

import numpy as np
import pytest

from device.firmware.tracker import Tracker, TrackerSettings
from device.models.detections import Detections
from tests.made_detections import CAR, PERSON, box, seen


def drive(tracker, fps, seconds=2.0, speed=0.3, score=0.8, start_s=0.0):
    """A car from left to right; returns the ids that were seen."""
    ids = []
    for frame in range(int(seconds * fps)):
        t = frame / fps
        tracks = tracker.update(seen((CAR, score, box(0.05 + speed * t, 0.5))), start_s + t)
        ids += tracks.ids.tolist()
    return ids


@pytest.mark.parametrize("fps", [3, 5, 10, 25])
def test_one_car_is_one_track_at_any_frame_rate(fps):
    tracker = Tracker()
    ids = drive(tracker, fps)
    assert set(ids) == {1}
    assert tracker.confirmed_total == 1


def test_a_track_survives_a_drop_from_15_frames_a_second_to_2_and_back():
    tracker, t, ids = Tracker(), 0.0, set()
    for fps, frames in ((15, 15), (2, 4), (15, 15)):
        for _ in range(frames):
            ids |= set(tracker.update(seen((CAR, 0.8, box(0.05 + 0.15 * t, 0.5))), t).ids.tolist())
            t += 1 / fps
    assert ids == {1}


def test_two_cars_that_pass_each_other_keep_their_numbers():
    tracker = Tracker()
    last = {}
    for frame in range(40):
        t = frame / 10
        tracks = tracker.update(
            seen((CAR, 0.8, box(0.02 + 0.22 * t, 0.40)), (CAR, 0.8, box(0.88 - 0.22 * t, 0.52))), t
        )
        for track, placed in zip(tracks.ids.tolist(), tracks.boxes, strict=True):
            last.setdefault(track, []).append(float(placed[1]))
    assert len(last) == 2
    assert all(max(tops) - min(tops) < 0.05 for tops in last.values())


def test_a_weak_detection_continues_a_track_but_never_starts_one():
    tracker = Tracker()
    assert not drive(tracker, 10, score=0.2)
    drive(tracker, 10, seconds=1.0, start_s=10.0)
    weak = tracker.update(seen((CAR, 0.2, box(0.05 + 0.3, 0.5))), 11.0)
    assert len(weak) == 1


def test_an_object_unseen_for_too_long_ends_once():
    tracker = Tracker(TrackerSettings(lost_s=1.0))
    drive(tracker, 10, seconds=1.0)
    ended = [tracker.update(seen(), 1.0 + step / 10).ended for step in range(30)]
    assert [e for e in ended if e] == [(1,)]


def test_a_held_scene_keeps_its_tracks_for_as_long_as_nothing_moves():
    tracker = Tracker(TrackerSettings(lost_s=1.0))
    for frame in range(5):
        tracker.update(seen((PERSON, 0.8, box(0.5, 0.5))), frame / 10)
    for second in range(1, 60):
        tracker.hold(float(second))
    tracks = tracker.update(seen((PERSON, 0.8, box(0.5, 0.5))), 60.0)
    assert tracks.ids.tolist() == [1]
    assert not tracks.ended


def test_the_class_of_a_track_is_what_was_seen_most():
    tracker = Tracker()
    for frame in range(10):
        cls = PERSON if frame == 7 else CAR
        tracks = tracker.update(seen((cls, 0.8, box(0.5, 0.5))), frame / 10)
    assert tracks.classes.tolist() == [CAR]


def test_a_thousand_detections_in_a_frame_are_taken_and_memory_stays_bounded():
    tracker = Tracker(TrackerSettings(max_tracks=500))
    rng = np.random.default_rng(3)
    for frame in range(4):
        corners = rng.random((1000, 2), np.float32) * 0.95
        boxes = np.concatenate([corners, corners + 0.02], axis=1)
        crowd = Detections(np.zeros(1000, np.int64), np.full(1000, 0.9, np.float32), boxes)
        tracker.update(crowd, frame / 10)
        assert len(tracker) <= 500


def test_no_detection_at_all_is_fine():
    assert len(Tracker().update(seen(), 0.0)) == 0


def test_a_second_box_round_the_same_object_never_becomes_a_track():
    tracker, ids = Tracker(), set()
    for frame in range(40):
        x = 0.1 + 0.01 * frame
        pair = seen((PERSON, 0.6, box(x, 0.5, 0.08, 0.2)), (PERSON, 0.5, box(x + 0.02, 0.51, 0.08, 0.2)))
        ids |= set(tracker.update(pair, frame / 8).ids.tolist())
    assert len(ids) == 1
    assert tracker.confirmed_total == 1


def test_someone_who_steps_out_from_beside_another_becomes_a_track_and_keeps_where_it_began():
    tracker = Tracker()
    for frame in range(24):
        apart = max(0.0, 0.01 * (frame - 8))
        pair = (PERSON, 0.8, box(0.4, 0.5, 0.06, 0.2)), (PERSON, 0.7, box(0.42 + apart, 0.5, 0.06, 0.2))
        tracks = tracker.update(seen(*pair), frame / 8)
    assert len(tracks) == 2
    # Until half of both boxes is shared they are one; from the next step on it is known where she was.
    assert np.allclose(tracks.first_boxes[:, 0], [0.4, 0.43])


def test_a_track_tells_where_it_was_first_seen_before_it_counted():
    tracker = Tracker()
    for frame in range(3):
        tracks = tracker.update(seen((CAR, 0.8, box(0.1 + 0.05 * frame, 0.5))), frame / 8)
    assert tracks.ids.tolist() == [1]
    assert np.allclose(tracks.first_boxes, [box(0.1, 0.5)])


def test_who_stops_is_not_carried_on_by_the_speed_it_had():
    tracker = Tracker()
    for frame in range(20):
        x = min(0.3, 0.1 + 0.0125 * frame)
        tracks = tracker.update(seen((PERSON, 0.8, box(x, 0.5, 0.04, 0.16))), frame / 8)
        assert tracks.boxes[:, 0].max(initial=0.0) < 0.3 + 0.25 * 0.04


@pytest.mark.parametrize("seed", range(4))
def test_a_narrower_box_that_comes_and_goes_round_one_person_becomes_no_track(seed):
    tracker, ids, rng = Tracker(), set(), np.random.default_rng(seed)
    whole, narrower = np.array([(0.50, 0.72, 0.56, 0.91), (0.51, 0.73, 0.55, 0.90)])
    for frame in range(60):
        boxes = [one + rng.normal(0, 0.015, 4) for one in ([whole, narrower] if frame % 3 else [whole])]
        found = seen(*((PERSON, score, one) for score, one in zip((0.8, 0.6), boxes, strict=False)))
        ids |= set(tracker.update(found, frame / 8).ids.tolist())
    assert (ids, tracker.confirmed_total) == ({1}, 1)


def test_two_tracks_never_take_a_detection_that_trembles_between_them_in_turns():
    tracker, takers = Tracker(), []
    for frame in range(16):
        tracker.update(seen(*((PERSON, 0.8, box(x, 0.5, 0.06, 0.2)) for x in (0.475, 0.525))), frame / 8)
    for frame in range(16, 40):
        between = box(0.5 + 0.005 * (-1) ** frame, 0.5, 0.06, 0.2)
        takers += tracker.update(seen((PERSON, 0.8, between)), frame / 8).ids.tolist()
    assert (len(takers), len(set(takers))) == (24, 1)


def test_a_suitcase_at_the_feet_of_a_standing_person_does_not_go_on_as_that_person():
    tracker = Tracker()
    for frame in range(40):
        tracker.update(seen((PERSON, 0.8, (0.50, 0.40, 0.58, 0.70))), frame / 8)
    suitcase = seen((PERSON, 0.8, (0.50, 0.55, 0.58, 0.70)))
    later = [tracker.update(suitcase, frame / 8).ids.tolist() for frame in range(40, 80)]
    assert [ids for ids in later if ids] == [[2]] * 38


def test_over_three_thousand_random_frames_no_number_comes_back_and_the_table_stays_bounded():
    tracker, rng, t = Tracker(TrackerSettings(max_tracks=20)), np.random.default_rng(5), 0.0
    corners, over, shown = rng.random((30, 2)) * 0.9, set(), set()
    for _ in range(3000):
        t += rng.choice([0.1, 0.1, 0.1, 3.0, -5.0], p=[0.5, 0.3, 0.17, 0.02, 0.01])
        corners = (corners + rng.normal(0, 0.01, corners.shape)).clip(0, 0.9)
        corners[rng.random(30) < 0.02] = rng.random(2) * 0.9
        chosen = corners[rng.random(30) < rng.random()]
        tracks = tracker.update(seen(*((CAR, rng.uniform(0.1, 1.0), box(*at)) for at in chosen)), t)
        ids = tracks.ids.tolist()
        over |= set(tracks.ended) | {before for before, _ in tracks.renames}
        shown |= set(ids)
        assert len(set(ids)) == len(ids)
        assert over.isdisjoint(ids)
        assert len(tracker) <= 20
    assert len(shown) > 1000
