"""Time buckets and the motion gate."""

import numpy as np

from device.firmware.counts import Counts
from device.firmware.motion import MotionGate, MotionSettings

NOON = 1_790_000_000 // 900 * 900


def seen(counts, from_s, to_s, step_s=1.0):
    """Watch from one moment to another; return what closed on the way."""
    closed = []
    for moment in np.arange(from_s, to_s, step_s):
        closed += counts.watch(float(moment))
    return closed


def test_a_minute_and_a_quarter_hour_close_with_what_was_counted_in_them():
    counts = Counts(("gate",))
    counts.watch(NOON)
    counts.add("gate", "car", "in", NOON)
    counts.add("gate", "car", "in", NOON)
    closed = seen(counts, NOON + 1, NOON + 62)
    assert [(b.bucket_s, b.from_s, b.counts, b.is_whole) for b in closed] == [
        (60, NOON, {"car": {"in": 2}}, True)
    ]
    closed = seen(counts, NOON + 62, NOON + 902)
    assert [(b.bucket_s, b.counts, b.to_s) for b in closed] == [(900, {"car": {"in": 2}}, NOON + 900)]


def test_an_empty_quarter_hour_is_reported_because_a_zero_is_not_a_gap():
    counts = Counts(("gate",))
    (bucket,) = seen(counts, NOON, NOON + 902)
    assert (bucket.bucket_s, bucket.counts, bucket.is_whole) == (900, {}, True)


def test_a_quarter_hour_that_was_watched_for_ten_seconds_is_partial():
    counts = Counts(("gate",))
    (bucket,) = seen(counts, NOON + 890, NOON + 902)
    assert not bucket.is_whole
    assert bucket.to_s == NOON + 899


def test_a_camera_that_was_lost_for_hours_leaves_partial_buckets_that_close_without_a_frame():
    counts = Counts(("gate",))
    seen(counts, NOON, NOON + 30)
    counts.add("gate", "car", "in", NOON + 29)
    assert counts.idle(NOON + 61) == [], "a last frame may be under way"
    (minute,) = counts.idle(NOON + 70)
    assert (minute.counts, minute.is_whole, minute.to_s) == ({"car": {"in": 1}}, False, NOON + 29)
    (quarter,) = seen(counts, NOON + 3 * 3600, NOON + 3 * 3600 + 5)
    assert (quarter.bucket_s, quarter.is_whole, quarter.to_s) == (900, False, NOON + 29)


def test_a_late_frame_of_a_minute_that_was_closed_without_a_frame_is_counted_in_it():
    counts = Counts(("line",))
    counts.watch(NOON + 58)
    counts.add("line", "car", "in", NOON + 58)
    assert [bucket.counts for bucket in counts.idle(NOON + 70)] == [{"car": {"in": 1}}]
    counts.watch(NOON + 59)
    counts.add("line", "car", "in", NOON + 59)
    (minute,) = counts.watch(NOON + 71)
    assert (minute.from_s, minute.counts) == (NOON, {"car": {"in": 2}})


def test_a_killed_device_goes_on_counting_where_it_was():
    first = Counts(("gate",))
    first.watch(NOON)
    first.add("gate", "car", "in", NOON)
    second = Counts(("gate",), first.saved())
    second.watch(NOON + 5)
    second.add("gate", "car", "in", NOON + 5)
    assert second.watch(NOON + 60)[0].counts == {"car": {"in": 2}}


def test_a_clock_set_back_by_half_a_minute_goes_on_adding_to_the_minute_it_meets_again():
    counts = Counts(("gate",))
    seen(counts, NOON, NOON + 10)
    counts.add("gate", "car", "in", NOON + 9)
    closed = seen(counts, NOON + 50, NOON + 70)
    seen(counts, NOON + 40, NOON + 50)
    counts.add("gate", "car", "in", NOON + 49)
    closed += seen(counts, NOON + 50, NOON + 62)
    assert [b.counts["car"]["in"] for b in closed if b.bucket_s == 60 and b.from_s == NOON] == [2, 2]
    assert closed[-1].counts == {"car": {"in": 2}}, "what replaces the first report is never less"


def test_a_clock_set_two_weeks_back_closes_what_was_open_and_loses_no_count():
    counts = Counts(("gate",))
    counts.watch(NOON)
    counts.add("gate", "bus", "out", NOON)
    closed = counts.watch(NOON - 14 * 86_400)
    assert {b.bucket_s for b in closed} == {60, 900}
    assert all(b.counts == {"bus": {"out": 1}} for b in closed)
    assert all(b.from_s <= b.to_s <= b.end_s for b in closed)


def scene(rng, noise=2.0):
    base = np.linspace(40, 200, 640)[None, :] + np.zeros((480, 1))
    return np.clip(base + rng.normal(0, noise, (480, 640)), 0, 255).astype(np.uint8)


def test_a_still_scene_is_skipped_but_looked_at_now_and_then():
    rng, gate = np.random.default_rng(0), MotionGate(MotionSettings(max_skip_s=5.0))
    looks = [gate.should_look(scene(rng), step / 10) for step in range(300)]
    assert sum(looks[20:]) <= 8
    assert sum(looks[20:]) >= 4


def test_an_object_that_enters_is_looked_at_in_its_first_frame():
    rng, gate = np.random.default_rng(0), MotionGate(MotionSettings())
    for step in range(40):
        gate.should_look(scene(rng), step / 10)
    entering = scene(rng)
    entering[300:360, 0:24] = 20
    assert gate.should_look(entering, 4.01)


def test_a_cloud_that_darkens_the_whole_picture_is_not_motion():
    rng, gate = np.random.default_rng(0), MotionGate(MotionSettings(max_skip_s=100.0))
    for step in range(40):
        gate.should_look(scene(rng), step / 10)
    darker = np.clip(scene(rng).astype(int) - 15, 0, 255).astype(np.uint8)
    assert not gate.should_look(darker, 4.01)


def test_a_frame_of_another_size_starts_afresh():
    rng, gate = np.random.default_rng(0), MotionGate(MotionSettings())
    assert gate.should_look(scene(rng), 0.0)
    assert gate.should_look(np.zeros((240, 320), np.uint8), 0.1)
