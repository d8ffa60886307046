"""A driver that hangs, crashes or talks nonsense loses the camera, not the device; nothing is left behind."""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from hardware.camera.capture import BackOff, Capture
from hardware.camera.child import LINES_A_MINUTE
from hardware.camera.isolated import IsolatedCamera, Patience, opener_of
from hardware.camera.sharing import Handed, Order, SharedPicture
from hardware.camera.sources import has_driver
from hardware.errors import CameraUnavailable
from tests import odd_cameras
from tests.brokers import wait_until
from tests.odd_cameras import openings

QUICK = BackOff(first_s=0.01, longest_s=0.04, steady_s=60)
SHORT = Patience(beat_s=5.0, open_s=30.0, frame_s=1.5)  # a beat comes each second


def order(folder, opener, **more):
    return Order(opener=f"tests.odd_cameras:{opener.__name__}", source=str(folder), **more)


@pytest.fixture
def start(tmp_path):
    """Starts captures of odd cameras; at the end none of their processes is there."""
    captures = []

    def run(opener, patience=SHORT, **more):
        capture = Capture(
            lambda: IsolatedCamera(order(tmp_path, opener, **more), patience),
            back_off=QUICK,
            every_frame=more.get("every_frame", False),
        )
        captures.append(capture)
        capture.start()
        return capture

    yield run
    for capture in captures:
        capture.stop(15)
        assert not capture._thread.is_alive()
    assert [pid for pid in openings(tmp_path) if psutil.pid_exists(pid)] == []
    assert not [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


def frames_of(capture, count):
    frames = []
    wait_until(
        lambda: ((f := capture.newest(0.2)) and frames.append(f)) or len(frames) >= count, "frames", 60
    )
    return frames


def test_frames_cross_whole_with_their_stamps_and_numbers(start):
    capture = start(odd_cameras.steady)
    frames = frames_of(capture, 5)
    for frame in frames:
        assert frame.pixels.shape == (72, 64)
        assert (frame.pixels == frame.seq % 251).all()
        assert abs(time.monotonic() - frame.mono_s) < 60
        assert abs(time.time() - frame.utc_s) < 60
    assert [f.seq for f in frames] == sorted({f.seq for f in frames})


def test_a_frame_stays_as_it_was_while_later_ones_come(start):
    capture = start(odd_cameras.steady)
    (first,) = frames_of(capture, 1)
    frames_of(capture, 10)
    assert (first.pixels == first.seq % 251).all()


def test_the_newest_frame_wins_over_the_process_border_and_none_is_torn(start):
    """A camera of 2000 frames a second: what was left out is counted, and no picture mixes two."""
    capture = start(odd_cameras.hasty)
    frames = frames_of(capture, 200)
    assert all((f.pixels == f.pixels[0, 0]).all() and f.pixels[0, 0] == f.seq % 251 for f in frames)
    assert capture.frames_captured + capture.frames_dropped >= frames[-1].seq


def test_a_camera_that_changes_its_size_in_the_middle_goes_on(start):
    capture = start(odd_cameras.growing, every_frame=True)
    frames = frames_of(capture, 40)
    assert len({(f.width, f.height) for f in frames}) > 10
    assert all((f.pixels == f.seq % 251).all() for f in frames)
    assert capture.state == "ok"


@pytest.mark.parametrize(
    ("opener", "reason"),
    [
        (odd_cameras.crashing, "ended by SIGSEGV"),
        (odd_cameras.leaving, "ended with code 7"),
        (odd_cameras.hanging_in_read, "hangs: no frame came in time"),
        (odd_cameras.stuck, "hangs: its process is stuck"),
        (odd_cameras.chattering, "the driver hangs: "),
        (odd_cameras.garbage, "AttributeError"),
        (odd_cameras.wrong_shape, "ValueError: a i420 frame of 64x48"),
        (odd_cameras.enormous, "too large: ask for a smaller one"),
        (odd_cameras.talking_nonsense, "said what makes no sense"),
    ],
)
def test_a_driver_that_goes_wrong_loses_the_camera_which_is_opened_again(start, tmp_path, opener, reason):
    capture = start(opener)
    wait_until(lambda: capture.last_error is not None, "the camera is lost", 60)
    assert reason in capture.last_error.reason
    wait_until(lambda: len(openings(tmp_path)) >= 2, "it is opened again", 60)


def test_a_driver_that_hangs_in_open_is_given_up_and_opened_again(start, tmp_path):
    capture = start(odd_cameras.hanging_in_open, Patience(open_s=2.0))
    wait_until(lambda: len(openings(tmp_path)) >= 2, "it is opened again", 60)
    assert "no frame came in time" in capture.last_error.reason
    assert capture.state == "lost"


def test_stop_while_a_driver_hangs_in_open_ends_its_process(start, tmp_path):
    capture = start(odd_cameras.hanging_in_open)
    wait_until(lambda: openings(tmp_path), "it is opening", 60)
    capture.stop(15)
    assert not capture._thread.is_alive()
    assert not psutil.pid_exists(openings(tmp_path)[0])


def test_a_process_that_is_killed_fifty_times_comes_back_each_time(start, tmp_path):
    capture = start(odd_cameras.steady)
    descriptors = None
    for number in range(50):
        wait_until(lambda n=number: len(openings(tmp_path)) == n + 1, "it is open", 60)
        frames_of(capture, 1)
        assert capture.state == "ok"
        descriptors = descriptors or psutil.Process().num_fds()
        os.kill(openings(tmp_path)[-1], signal.SIGKILL)
        wait_until(lambda: capture.newest(0) is None and capture.state == "lost", "it is lost", 60)
        assert "SIGKILL" in capture.last_error.reason
    frames_of(capture, 1)
    assert capture.reopened == 50
    assert psutil.Process().num_fds() <= descriptors + 1


def test_no_process_and_no_memory_is_left_when_the_parent_is_killed(tmp_path):
    """One child reads well, one holds its interpreter, so that only the kernel can end it."""
    before = shared_memory()
    (tmp_path / "steady").mkdir()
    (tmp_path / "stuck").mkdir()
    code = (
        "import sys\n"
        "from hardware.camera.capture import Capture\n"
        "from hardware.camera.isolated import IsolatedCamera\n"
        "from hardware.camera.sharing import Order\n"
        "for name in ('steady', 'stuck'):\n"
        "    order = Order(opener=f'tests.odd_cameras:{name}', source=f'{sys.argv[1]}/{name}')\n"
        "    capture = Capture(lambda order=order: IsolatedCamera(order))\n"
        "    capture.start()\n"
        "    while capture.newest(1) is None or capture.frames_captured < 3: pass\n"
        "print('up', flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout.readline() == b"up\n"
    children = openings(tmp_path / "steady") + openings(tmp_path / "stuck")
    assert len(children) == 2
    parent.kill()
    parent.communicate()
    wait_until(lambda: not any(_runs(pid) for pid in children), "the children are gone", 30)
    assert shared_memory() <= before


def shared_memory():
    """All shared memory but that of the databases which other tests may start beside this one."""
    return {path for path in Path("/dev/shm").iterdir() if not path.name.startswith("PostgreSQL.")}


def test_a_crash_of_the_cameras_process_leaves_no_core_dump_with_a_frame_in_it(start, tmp_path):
    frames_of(start(odd_cameras.steady), 1)
    (pid,) = openings(tmp_path)
    assert psutil.Process(pid).rlimit(resource.RLIMIT_CORE) == (0, 0)


def _runs(pid):
    """Whether a process runs; one whose new parent has not collected it yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_password_of_a_source_is_in_no_command_line_and_no_log(caplog):
    source = "rtsp://admin:s3cret@127.0.0.1:9/live"
    camera = IsolatedCamera(Order(source))
    seen = []
    stop = threading.Event()
    with pytest.raises(CameraUnavailable) as lost, caplog.at_level(logging.DEBUG):
        camera._start()
        seen.append(Path(f"/proc/{camera.pid}/cmdline").read_bytes())
        camera.close()
        for _ in camera.frames(stop):
            pass
    camera.close()
    assert b"s3cret" not in seen[0]
    assert "s3cret" not in caplog.text + str(lost.value) + camera.name


def test_a_finite_source_gives_all_its_frames_and_ends():
    capture = Capture(
        opener_of(
            Order("street:seconds=2", width=160, height=120, fps=10, every_frame=True), own_process=True
        ),
        every_frame=True,
    )
    capture.start()
    seqs = []
    while (frame := capture.newest(60)) is not None:
        seqs.append(frame.seq)
    capture.stop()
    assert seqs == list(range(20))
    assert (capture.state, capture.frames_dropped) == ("ended", 0)


def test_what_a_driver_logs_is_in_our_log_under_the_cameras_name_but_no_flood_of_it(start, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    capture = start(odd_cameras.chattering)
    wait_until(lambda: capture.last_error, "a minute's lines are said", 60)
    said = [r.getMessage() for r in caplog.records if r.getMessage() == f"camera={tmp_path} no buffer"]
    assert 0 < len(said) <= LINES_A_MINUTE * len(openings(tmp_path))


def test_the_memory_refuses_a_picture_that_is_not_there():
    memory = SharedPicture.make()
    for width, height in ((64, 48), (0, 0), (-2, -2), (100_000, 100_000), (3, 3)):
        with pytest.raises(ValueError, match=r"picture|even size"):
            memory.take(Handed("i420", width, height, 0.0, 0.0, 0))
    memory.close()
    memory.close()


@pytest.mark.skipif(sys.platform != "linux", reason="seals are Linux's")
def test_shared_memory_cannot_be_made_smaller_under_a_reader():
    memory = SharedPicture.make()
    os.ftruncate(memory.fd, 8192)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.fd, 4096)
    memory.close()


def test_a_slow_cameras_next_frame_is_waited_for_longer():
    assert Patience().next_frame_s(30.0) == 15.0
    assert Patience().next_frame_s(0.1) == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("source", "is_hardware"),
    [("webcam:1", True), ("/dev/video0", True), ("picamera2", True), ("rtsp://a/b", True), ("street", False),
     ("a/film.mp4", False)],
)  # fmt: skip
def test_hardware_has_a_driver_and_a_picture_file_has_none(source, is_hardware):
    assert has_driver(source) is is_hardware


def test_frames_of_an_rgb_camera_cross_too():
    memory = SharedPicture.make()
    from hardware.camera.frame import Frame

    rgb = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    memory.put(Frame(rgb, "rgb", 6, 4, mono_s=1.5, utc_s=2.5, seq=7))
    frame = memory.take(Handed("rgb", 6, 4, 1.5, 2.5, 7))
    assert (frame.pixels == rgb).all()
    memory.close()


@pytest.mark.parametrize(
    ("source", "own_process", "is_isolated"),
    [("rtsp://127.0.0.1:9/", None, True), ("street", None, False), ("street", True, True)],
)
def test_hardware_gets_a_process_of_its_own_unless_it_is_told_otherwise(source, own_process, is_isolated):
    camera = opener_of(Order(source), own_process=own_process)()
    assert isinstance(camera, IsolatedCamera) is is_isolated
    camera.close()


def test_hardware_may_be_told_to_stay_in_the_devices_process():
    with pytest.raises(CameraUnavailable):  # at once, by the driver itself
        opener_of(Order("webcam:99"), own_process=False)()
