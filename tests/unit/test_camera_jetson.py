"""The Jetson driver: its words, its pipeline and its frames, against a device in memory."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import pytest

from hardware.camera.jetson import JetsonCamera, Sensor, has_gstreamer, open_jetson, parse_source, pipeline
from hardware.camera.sources import has_driver, open_camera
from hardware.errors import CameraUnavailable
from tests.unit.test_camera_webcam import DeviceInMemory

RGB = np.zeros((48, 64, 3), np.uint8)
RGB[:, :32] = (200, 20, 10)


class Pipe(DeviceInMemory):
    """A pipeline in memory that gives one picture again and again."""

    def __init__(self, picture: np.ndarray | None, frames: int = 3, *, opens: bool = True) -> None:
        super().__init__(frames, opens=opens)
        self.picture = picture

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (self.left >= 0, self.picture if self.left >= 0 else None)


def camera(pipe: Pipe) -> JetsonCamera:
    return JetsonCamera("jetson:0", pipe, size=(64, 48), fps=1e6)


def frames(pipe: Pipe, count: int) -> list:
    given = camera(pipe).frames(threading.Event())
    return [next(given) for _ in range(count)]


@pytest.mark.parametrize(
    ("source", "size", "sensor"),
    [
        ("jetson", (640, 480), Sensor(0, 1640, 1232, 30)),
        ("jetson:1", (640, 360), Sensor(1, 1920, 1080, 30)),
        ("jetson:1", (640, 640), Sensor(1, 1640, 1232, 30)),
        ("jetson:2,sensor=1280x720@60", (640, 480), Sensor(2, 1280, 720, 60)),
    ],
)
def test_the_words_of_a_source_choose_camera_and_mode(source, size, sensor):
    assert parse_source(source, width=size[0], height=size[1]) == sensor


@pytest.mark.parametrize(
    "source",
    ["jetson:", "jetson:x", "jetson:-1", "jetson:0,", "jetson,sensor=1280x720@60", "jetson:0,sensor=1280x720",
     "jetson:0,sensor=1280x720@0", "jetson:0 ! fakesink", "jetson:0,sensor=1x1@1", "jetson:٣"],
)  # fmt: skip
def test_words_that_make_no_sense_are_refused_and_never_reach_gstreamer(source):
    with pytest.raises(CameraUnavailable):
        parse_source(source, width=640, height=480)


def test_the_pipeline_is_the_one_that_nvidia_documents():
    elements = pipeline(Sensor(1, 1640, 1232, 30), width=640, height=480).split(" ! ")
    assert elements[0] == "nvarguscamerasrc sensor-id=1"
    assert elements[1].startswith("video/x-raw(memory:NVMM), width=(int)1640, height=(int)1232")
    assert "framerate=(fraction)30/1" in elements[1]
    assert elements[2] == "nvvidconv"
    assert elements[3] == "video/x-raw, width=(int)640, height=(int)480, format=(string)I420"
    assert elements[4] == "appsink drop=true max-buffers=1 sync=false"


def test_a_frame_comes_as_i420_without_a_conversion():
    i420 = cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV_I420)
    first, second = frames(Pipe(i420), 2)
    assert (first.layout, first.width, first.height) == ("i420", 64, 48)
    assert np.array_equal(first.pixels, i420)
    assert (first.seq, second.seq) == (0, 1)
    assert second.mono_s >= first.mono_s


def test_a_frame_with_a_channel_axis_is_taken_too():
    i420 = cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV_I420)[..., None]
    assert frames(Pipe(i420), 1)[0].pixels.shape == (72, 64)


@pytest.mark.parametrize("code", [cv2.COLOR_RGB2BGR, cv2.COLOR_RGB2BGRA])
def test_an_opencv_that_gives_bgr_or_bgrx_is_understood(code):
    (frame,) = frames(Pipe(cv2.cvtColor(RGB, code)), 1)
    assert frame.layout == "rgb"
    assert np.array_equal(frame.pixels, RGB)


@pytest.mark.parametrize("shape", [(48, 64), (72, 32), (10, 10, 3), (96, 64, 3), (48, 64, 2), (0, 0, 3)])
def test_a_picture_of_another_shape_is_a_lost_camera(shape):
    with pytest.raises(CameraUnavailable, match="pictures of"):
        frames(Pipe(np.zeros(shape, np.uint8)), 1)


def test_a_pipeline_that_ends_is_a_lost_camera():
    with pytest.raises(CameraUnavailable, match="no more frames"):
        frames(Pipe(RGB, frames=2), 3)


def test_a_pipeline_that_cannot_be_opened_is_let_go():
    pipe = Pipe(RGB, opens=False)
    with pytest.raises(CameraUnavailable, match="nvargus-daemon"):
        camera(pipe)
    assert pipe.released


def test_frames_end_when_they_should():
    stop = threading.Event()
    stop.set()
    assert list(camera(Pipe(RGB)).frames(stop)) == []


def test_only_as_many_frames_pass_as_were_asked_for():
    pipe = Pipe(RGB, frames=1000)
    passed = []
    with pytest.raises(CameraUnavailable):
        passed.extend(JetsonCamera("jetson", pipe, size=(64, 48), fps=0.001).frames(threading.Event()))
    assert pipe.left < 0
    assert len(passed) <= 1


def test_gstreamer_is_seen_in_what_opencv_says_of_itself():
    head = "General configuration for OpenCV 4.8.0\n  Video I/O:\n    DC1394:    NO\n"
    assert has_gstreamer(head + "    GStreamer:                   YES (1.20.3)\n    v4l/v4l2:  YES\n")
    assert not has_gstreamer(head + "    GStreamer:                   NO\n")
    assert not has_gstreamer("")


@pytest.mark.skipif(has_gstreamer(cv2.getBuildInformation()), reason="this OpenCV has GStreamer")
def test_an_opencv_without_gstreamer_says_what_to_install():
    with pytest.raises(CameraUnavailable, match="python3-opencv"):
        open_camera("jetson:0")


def test_an_odd_size_is_refused():
    with pytest.raises(CameraUnavailable, match="odd"):
        open_jetson("jetson", width=641, height=480, fps=10)


def test_a_jetsons_camera_gets_a_process_of_its_own():
    assert has_driver("jetson:0")
