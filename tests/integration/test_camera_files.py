"""Real videos through the file driver: all frames, right times, and what is left of a broken one."""

from __future__ import annotations

import logging
import struct
import threading
import time
from pathlib import Path

import av
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


CORNERS = ((220, 40, 40), (40, 200, 40), (40, 40, 220), (230, 230, 60))
"""Colours of the quarters of a filmed picture: top left, top right, bottom right, bottom left."""


def film(path: Path, times_s: list[float], *, size: tuple[int, int] = (96, 64)) -> Path:
    """A video of one picture of four colours, shown at these times."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    halves = (
        (slice(0, height // 2), slice(height // 2, None)),
        (slice(0, width // 2), slice(width // 2, None)),
    )
    for colour, (row, column) in zip(CORNERS, ((0, 0), (0, 1), (1, 1), (1, 0)), strict=True):
        picture[halves[0][row], halves[1][column]] = colour
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video" if path.suffix == ".ts" else "mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate, stream.codec_context.max_b_frames = 2_000_000, 0
        for ts_s in times_s:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = round(ts_s * 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turned(path: Path, degrees_clockwise: int) -> Path:
    """The same MP4 with the matrix in its track header (ISO/IEC 14496-12, 8.3.2) that asks to turn it."""
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees_clockwise]
    matrix = struct.pack(">9i", cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    assert data[at : at + 36] == struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    data[at : at + 36] = matrix
    path.write_bytes(data)
    return path


def corners_of(rgb: np.ndarray) -> list[int]:
    """Which of `CORNERS` lies nearest at each corner, clockwise from the top left."""
    height, width = rgb.shape[:2]
    near, far = (height // 4, width // 4), (height * 3 // 4, width * 3 // 4)
    at = [(near[0], near[1]), (near[0], far[1]), (far[0], far[1]), (far[0], near[1])]
    return [int(np.abs(np.array(CORNERS) - rgb[point].astype(int)).sum(axis=1).argmin()) for point in at]


@pytest.mark.parametrize(
    ("degrees_clockwise", "size", "corners"),
    [
        (0, (96, 64), [0, 1, 2, 3]),
        (90, (64, 96), [3, 0, 1, 2]),
        (180, (96, 64), [2, 3, 0, 1]),
        (270, (64, 96), [1, 2, 3, 0]),
    ],
)
def test_a_video_filmed_with_a_turned_phone_stands_upright(tmp_path, degrees_clockwise, size, corners):
    path = str(turned(film(tmp_path / "phone.mp4", [0, 0.04, 0.08]), degrees_clockwise))
    frames = list(open_camera(path, width=640, height=480, every_frame=True).frames(GO))
    assert {(f.width, f.height, f.pixels.shape) for f in frames} == {(*size, (size[1] * 3 // 2, size[0]))}
    assert corners_of(frames[0].to_rgb()) == corners
    pictures = [picture for picture in read_pictures(path) if isinstance(picture, Picture)]
    assert {picture.pixels.shape for picture in pictures} == {(size[1], size[0], 3)}
    assert corners_of(pictures[0].pixels) == corners


def test_a_turned_video_fits_the_asked_size_as_it_stands(tmp_path):
    path = str(turned(film(tmp_path / "phone.mp4", [0]), 90))
    (frame,) = open_camera(path, width=48, height=48, every_frame=True).frames(GO)
    assert (frame.width, frame.height) == (32, 48)
    assert corners_of(frame.to_rgb()) == [3, 0, 1, 2]


def stamps(path: Path) -> list[float]:
    frames = list(open_camera(str(path), every_frame=True).frames(GO))
    return [frame.mono_s - frames[0].mono_s for frame in frames]


def test_two_recordings_joined_into_one_file_never_run_time_backwards(tmp_path):
    """`cat one.ts two.ts`: the second begins again at the times of the first."""
    one = film(tmp_path / "one.ts", [n / 25 for n in range(20)]).read_bytes()
    (tmp_path / "both.ts").write_bytes(one + one)
    steps = np.diff(stamps(tmp_path / "both.ts"))
    assert len(steps) >= 37
    assert steps.min() > 0
    assert steps.max() < 0.2


def test_a_jump_of_an_hour_in_a_file_does_not_stall_the_camera(tmp_path):
    path = film(tmp_path / "jump.mkv", [0, 0.04, 0.08, 3600, 3600.04, 3600.08])
    assert stamps(path) == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.2], abs=0.005)


def test_pauses_that_a_slow_file_means_are_kept(tmp_path):
    assert stamps(film(tmp_path / "slow.mkv", [0, 1, 3, 7])) == pytest.approx([0, 1, 3, 7], abs=0.005)
