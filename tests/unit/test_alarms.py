"""Alarms of a camera on the air: told once when raised and once when cleared, whatever happens in between."""

from __future__ import annotations

import time

import msgspec
import numpy as np
import pytest

from device.firmware.alarms import ALARM_KINDS, Alarms, degraded_reasons
from device.firmware.config import CameraSection, MaskSection, ViewSection
from device.firmware.eye import USELESS_S, make_eye
from device.firmware.outbox import Outbox
from device.models.detections import Detections
from hardware.camera.frame import Frame
from ota.messages import Channel, Topic, decode
from tests.view_scenes import BEGIN_S, frame_of, street_clip, viewport

SECTION = CameraSection(source="street", view=ViewSection(hold_s=3.0, clear_s=3.0))


class Nobody:
    """A detector that finds nothing."""

    def detect(self, frame):
        return Detections.none()


class Air:
    """One life of a device: its outbox on a folder, its eye, and what it publishes."""

    def __init__(self, folder, section=SECTION):
        self.outbox = Outbox(folder / "outbox.db")
        self.eye = make_eye("cam-01", section, Nobody(), self.outbox, on_news=lambda: None)
        self.retained = {}
        self.alarms = Alarms("cam-01", self.outbox, say=self._say, clear=self._clear)

    def _say(self, topic, message):
        self.retained[topic.name] = message

    def _clear(self, topic):
        self.retained[topic.name] = None

    def see(self, pictures, begin_s):
        for second, luma in enumerate(pictures):
            self.eye.view.watch(frame_of(luma, begin_s + second))
            self.alarms.watch_over(self.eye)

    def standing(self):
        return {kind for kind, message in self.retained.items() if message is not None}

    def events(self):
        self.outbox.flush()
        events = [decode(Topic.parse(one.topic).channel, one.payload) for one in self.outbox.after(0, 100)]
        return [(event.kind, event.rule, event.sev) for event in events]

    def end(self):
        self.outbox.flush()
        self.outbox.close()


def well():
    return [viewport(picture) for picture in street_clip(41)[:BEGIN_S]]


def taped():
    return [np.full(well()[0].shape, 60 + second % 2, np.uint8) for second in range(12)]


def test_a_covered_lens_is_told_retained_and_durable_and_so_is_its_end(tmp_path):
    air = Air(tmp_path)
    air.see(well(), 0)
    air.see(taped(), 100)
    assert air.standing() == {"covered"}
    assert degraded_reasons([air.eye]) == ["camera covered: cam0"]
    air.see(well()[:12], 112)
    assert air.standing() == set()
    assert air.retained == {"covered": None}
    assert air.events() == [("alarm-raised", "covered", "high"), ("alarm-cleared", "covered", "low")]
    assert degraded_reasons([air.eye]) == []
    air.end()


def test_an_alarm_that_outlasts_a_restart_is_neither_told_twice_nor_forgotten(tmp_path):
    first = Air(tmp_path)
    first.see(well(), 0)
    first.eye.keep(first.eye.view.state(1e9))
    first.see(taped(), 100)
    first.end()
    second = Air(tmp_path)
    second.alarms.tell_all(second.eye)
    assert second.standing() == {"covered"}, "the broker may have forgotten"
    assert set(second.retained) == set(ALARM_KINDS), "and may remember others"
    second.see(taped(), 1000)
    assert second.events() == [("alarm-raised", "covered", "high")]
    second.see(well()[:30], 1012)
    assert second.events()[1:] == [("alarm-cleared", "covered", "low")]
    second.end()
    third = Air(tmp_path)
    assert third.eye.told == {}
    third.end()


def test_a_view_that_is_no_longer_watched_has_no_alarm(tmp_path):
    first = Air(tmp_path)
    first.see(well(), 0)
    first.see(taped(), 100)
    first.end()
    second = Air(tmp_path, msgspec.structs.replace(SECTION, view=ViewSection(enabled=False)))
    second.alarms.watch_over(second.eye)
    assert second.standing() == set()
    assert second.events()[-1] == ("alarm-cleared", "covered", "low")
    second.eye.relearn()
    second.end()


def test_another_source_is_another_view_and_is_learnt_anew(tmp_path):
    first = Air(tmp_path)
    first.see(well(), 0)
    first.eye.keep(first.eye.view.state(1e9))
    first.end()
    elsewhere = [viewport(picture, 60, 10) for picture in street_clip(41)[:30]]
    again = Air(tmp_path)
    again.see(elsewhere, 0)
    assert again.standing() == {"moved"}
    again.end()
    other = Air(tmp_path, msgspec.structs.replace(SECTION, source="street:seed=9"))
    other.eye.told.clear()
    other.eye.view._standing._raised.clear()
    other.see(elsewhere, 0)
    assert other.standing() == set()
    other.end()


def test_a_camera_whose_frames_cannot_be_used_is_lost_until_they_can(tmp_path):
    air, now_s = Air(tmp_path), time.monotonic()
    broken = Frame(np.zeros((4, 4, 3), np.uint8), "rgb", 4, 4, 1.0, 1.8e9, 0)
    air.eye.intake.take(broken, now_s)
    air.alarms.watch_over(air.eye)
    assert air.standing() == set(), "one bad frame is none"
    air.eye.intake.fault = ""
    air.eye.intake.take(broken, now_s - USELESS_S)
    air.alarms.watch_over(air.eye)
    assert "too small" in air.retained["lost"].detail
    air.eye.pipeline.step(air.eye.intake.take(frame_of(well()[0], 1), now_s))
    air.alarms.watch_over(air.eye)
    assert air.retained["lost"] is None
    assert [kind for kind, _, _ in air.events()] == ["alarm-raised", "alarm-cleared"]
    air.end()


def test_a_camera_that_was_lost_before_a_restart_stays_lost_until_it_gives_a_picture(tmp_path):
    first = Air(tmp_path)
    first.eye.capture._state = "lost"
    first.alarms.watch_over(first.eye)
    first.end()
    second = Air(tmp_path)
    second.alarms.watch_over(second.eye)
    assert second.eye.told.keys() == {"lost"}
    second.eye.pipeline.step(frame_of(well()[0], 1))
    second.alarms.watch_over(second.eye)
    assert second.eye.told == {}
    assert [kind for kind, _, _ in second.events()] == ["alarm-raised", "alarm-cleared"]
    second.end()


@pytest.mark.parametrize("kind", ["dark", "bright"])
def test_light_that_comes_and_goes_does_not_degrade_a_device(tmp_path, kind):
    air = Air(tmp_path)
    air.eye.told[kind] = "x"
    assert degraded_reasons([air.eye]) == []
    air.eye.told["moved"] = "x"
    assert degraded_reasons([air.eye]) == ["camera moved: cam0"]
    air.end()


@pytest.mark.parametrize("kept", [b"[]", b'{"melted": ""}', b"\xff"])
def test_a_damaged_memory_of_alarms_is_forgotten(tmp_path, kept):
    first = Air(tmp_path)
    first.outbox.save("alarms/cam0", kept)
    first.outbox.save("view/cam0", kept)
    first.end()
    second = Air(tmp_path)
    assert second.eye.told == {}
    second.end()


def test_the_masks_of_a_camera_reach_its_view(tmp_path):
    mask = MaskSection(name="window", points=[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)])
    air = Air(tmp_path, msgspec.structs.replace(SECTION, mask=[mask]))
    air.see(well()[:3], 0)
    assert not air.eye.view._present.fine[:, :80].any()
    assert air.eye.view._present.fine[:, 90:].any()
    air.end()


def test_each_alarm_has_its_own_topic():
    topics = {str(Topic("cam-01", Channel.ALARM, "cam0", kind)) for kind in ALARM_KINDS}
    assert len(topics) == len(ALARM_KINDS) == 7
