"""Cooldowns amend one event; heat maps are told by the hour: through the real pipeline, to its outbox."""

import msgspec
import numpy as np
import pytest

from device.firmware.counts import Counts
from device.firmware.heat import HeatHours
from device.firmware.motion import MotionGate, MotionSettings
from device.firmware.pipeline import Pipeline, small_picture
from device.firmware.reports import hours_key
from device.firmware.rules import Duty, HeatRule, LeftRule, LineRule, LoiterRule, ZoneRule
from device.firmware.rules.heat import COLUMNS, ROWS, cells_of
from device.firmware.tracker import Tracker
from device.models.detections import Detections
from hardware.camera.frame import Frame, rgb_to_i420
from ota.messages import Count, Event, encode
from tests.made_tracks import CAR, PERSON, at

NOON = 1_790_000_000.0 - 1_790_000_000 % 3600
WHOLE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


class Kept:
    """An outbox in memory, with the seq of a second run."""

    def __init__(self):
        self.messages, self.saved = [], {}

    def add(self, topic, make):
        self.messages.append(make(1000 + len(self.messages)))
        return self.messages[-1].seq

    def save(self, key, value):
        self.saved[key] = value


class Seer:
    """Sees what it is told to see."""

    def __init__(self, way):
        self._way = way

    def detect(self, frame):
        feet = self._way(frame.mono_s)
        boxes = at(*feet).boxes if feet else np.empty((0, 4), np.float32)
        classes = np.array([cls for _, cls, _, _ in feet], np.int64)
        return Detections(boxes=boxes, scores=np.full(len(feet), 0.9, np.float32), classes=classes)


def watched(rules, way, seconds, *, outbox=None, step_s=0.1, hours=None, start_s=NOON):
    """Run a pipeline; return its messages and itself."""
    outbox = outbox or Kept()
    names = tuple(rule.name for rule in rules)
    pipeline = Pipeline(
        "cam-01",
        "cam0",
        gate=MotionGate(MotionSettings(enabled=False)),
        detector=Seer(way),
        tracker=Tracker(),
        rules=rules,
        counts=Counts(names),
        outbox=outbox,
        hours=hours,
    )
    image = np.full((72, 64), 128, np.uint8)  # I420 of 64 x 48
    for number in range(round(seconds / step_s)):
        t = number * step_s
        pipeline.step(Frame(image, "i420", 64, 48, t, start_s + t, number))
    return outbox, pipeline


def to_and_fro(t):
    return [(1, CAR, 0.5 + 0.3 * np.sin(t), 0.5)]


def events_of(outbox):
    return [message for message in outbox.messages if isinstance(message, Event)]


def gate(cooldown_s):
    return Duty(LineRule("gate", np.array([0.5, 0.1]), np.array([0.5, 0.9])), cooldown_s=cooldown_s)


def test_without_a_cooldown_every_happening_is_an_event():
    outbox, _ = watched([gate(0)], to_and_fro, 40)
    events = events_of(outbox)
    assert len(events) >= 10
    assert all(event.n == 1 and event.amends is None and event.until is None for event in events)


def test_happenings_within_the_cooldown_amend_the_event_that_was_sent():
    outbox, _ = watched([gate(15)], to_and_fro, 40)
    into = [event for event in events_of(outbox) if event.direction == "in"]
    first, amendment, second = into[:3]
    assert (first.n, first.amends) == (1, None)
    assert amendment.amends == first.seq
    assert amendment.n == 3
    assert amendment.ts == first.ts
    assert amendment.until > amendment.ts
    assert amendment.id != first.id
    assert (second.n, second.amends) == (1, None)


def test_each_direction_has_its_own_cooldown_and_nothing_is_lost_in_the_counts():
    outbox, pipeline = watched([gate(15)], to_and_fro, 40)
    pipeline.finish()
    every, _ = watched([gate(0)], to_and_fro, 40)
    for direction in ("in", "out"):
        mine = [event for event in events_of(outbox) if event.direction == direction]
        happened = [event for event in events_of(every) if event.direction == direction]
        amended = {event.amends for event in mine if event.amends}
        assert sum(event.n for event in mine if event.seq not in amended) == len(happened)
        counted = [m for m in outbox.messages if isinstance(m, Count) and m.bucket_s == 900][-1]
        assert counted.counts["car"][direction] == len(happened)


def test_a_device_that_stops_amends_what_is_open():
    outbox, pipeline = watched([gate(3600)], to_and_fro, 20)
    before = len(events_of(outbox))
    pipeline.finish()
    amendments = events_of(outbox)[before:]
    assert {event.direction for event in amendments} == {"in", "out"}
    assert all(event.amends and event.n >= 2 for event in amendments)


def test_one_happening_in_a_cooldown_is_not_amended():
    outbox, pipeline = watched([Duty(ZoneRule("all", WHOLE), cooldown_s=5)], to_and_fro, 20)
    pipeline.finish()
    assert [event.kind for event in events_of(outbox)] == ["zone-enter"]


def test_an_amendment_is_an_event_of_at_most_350_bytes():
    outbox, _ = watched([gate(15)], to_and_fro, 40)
    assert max(len(encode(event)) for event in events_of(outbox)) <= 350


def stands(t):
    return [(1, PERSON, 0.03, 0.05), (2, PERSON, 0.97, 0.97)]


def heats(outbox):
    return [m for m in outbox.messages if isinstance(m, Count) and m.heat is not None]


def test_a_heat_map_is_told_when_the_hour_is_over():
    outbox, pipeline = watched([HeatRule("map")], stands, 3700, step_s=2.0)
    (hour,) = heats(outbox)
    assert (hour.bucket_s, hour.rule, hour.counts, hour.partial) == (3600, "map", {}, False)
    assert hour.from_ts < hour.to_ts
    assert hour.heat[0] == pytest.approx(3600, abs=10)
    assert hour.heat[-1] == pytest.approx(3600, abs=10)
    assert sum(hour.heat) == hour.heat[0] + hour.heat[-1]
    assert len(hour.heat) == 144
    assert len(encode(hour)) < 1000
    pipeline.finish()
    rest = heats(outbox)[-1]
    assert rest.partial
    assert rest.from_ts == hour.to_ts


def test_an_hour_goes_on_after_a_device_was_killed():
    outbox, _ = watched([HeatRule("map")], stands, 1000, step_s=2.0)
    hours = HeatHours(("map",), outbox.saved[hours_key("cam0")])
    outbox, _ = watched(
        [HeatRule("map")], stands, 2700, step_s=2.0, hours=hours, outbox=outbox, start_s=NOON + 1000
    )
    (hour,) = heats(outbox)
    assert hour.heat[0] == pytest.approx(3600, abs=130), "two minutes at most are lost"
    assert not HeatHours(("other",), outbox.saved[hours_key("cam0")]).partial()


def test_an_hour_that_was_watched_for_a_part_is_partial():
    outbox, pipeline = watched([HeatRule("map")], stands, 600, step_s=2.0)
    pipeline.idle(NOON + 3700)
    (hour,) = heats(outbox)
    assert hour.partial
    assert hour.heat[0] == pytest.approx(600, abs=10)


def test_seconds_that_nobody_watched_warm_nothing():
    rule = HeatRule("map")
    for t in (0.0, 1.0, 100.0, 101.0):
        rule.apply(at((1, PERSON, 0.5, 0.5)), t)
    assert rule.take().sum() == pytest.approx(2.0)
    assert rule.take().sum() == 0.0


def test_every_place_belongs_to_a_cell():
    rng = np.random.default_rng(0)
    cells = cells_of(np.vstack([rng.uniform(-0.5, 1.5, (500, 2)), [[0, 0], [1, 1], [0.999, 0.0]]]))
    assert cells.min() >= 0
    assert cells.max() == ROWS * COLUMNS - 1
    assert cells[-3:].tolist() == [0, ROWS * COLUMNS - 1, COLUMNS - 1]


def test_a_heat_map_with_another_number_of_cells_is_refused():
    outbox, _ = watched([HeatRule("map")], stands, 3700, step_s=5.0)
    payload = msgspec.json.decode(encode(heats(outbox)[0]))
    payload["heat"] = payload["heat"][:-1]
    with pytest.raises(msgspec.ValidationError, match="144"):
        msgspec.convert(payload, Count)


def test_a_picture_is_made_small_whatever_the_camera_gives():
    for width, height, shape in ((640, 480, (120, 160, 3)), (4000, 2, (1, 160, 3)), (100, 72, (72, 100, 3))):
        rgb = Frame(np.zeros((height, width, 3), np.uint8), "rgb", width, height, 0.0, 0.0, 0)
        i420 = Frame(np.zeros((height * 3 // 2, width), np.uint8), "i420", width, height, 0.0, 0.0, 0)
        assert small_picture(rgb).shape == small_picture(i420).shape == shape


def test_a_small_picture_keeps_the_colours_of_both_layouts():
    rgb = np.full((240, 320, 3), (230, 120, 20), np.uint8)
    small = [
        small_picture(Frame(pixels, layout, 320, 240, 0.0, 0.0, 0))[10, 10].astype(int)
        for pixels, layout in ((rgb, "rgb"), (rgb_to_i420(rgb), "i420"))
    ]
    # BT.601: U and V are .492 (B - Y) and .877 (R - Y) of full range, .496 and .626 of limited range.
    red, green, blue = 230, 120, 20
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    for told, (for_u, for_v) in zip(small, ((0.492, 0.877), (0.496, 0.626)), strict=True):
        assert told[1:] == pytest.approx([128 + for_u * (blue - luma), 128 + for_v * (red - luma)], abs=3)


@pytest.mark.parametrize("fall_s", [5.0, 14 * 86_400.0])
def test_after_a_stamp_that_falls_rules_tell_again_and_look_again(fall_s):
    class Counting(LeftRule):
        def watch_small(self, small, mono_s):
            looks.append(mono_s)
            return super().watch_small(small, mono_s)

    looks: list[float] = []
    rules = [Counting("left", WHOLE), LoiterRule("yard", WHOLE, dwell_s=5)]
    outbox, pipeline = watched(rules, stands, 10)
    told = len(events_of(outbox))
    image = np.full((72, 64), 128, np.uint8)
    for number in range(100):
        t = number / 10 - fall_s
        pipeline.step(Frame(image, "i420", 64, 48, t, NOON + 10 + number / 10, 100 + number))
    assert len(events_of(outbox)) == 2 * told > 0
    assert 38 <= len(looks) <= 42


def test_rules_that_watch_the_picture_are_shown_it_twice_a_second():
    class Counting(LeftRule):
        def watch_small(self, small, mono_s):
            looks.append(mono_s)
            assert max(small.shape) <= 160
            return super().watch_small(small, mono_s)

    looks: list[float] = []
    watched([Counting("left", WHOLE)], stands, 10)
    assert 19 <= len(looks) <= 21
