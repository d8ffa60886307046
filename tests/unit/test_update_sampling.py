"""What is counted of the cameras for a probation, and what is left out because it is no model's fault."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from device.firmware.updating.rates import Rates
from device.firmware.updating.sampling import KEEP_S, KEY, Kept, Sampler
from tests.updating import Store

NOON_S = 1_795_000_000.0 - 1_795_000_000.0 % 3600
"""The beginning of an hour."""


def eye(name="cam0"):
    """What the sampler looks at of a camera."""
    tallies = SimpleNamespace(frames=0)
    pipeline = SimpleNamespace(tallies=tallies, tracks_total=0)
    section = SimpleNamespace(id=name)
    return SimpleNamespace(
        section=section, pipeline=pipeline, capture=SimpleNamespace(state="ok"), told={}, is_at_full_rate=True
    )


class Street:
    """Cameras on which frames and objects come, and a sampler that looks every two seconds."""

    def __init__(self, *eyes, store=None, is_watching=False):
        self.eyes = eyes or (eye(),)
        self.store = Store() if store is None else store
        self.looking = SimpleNamespace(invoke_ms=[])
        self.sampler = Sampler(self.eyes, self.looking, self.store, is_watching=is_watching)
        self.mono_s, self.utc_s = 100.0, NOON_S

    def pass_time(self, seconds, frames_per_s=10, objects_per_s=0.0):
        for _ in range(int(seconds // 2)):
            for one in self.eyes:
                one.pipeline.tallies.frames += 2 * frames_per_s
                one.pipeline.tracks_total += 2 * objects_per_s
            self.mono_s += 2.0
            self.utc_s += 2.0
            self.sampler.sample(self.mono_s, self.utc_s)

    @property
    def pace(self):
        pace = self.sampler.pace()
        return {one: round(pace.fps({one}), 3) for one in pace.measured()}


def test_the_pace_is_frames_by_the_time_that_was_watched():
    street = Street(eye(), eye("cam1"))
    street.pass_time(60)
    assert street.pace == {"cam0": 10.0, "cam1": 10.0}


def lost(one):
    one.capture.state = "lost"


def covered(one):
    one.told = {"covered": ""}


def hot(one):
    one.is_at_full_rate = False


@pytest.mark.parametrize("trouble", [lost, covered, hot])
def test_time_in_which_a_camera_is_in_trouble_does_not_count(trouble):
    street = Street()
    street.pass_time(60, objects_per_s=1.0)
    before = street.sampler.usual["cam0"]
    trouble(street.eyes[0])
    street.pass_time(300, frames_per_s=1, objects_per_s=0.0)
    assert street.pace == {"cam0": 10.0}
    assert street.sampler.usual["cam0"] == before
    street.eyes[0].capture.state, street.eyes[0].told, street.eyes[0].is_at_full_rate = "ok", {}, True
    street.pass_time(60)
    assert street.pace == {"cam0": 10.0}


def test_before_and_after_a_switch_are_kept_apart():
    street = Street()
    street.pass_time(600, objects_per_s=0.1)
    street.sampler.begin_watch()
    street.pass_time(100, frames_per_s=5)
    assert street.pace == {"cam0": 5.0}
    assert round(street.sampler.usual["cam0"].objects) == 60
    assert street.sampler.since["cam0"].objects == 0


def test_what_came_after_a_switch_is_usual_or_forgotten_at_the_end_of_the_watch():
    for is_usual, objects in ((True, 0), (False, 60)):
        street = Street()
        street.pass_time(602, objects_per_s=0.1)
        street.sampler.begin_watch()
        street.pass_time(300)
        street.sampler.end_watch(is_usual=is_usual)
        assert street.sampler.since == {}
        assert round(street.sampler.usual["cam0"].objects) == objects
        assert not street.sampler.is_watching


def test_the_rates_outlive_a_restart_and_damaged_ones_do_not_matter():
    street = Street()
    street.pass_time(KEEP_S + 10, objects_per_s=1.0)
    again = Street(store=street.store)
    assert again.sampler.usual["cam0"].objects > 0
    street.store.save(KEY, b"rubbish")
    assert Street(store=street.store).sampler.usual == {}


def test_a_restart_in_the_middle_of_a_watch_goes_on_with_it():
    kept = Kept({"cam0": Rates()}, {"cam0": Rates()})
    store = Store({KEY: msgspec.json.encode(kept)})
    street = Street(store=store, is_watching=True)
    street.pass_time(20, objects_per_s=1.0)
    assert street.sampler.usual == {"cam0": Rates()}
    assert street.sampler.since["cam0"].objects > 0


def test_the_slowest_twentieth_needs_some_inferences():
    street = Street()
    street.looking.invoke_ms = [10.0] * 19
    assert street.sampler.p95_ms() is None
    street.looking.invoke_ms = [10.0] * 90 + [50.0] * 10
    assert street.sampler.p95_ms() == 50.0
