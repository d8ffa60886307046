"""The Raspberry Pi driver against a stand-in for picamera2, which hands out few, padded, reused buffers."""

from __future__ import annotations

import sys
import threading
import time
import types
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.camera.frame import rgb_to_i420
from hardware.camera.picamera import PiCamera, cropped_i420
from hardware.camera.street import Street
from hardware.errors import CameraUnavailable

STRIDE_ALIGNMENT = 64


def pad_i420(pixels: np.ndarray, width: int, height: int, stride: int) -> np.ndarray:
    """Lay I420 out as the ISP does: rows of Y a stride long, rows of U and V half a stride, junk between."""
    buffer = np.full(stride * height * 3 // 2, 0xAB, np.uint8)
    buffer[: stride * height].reshape(height, stride)[:, :width] = pixels[:height]
    chroma = buffer[stride * height :].reshape(height, stride // 2)
    chroma[:, : width // 2] = pixels[height:].reshape(height, width // 2)
    return buffer.reshape(height * 3 // 2, stride)


class StandIn:
    """What the driver uses of picamera2: requests from a ring of buffers that must be given back."""

    def __init__(self, street: Street, *, cameras: int = 1, frames: int = 10**6) -> None:
        self.street, self.cameras, self.left = street, cameras, frames
        self.config: dict = {}
        self.free: list[np.ndarray] = []
        self.calls: list[str] = []
        self.metadata: dict = {}

    def Picamera2(self, number: int) -> StandIn:
        if number >= self.cameras:
            raise IndexError("list index out of range")
        return self

    def create_video_configuration(self, main, lores, colour_space, buffer_count, controls) -> dict:
        assert main["size"][0] >= lores["size"][0]
        assert main["size"][1] >= lores["size"][1]
        return {"main": main, "lores": lores, "space": colour_space, "buffers": buffer_count, **controls}

    def configure(self, config: dict) -> None:
        self.config = config
        width, height = config["lores"]["size"]
        stride = -(-width // STRIDE_ALIGNMENT) * STRIDE_ALIGNMENT
        self.free = [np.zeros((height * 3 // 2, stride), np.uint8) for _ in range(config["buffers"])]
        self.calls.append("configure")

    def start(self) -> None:
        self.calls.append("start")

    def capture_request(self, wait: float) -> Request:
        assert wait > 0
        self.left -= 1
        if self.left < 0 or not self.free:
            raise TimeoutError
        buffer = self.free.pop(0)
        width, height = self.config["lores"]["size"]
        picture = rgb_to_i420(self.street.render(len(self.calls)))
        buffer[:] = pad_i420(picture, width, height, buffer.shape[1])
        return Request(self, buffer)

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


class Request:
    def __init__(self, camera: StandIn, buffer: np.ndarray) -> None:
        self.camera, self.buffer = camera, buffer

    def get_metadata(self) -> dict:
        return self.camera.metadata

    def release(self) -> None:
        self.buffer[:] = 0  # the ISP writes the next picture into it
        self.camera.free.append(self.buffer)


class MappedArray:
    def __init__(self, request: Request, stream: str) -> None:
        assert stream == "lores"
        self.array: np.ndarray | None = None
        self._request = request

    def __enter__(self) -> MappedArray:
        self.array = self._request.buffer
        return self

    def __exit__(self, *_: object) -> None:
        self.array = None


@pytest.fixture
def stand_in(monkeypatch) -> StandIn:
    camera = StandIn(Street(1, 100, 76))
    picamera2, libcamera = types.ModuleType("picamera2"), types.ModuleType("libcamera")
    picamera2.Picamera2, picamera2.MappedArray = camera.Picamera2, MappedArray
    libcamera.ColorSpace = types.SimpleNamespace(Smpte170m=lambda: "smpte170m")
    monkeypatch.setitem(sys.modules, "picamera2", picamera2)
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    return camera


def opened(source: str = "picamera2") -> PiCamera:
    return PiCamera(source, width=100, height=76, fps=12)


@given(
    half_width=st.integers(1, 40),
    half_height=st.integers(1, 40),
    pad=st.integers(0, 32),
    seed=st.integers(0, 99),
)
def test_cropping_gives_back_what_was_padded(half_width, half_height, pad, seed):
    width, height = 2 * half_width, 2 * half_height
    pixels = np.random.default_rng(seed).integers(0, 256, (height * 3 // 2, width), np.uint8)
    padded = pad_i420(pixels, width, height, width + 2 * pad)
    np.testing.assert_array_equal(cropped_i420(padded, width, height), pixels)


def test_frames_are_the_lores_stream_without_its_padding(stand_in):
    frame = next(opened().frames(threading.Event()))
    assert (frame.layout, frame.width, frame.height, frame.seq) == ("i420", 100, 76, 0)
    np.testing.assert_array_equal(frame.pixels, rgb_to_i420(stand_in.street.render(2)))


def test_the_camera_is_asked_for_the_size_the_rate_and_the_colours_that_a_frame_promises(stand_in):
    opened()
    assert stand_in.config["lores"] == {"size": (100, 76), "format": "YUV420"}
    assert stand_in.config["main"]["size"] == (700, 532)
    assert stand_in.config["FrameRate"] == 12
    assert stand_in.config["space"] == "smpte170m"


def test_every_request_is_released_and_no_frame_changes_afterwards(stand_in):
    frames = list(islice(opened().frames(threading.Event()), 20))  # more than there are buffers
    assert len(stand_in.free) == 4
    assert all(frame.luma.mean() > 16 for frame in frames)


def test_a_request_is_released_even_if_reading_it_fails(stand_in, monkeypatch):
    frames = opened().frames(threading.Event())
    monkeypatch.setattr(Request, "get_metadata", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(frames)
    assert len(stand_in.free) == 4


def test_the_stamp_is_the_time_of_exposure(stand_in):
    camera = opened()
    stand_in.metadata = {"SensorTimestamp": int((time.clock_gettime(time.CLOCK_BOOTTIME) - 0.5) * 1e9)}
    before_s, before_utc_s = time.monotonic(), time.time()
    frame = next(camera.frames(threading.Event()))
    after_s = time.monotonic()
    assert before_s - 0.51 <= frame.mono_s <= after_s - 0.49
    assert frame.utc_s - frame.mono_s == pytest.approx(before_utc_s - before_s, abs=0.05)


@pytest.mark.parametrize("age_s", [-3.0, 3600.0])
def test_a_stamp_that_cannot_be_is_replaced_by_now(stand_in, age_s):
    camera = opened()
    stand_in.metadata = {"SensorTimestamp": int((time.clock_gettime(time.CLOCK_BOOTTIME) - age_s) * 1e9)}
    before_s = time.monotonic()
    assert before_s <= next(camera.frames(threading.Event())).mono_s <= time.monotonic()


def test_a_camera_that_falls_silent_is_unavailable(stand_in):
    stand_in.left = 2
    frames = opened().frames(threading.Event())
    assert len(list(islice(frames, 2))) == 2
    with pytest.raises(CameraUnavailable, match=r"no more frames.*ribbon"):
        next(frames)


def test_closing_stops_first(stand_in):
    opened().close()
    assert stand_in.calls == ["configure", "start", "stop", "close"]


def test_a_camera_that_is_not_there_is_unavailable(stand_in):
    with pytest.raises(CameraUnavailable, match=r"cannot be opened.*rpicam-hello"):
        opened("picamera2:1")


def test_a_camera_that_cannot_start_is_closed_again(stand_in, monkeypatch):
    def fail() -> None:
        raise RuntimeError("Failed to start camera")

    monkeypatch.setattr(stand_in, "start", fail)
    with pytest.raises(CameraUnavailable, match="cannot be started"):
        opened()
    assert stand_in.calls[-1] == "close"


@pytest.mark.parametrize("missing", ["picamera2", "libcamera"])
def test_without_picamera2_it_says_how_to_install_it(stand_in, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(
        CameraUnavailable, match=rf"{missing} is not installed.*apt install.*system-site-packages"
    ):
        opened()


def test_a_name_or_size_that_makes_no_sense_is_refused(stand_in):
    with pytest.raises(CameraUnavailable, match="no camera number"):
        opened("picamera2:left")
    with pytest.raises(CameraUnavailable, match="even"):
        PiCamera("picamera2", width=101, height=76, fps=10)
