"""Detections to tracks: identity over time, at any frame rate."""

import numpy as np
import pytest

from device.firmware.tracker import Tracker, TrackerSettings
from device.models.detections import Detections
from device.models.labels import CLASSES

CAR, PERSON = CLASSES.index("car"), CLASSES.index("person")


def seen(*objects):
    """Detections from (class, score, (left, top, right, bottom))."""
    return Detections(
        classes=np.array([o[0] for o in objects], np.int64),
        scores=np.array([o[1] for o in objects], np.float32),
        boxes=np.array([o[2] for o in objects], np.float32).reshape(-1, 4),
    )


def box(x, y, width=0.1, height=0.1):
    return (x, y, x + width, y + height)


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
