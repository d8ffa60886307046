"""The street as a camera: real time, gaps where it was late, and its truth to be asked."""

from __future__ import annotations

import threading
from itertools import islice

import numpy as np
import pytest

from hardware.camera.street import Street
from hardware.camera.street_camera import StreetCamera
from hardware.errors import CameraUnavailable

GO = threading.Event()


def test_every_frame_comes_once_and_stamped_at_the_streets_pace():
    camera = StreetCamera("street:seed=2,size=160x120,seconds=2", fps=5, every_frame=True)
    frames = list(camera.frames(GO))
    assert [f.seq for f in frames] == list(range(10))
    np.testing.assert_allclose(np.diff([f.mono_s for f in frames]), 0.2, atol=1e-6)
    np.testing.assert_allclose(np.diff([f.utc_s for f in frames]), 0.2, atol=1e-5)
    assert not camera.is_live


def test_a_frame_shows_the_moment_that_time_of_names():
    camera = StreetCamera("street:seed=2,size=160x120,start=7.5,layout=rgb", fps=4, every_frame=True)
    frame = list(islice(camera.frames(GO), 4))[3]
    assert camera.time_of(frame) == 8.25
    np.testing.assert_array_equal(frame.pixels, Street(2, 160, 120).render(8.25))


def test_frames_are_i420_unless_asked_otherwise():
    frame = next(StreetCamera("street", width=160, height=120, every_frame=True).frames(GO))
    assert (frame.layout, frame.pixels.shape) == ("i420", (180, 160))


def test_a_live_street_skips_what_it_is_too_late_for():
    frames = StreetCamera("street:size=64x64", fps=20).frames(GO)
    assert next(frames).seq == 0
    assert not threading.Event().wait(0.3)  # somebody who takes long over a frame
    assert next(frames).seq >= 6


def test_a_live_street_ends_when_told_to_stop():
    stop = threading.Event()
    frames = StreetCamera("street:size=64x64", fps=0.01).frames(stop)
    next(frames)
    threading.Timer(0.05, stop.set).start()
    assert next(frames, None) is None


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("street:sead=7", "unknown option 'sead'.*seed, night, size, start, seconds, layout"),
        ("street:seed=-1", "seed must be 0 or more"),
        ("street:seed=x", "invalid literal"),
        ("street:night=2", "night must be 0 or 1"),
        ("street:size=640", "invalid literal"),
        ("street:size=641x480", "even size"),
        ("street:size=32x32", "at least 64x64"),
        ("street:start=-1", "start and seconds"),
        ("street:start=nan", "start and seconds"),
        ("street:layout=bgr", "layout must be"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_with_what_is_valid(source, what):
    with pytest.raises(CameraUnavailable, match=what) as caught:
        StreetCamera(source)
    assert "street:seed=7" in caught.value.what_to_do
