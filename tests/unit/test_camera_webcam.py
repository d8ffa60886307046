"""The V4L2 driver's loop, against a device in memory: no camera hangs on the machines that run this."""

from __future__ import annotations

import threading
from itertools import islice

import cv2
import numpy as np
import pytest

from hardware.camera.webcam import WebcamCamera, open_webcam
from hardware.errors import CameraUnavailable


class DeviceInMemory:
    """The part of `cv2.VideoCapture` that the driver uses."""

    def __init__(self, frames: int, *, opens: bool = True) -> None:
        self.left, self.opens, self.released = frames, opens, False
        self.asked: dict[int, float] = {}

    def isOpened(self) -> bool:
        return self.opens

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        if self.left < 0:
            return False, None
        return True, np.full((48, 64, 3), (10, 20, 200), np.uint8)

    def set(self, prop: int, value: float) -> bool:
        self.asked[prop] = value
        return prop != cv2.CAP_PROP_FPS  # a device may refuse

    def release(self) -> None:
        self.released = True


def camera(device: DeviceInMemory, fps: float = 1e6) -> WebcamCamera:
    return WebcamCamera("webcam:0", device, width=640, height=480, fps=fps)


def test_frames_are_rgb_at_the_size_that_the_device_gives():
    frame = next(camera(DeviceInMemory(1)).frames(threading.Event()))
    assert (frame.layout, frame.width, frame.height) == ("rgb", 64, 48)
    assert frame.pixels[0, 0].tolist() == [200, 20, 10]


def test_size_and_rate_and_a_short_buffer_are_asked_for():
    device = DeviceInMemory(1)
    camera(device, fps=15)
    assert device.asked[cv2.CAP_PROP_FRAME_WIDTH] == 640
    assert device.asked[cv2.CAP_PROP_FRAME_HEIGHT] == 480
    assert device.asked[cv2.CAP_PROP_FPS] == 15
    assert device.asked[cv2.CAP_PROP_BUFFERSIZE] == 1


def test_a_device_that_is_pulled_out_is_unavailable_after_its_last_frame():
    frames = camera(DeviceInMemory(3)).frames(threading.Event())
    assert [f.seq for f in islice(frames, 3)] == [0, 1, 2]
    with pytest.raises(CameraUnavailable, match=r"no more frames.*cable"):
        next(frames)


def test_a_device_that_sends_more_than_asked_is_thinned():
    frames = camera(DeviceInMemory(1000), fps=0.001).frames(threading.Event())
    assert next(frames).seq == 0
    with pytest.raises(CameraUnavailable):
        next(frames)  # the other 999 came at once, long before the next was due


def test_stop_ends_the_frames():
    stop = threading.Event()
    frames = camera(DeviceInMemory(10)).frames(stop)
    next(frames)
    stop.set()
    assert next(frames, None) is None


def test_a_device_that_does_not_open_is_let_go_and_unavailable():
    device = DeviceInMemory(0, opens=False)
    with pytest.raises(CameraUnavailable, match="cannot be opened"):
        camera(device)
    assert device.released


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("webcam:97", "there is no /dev/video97"),
        ("/dev/video98", "no /dev/video98"),
        ("webcam:x", "'x' is no"),
    ],
)
def test_a_webcam_that_is_not_there_is_unavailable(source, what):
    with pytest.raises(CameraUnavailable, match=what):
        open_webcam(source, width=640, height=480, fps=10)
