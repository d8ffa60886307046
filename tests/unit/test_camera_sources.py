"""What a source string opens, and what is said when it opens nothing."""

from __future__ import annotations

import sys
import threading

import cv2
import numpy as np
import pytest

from hardware.camera.sources import open_camera
from hardware.camera.stream import masked
from hardware.errors import CameraUnavailable, HardwareError


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.full((60, 80, 3), (0, 0, 255), np.uint8))
    return path


def test_street_is_the_simulated_street():
    camera = open_camera("street:seed=3,night=1", width=160, height=120)
    assert camera.is_live
    frame = next(camera.frames(threading.Event()))
    assert (frame.width, frame.height) == (160, 120)


def test_a_photo_gives_one_frame(photo):
    frames = list(open_camera(str(photo)).frames(threading.Event()))
    assert len(frames) == 1
    np.testing.assert_allclose(frames[0].to_rgb()[30, 40].astype(int), (255, 0, 0), atol=4)


def test_a_looped_photo_gives_frames_until_stopped_and_time_goes_on(photo):
    stop, frames = threading.Event(), []
    for frame in open_camera(str(photo), fps=4, every_frame=True, loop=True).frames(stop):
        frames.append(frame)
        if len(frames) == 5:
            stop.set()
    np.testing.assert_allclose(np.diff([f.mono_s for f in frames]), 0.25, atol=1e-6)


def test_a_one_pixel_photo_is_a_frame(tmp_path):
    path = tmp_path / "dot.png"
    cv2.imwrite(str(path), np.zeros((1, 1, 3), np.uint8))
    frame = next(open_camera(str(path)).frames(threading.Event()))
    assert (frame.width, frame.height) == (2, 2)


@pytest.mark.parametrize("size", [0, 3, 5000])
@pytest.mark.parametrize("name", ["video.mp4", "photo.jpg", "no_suffix"])
def test_a_file_that_is_empty_or_no_picture_is_unavailable_and_says_what_to_do(tmp_path, name, size):
    path = tmp_path / name
    path.write_bytes(b"not a picture at all\n" * (size // 21) + b"x" * (size % 21))
    with pytest.raises(CameraUnavailable, match="give a whole video or photo file"):
        open_camera(str(path))


def test_a_folder_or_a_missing_file_is_unavailable(tmp_path):
    with pytest.raises(CameraUnavailable, match="it is a folder"):
        open_camera(str(tmp_path))
    with pytest.raises(CameraUnavailable, match="no such file; check the path"):
        open_camera(str(tmp_path / "gone.mp4"))


def test_an_address_of_an_unknown_kind_is_refused_with_those_that_are_read():
    with pytest.raises(CameraUnavailable, match="use one of rtsp://"):
        open_camera("ftp://user:secret@host/x")


@pytest.mark.parametrize(
    ("width", "height", "fps"), [(0, 480, 10), (640, 1, 10), (640, 480, 0), (640, 480, float("nan"))]
)
def test_a_size_or_rate_of_nothing_is_refused(width, height, fps):
    with pytest.raises(CameraUnavailable, match="is no picture"):
        open_camera("street", width=width, height=height, fps=fps)


@pytest.mark.parametrize("slashes", ["/", "//", "///"])
def test_no_source_that_is_refused_shows_its_login(slashes):
    for fps, scheme in ((0.0, "ftp"), (10.0, "ftp"), (0.0, "rtsp")):
        with pytest.raises(CameraUnavailable) as caught:
            open_camera(f"{scheme}:{slashes}admin:secret@127.0.0.1/password=secret", fps=fps)
        assert "secret" not in str(caught.value)
        assert "secret" not in caught.value.source


def test_an_address_without_its_slashes_is_no_file_and_shows_no_login():
    with pytest.raises(CameraUnavailable, match="use one of rtsp://") as caught:
        open_camera("rtsp:admin:secret@10.0.0.5/1")
    assert "secret" not in str(caught.value)


def test_picamera2_is_imported_only_when_chosen():
    open_camera("street", width=64, height=64)
    assert "hardware.camera.picamera" not in sys.modules or "picamera2" not in sys.modules


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:secret@10.0.0.5/1", "rtsp://***@10.0.0.5/1"),
        ("rtsp://admin:sec@ret@10.0.0.5/1", "rtsp://***@10.0.0.5/1"),
        ("rtsp://admin:a/b?c@10.0.0.5/1", "rtsp://***@10.0.0.5/1"),
        ("http://10.0.0.5/v?user=a&pwd=secret", "http://10.0.0.5/v?***"),
        ("rtsp://10.0.0.5:554/live", "rtsp://10.0.0.5:554/live"),
        ("rtsp://10.0.0.5/user=admin&password=secret&channel=1", "rtsp://10.0.0.5/user=***"),
        ("rtsp://10.0.0.5/user_admin_password_secret_channel_1.sdp", "rtsp://10.0.0.5/user_***"),
        ("rtsp://10.0.0.5/cam/PASSWD-secret/1", "rtsp://10.0.0.5/cam/PASSWD-***"),
        ("rtsp://10.0.0.5/Streaming/Channels/101", "rtsp://10.0.0.5/Streaming/Channels/101"),
        ("http://10.0.0.5/v#secret", "http://10.0.0.5/v#***"),
        ("rtsp:/admin:secret@10.0.0.5/1", "rtsp:/***@10.0.0.5/1"),
    ],
)
def test_logins_and_queries_are_never_shown(address, shown):
    assert masked(address) == shown


def test_an_error_carries_its_parts_and_reads_as_a_sentence():
    error = CameraUnavailable("webcam:0", "it is gone", "plug it in")
    assert isinstance(error, HardwareError)
    assert str(error) == "camera webcam:0: it is gone; plug it in"
    assert (error.source, error.reason, error.what_to_do) == ("webcam:0", "it is gone", "plug it in")
