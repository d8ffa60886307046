"""Real videos through the file driver: all frames, right times, and what is left of a broken one."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from hardware.camera.capture import Capture
from hardware.camera.pictures import BadPicture, Picture, read_pictures
from hardware.camera.sources import open_camera
from hardware.errors import CameraUnavailable

GO = threading.Event()


@pytest.fixture
def cars(data_dir):
    """60 frames of 800x600 at 20 fps."""
    return str(data_dir / "videos" / "otc_cars_cyclist.mp4")


@pytest.fixture
def cut_video(data_dir, tmp_path):
    """The first fifth of a video of 1,394 frames, whose index stands at its beginning."""
    whole = (data_dir / "videos" / "intel_one-by-one-person.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 5])
    return str(path)


def test_every_frame_of_a_video_is_delivered_with_its_own_time(cars):
    frames = list(open_camera(cars, width=320, height=320, fps=5, every_frame=True).frames(GO))
    assert [f.seq for f in frames] == list(range(60))
    np.testing.assert_allclose(np.diff([f.mono_s for f in frames]), 0.05, atol=1e-3)
    np.testing.assert_allclose(np.diff([f.utc_s for f in frames]), 0.05, atol=1e-3)
    assert {(f.width, f.height, f.layout) for f in frames} == {(320, 240, "i420")}


def test_frames_show_what_the_video_shows(cars):
    pictures = list(read_pictures(cars))
    frames = list(open_camera(cars, width=320, height=320, every_frame=True).frames(GO))
    assert len(pictures) == len(frames) == 60
    for picture, frame in zip(pictures[::20], frames[::20], strict=True):
        small = cv2.resize(picture.pixels, (frame.width, frame.height), interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - frame.to_rgb()).mean() < 3


def test_a_paced_video_takes_its_own_time_and_is_thinned_to_the_asked_rate(cars):
    began_s = time.monotonic()
    frames = list(open_camera(cars, fps=5).frames(GO))
    took_s = time.monotonic() - began_s
    assert len(frames) == 15
    assert took_s >= 2.7  # never faster than real time; slower is the machine's affair
    np.testing.assert_allclose(np.diff([f.mono_s for f in frames]), 0.2, atol=1e-3)


def test_a_looped_video_goes_on_in_time(cars):
    stop, frames = threading.Event(), []
    for frame in open_camera(cars, width=64, height=64, every_frame=True, loop=True).frames(stop):
        frames.append(frame)
        if len(frames) == 150:
            stop.set()
    assert [f.seq for f in frames] == list(range(150))
    np.testing.assert_allclose(np.diff([f.mono_s for f in frames]), 0.05, atol=1e-3)


def test_a_truncated_video_yields_its_good_frames_and_says_so(cut_video, caplog):
    caplog.set_level(logging.WARNING)
    frames = list(open_camera(cut_video, width=160, height=160, every_frame=True).frames(GO))
    assert 100 < len(frames) < 500
    assert any("ended=early" in record.getMessage() for record in caplog.records)


def test_pictures_of_a_truncated_video_end_with_what_is_missing(cut_video):
    *pictures, last = read_pictures(cut_video)
    assert all(isinstance(p, Picture) for p in pictures)
    assert [p.index for p in pictures] == list(range(len(pictures)))
    assert isinstance(last, BadPicture)
    assert last.reason == f"only {len(pictures)} of 1394 frames could be read"


def test_a_video_without_its_index_is_unavailable(cars, tmp_path):
    path = tmp_path / "headless.mp4"
    path.write_bytes(Path(cars).read_bytes()[:100_000])  # this one's index stands at its end
    with pytest.raises(CameraUnavailable, match="no video, or a broken one"):
        open_camera(str(path))


def test_a_video_with_damage_in_the_middle_is_read_to_its_end(cars, tmp_path):
    data = bytearray(Path(cars).read_bytes())
    noise = np.random.default_rng(1).integers(0, 256, 4000, np.uint8).tobytes()
    data[70_000:74_000] = noise
    path = tmp_path / "scratched.mp4"
    path.write_bytes(data)
    frames = list(open_camera(str(path), width=160, height=160, every_frame=True).frames(GO))
    assert len(frames) > 40
    assert frames[-1].mono_s - frames[0].mono_s == pytest.approx(2.95, abs=0.2)


def test_capture_delivers_every_frame_of_a_video_and_then_ends(cars):
    capture = Capture(lambda: open_camera(cars, width=160, height=160, every_frame=True), every_frame=True)
    capture.start()
    count = 0
    while capture.newest(10) is not None:
        count += 1
    capture.stop()
    assert (count, capture.frames_dropped, capture.state) == (60, 0, "ended")
