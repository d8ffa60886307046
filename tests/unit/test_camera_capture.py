"""The newest frame wins, nothing is lost unseen, and a camera that went comes back."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from hardware.camera.capture import BackOff, Capture
from hardware.camera.frame import Frame
from hardware.camera.sources import open_camera
from hardware.errors import CameraUnavailable

QUICK = BackOff(first_s=0.01, longest_s=0.04, steady_s=60)
GONE = CameraUnavailable("scripted", "the cable is out", "plug it in")


class ScriptedCamera:
    """A camera in memory: gives `seqs`, then ends, fails, or waits to be stopped."""

    name = "scripted"

    def __init__(self, seqs: list[int], then: Exception | str, *, is_live: bool = True) -> None:
        self.seqs, self.then, self.is_live = seqs, then, is_live
        self.given = threading.Event()
        self.closed = 0

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        for seq in self.seqs:
            yield Frame(
                np.zeros((2, 2, 3), np.uint8), "rgb", 2, 2, mono_s=time.monotonic(), utc_s=0.0, seq=seq
            )
        self.given.set()
        if isinstance(self.then, Exception):
            raise self.then
        if self.then == "wait":
            stop.wait()

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def captures() -> Iterator[list[Capture]]:
    started: list[Capture] = []
    yield started
    for capture in started:
        capture.stop()
        assert not any(t is capture._thread for t in threading.enumerate())


def started(captures: list[Capture], cameras: list[ScriptedCamera], **options) -> Capture:
    """A started capture that opens these cameras in turn, and after them nothing."""
    left = list(cameras)

    def open_next() -> ScriptedCamera:
        if not left:
            raise GONE
        return left.pop(0)

    capture = Capture(open_next, **{"back_off": QUICK, **options})
    captures.append(capture)
    capture.start()
    return capture


def wait_until(claim: Callable[[], bool], within_s: float = 5.0) -> None:
    end_s = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end_s, "it did not come true in time"
        threading.Event().wait(0.002)


def test_nothing_runs_before_start():
    opened = []
    capture = Capture(lambda: opened.append(1))
    assert capture.newest(0.0) is None
    assert opened == []
    assert capture.state == "ok"


def test_the_newest_frame_wins_and_the_others_are_counted(captures):
    camera = ScriptedCamera(list(range(10)), "wait")
    capture = started(captures, [camera])
    assert camera.given.wait(5)
    frame = capture.newest(1)
    assert frame is not None
    assert frame.seq == 9
    assert (capture.frames_captured, capture.frames_dropped) == (10, 9)
    assert capture.newest(0.01) is None  # a frame is given once


def test_frames_that_the_driver_skipped_are_counted_too(captures):
    camera = ScriptedCamera([0, 1, 5], "wait")
    capture = started(captures, [camera])
    assert camera.given.wait(5)
    assert capture.frames_dropped == 2 + 3


def test_every_frame_is_delivered_in_order_when_asked(captures):
    capture = started(captures, [ScriptedCamera(list(range(50)), "end", is_live=False)], every_frame=True)
    seqs = []
    while (frame := capture.newest(5)) is not None:
        seqs.append(frame.seq)
    assert seqs == list(range(50))
    assert capture.frames_dropped == 0
    assert capture.state == "ended"


def test_a_finite_source_has_not_ended_while_its_last_frame_waits(captures):
    capture = started(captures, [ScriptedCamera([0], "end", is_live=False)])
    wait_until(lambda: not capture._thread.is_alive())
    assert capture.state == "ok"
    assert capture.newest(0) is not None
    assert capture.state == "ended"
    assert capture.newest(60) is None  # at once


def test_a_camera_that_vanishes_is_reported_and_reopened(captures, caplog):
    caplog.set_level(logging.INFO)
    lost, back = ScriptedCamera([0], GONE), ScriptedCamera([0], "wait")
    gate = threading.Event()

    def open_it() -> ScriptedCamera:
        if not lost.closed:
            return lost
        if not gate.is_set():
            raise GONE
        return back

    capture = Capture(open_it, back_off=QUICK)
    captures.append(capture)
    capture.start()
    wait_until(lambda: capture.state == "lost")
    assert capture.last_error is GONE
    assert lost.closed == 1
    gate.set()
    wait_until(lambda: capture.state == "ok")
    assert capture.reopened == 1
    changes = [r.getMessage() for r in caplog.records if "state=" in r.getMessage()]
    assert len(changes) == 2  # one line for each change, none for each try
    assert 'state=lost reason="the cable is out" do="plug it in"' in changes[0]
    assert "state=ok reopened=1" in changes[1]


def test_a_live_camera_that_just_ends_is_lost(captures):
    capture = started(captures, [ScriptedCamera([0], "end")])
    wait_until(lambda: capture.state == "lost")
    assert "no more frames" in str(capture.last_error) or capture.last_error is GONE


def test_a_finite_source_without_frames_is_lost_and_not_opened_in_a_spin(captures):
    capture = started(
        captures, [ScriptedCamera([], "end", is_live=False)] * 3, back_off=BackOff(first_s=3600)
    )
    wait_until(lambda: capture.state == "lost")
    assert "no more frames" in str(capture.last_error)


def test_a_driver_that_fails_in_an_unforeseen_way_is_lost_told_and_reopened(captures, caplog):
    capture = started(captures, [ScriptedCamera([0], ZeroDivisionError("oh")), ScriptedCamera([0], "wait")])
    wait_until(lambda: capture.reopened == 1)
    assert "ZeroDivisionError: oh" in str(capture.last_error)
    assert any(r.exc_info for r in caplog.records)


def test_waits_double_up_to_the_longest(captures):
    tries: list[float] = []

    def refuse() -> ScriptedCamera:
        tries.append(time.monotonic())
        raise GONE

    capture = Capture(refuse, back_off=QUICK)
    captures.append(capture)
    capture.start()
    wait_until(lambda: len(tries) >= 6)
    gaps = np.diff(tries)[:5]
    assert (gaps >= np.array((0.01, 0.02, 0.04, 0.04, 0.04)) - 0.001).all()


def test_waits_begin_anew_after_a_camera_was_steady(captures):
    """With steady_s 0 every camera that gave a frame was steady: the longest wait is never reached."""
    back_off = BackOff(first_s=0.001, longest_s=3600, steady_s=0)
    capture = started(captures, [ScriptedCamera([0], GONE) for _ in range(40)], back_off=back_off)
    wait_until(lambda: capture.frames_captured == 40)


def test_stop_does_not_wait_for_the_back_off(captures):
    capture = started(captures, [], back_off=BackOff(first_s=3600))
    wait_until(lambda: capture.state == "lost")
    capture.stop()
    assert not capture._thread.is_alive()


def test_stop_frees_whoever_waits_for_a_frame(captures):
    capture = started(captures, [ScriptedCamera([], "wait")])
    waiting = threading.Thread(target=capture.newest, args=(3600,))
    waiting.start()
    capture.stop()
    waiting.join(5)
    assert not waiting.is_alive()


def test_stop_frees_a_camera_whose_every_frame_nobody_takes(captures):
    camera = ScriptedCamera([0, 1, 2], "end", is_live=False)
    capture = started(captures, [camera], every_frame=True)
    wait_until(lambda: capture.frames_captured == 1)
    capture.stop()
    assert camera.closed == 1


def test_a_camera_that_never_opened_is_named_by_its_source_without_its_password(captures, caplog):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address = f"rtsp://admin:s3cret@127.0.0.1:{port}/user=admin&password=s3cret&channel=1"
    capture = Capture(lambda: open_camera(address), back_off=BackOff(first_s=3600))
    captures.append(capture)
    with caplog.at_level(logging.WARNING):
        capture.start()
        wait_until(lambda: capture.state == "lost")
        capture.stop()
    assert capture.name == f"rtsp://***@127.0.0.1:{port}/user=***"
    (line,) = [r.getMessage() for r in caplog.records if "state=lost" in r.getMessage()]
    assert line.startswith(f"camera={capture.name} ")
    assert "s3cret" not in caplog.text


def test_a_camera_that_opened_once_keeps_its_own_name(captures):
    capture = started(captures, [ScriptedCamera([0], CameraUnavailable("other", "it is gone", "look"))])
    wait_until(lambda: capture.state == "lost")
    assert capture.name == "scripted"


def test_news_is_told_of_each_frame_and_each_change_of_state(captures):
    """Told in the capture thread, after the news can be seen: nobody woken by it finds nothing."""
    seen: list[tuple[str, int, str]] = []

    def note() -> None:
        seen.append((capture.state, capture.frames_captured, threading.current_thread().name))

    cameras = [ScriptedCamera([0], GONE), ScriptedCamera([0], "wait")]
    capture = Capture(lambda: cameras.pop(0), back_off=QUICK, on_news=note)
    captures.append(capture)
    capture.start()
    wait_until(lambda: capture.reopened == 1 and len(seen) >= 4)
    assert [(state, count) for state, count, _ in seen] == [("ok", 1), ("lost", 1), ("ok", 2), ("ok", 2)]
    assert {thread for *_, thread in seen} == {"capture"}


def test_news_is_told_when_a_finite_source_ends(captures):
    told = threading.Semaphore(0)
    capture = started(
        captures, [ScriptedCamera([0], "end", is_live=False)], on_news=told.release, every_frame=True
    )
    assert told.acquire(timeout=5)
    assert told.acquire(timeout=5)
    assert capture.newest(0) is not None
    assert capture.state == "ended"


def test_asking_to_stop_does_not_wait_for_a_driver_that_is_inside_a_read(captures, caplog):
    """The camera holds on until released: `ask_to_stop` and `stop(0)` come back all the same."""
    reading, release = threading.Event(), threading.Event()

    class Holding(ScriptedCamera):
        def frames(self, stop: threading.Event) -> Iterator[Frame]:
            reading.set()
            assert release.wait(20)
            assert stop.is_set()
            yield from ()

    capture = started(captures, [Holding([], "end")])
    assert reading.wait(5)
    capture.ask_to_stop()
    assert capture._thread.is_alive()
    assert capture.newest(3600) is None  # at once
    with caplog.at_level(logging.WARNING):
        capture.stop(timeout_s=0.0)
    assert capture._thread.is_alive()
    assert "stop=late reason=driver_still_reading" in caplog.text
    release.set()
    capture.stop(timeout_s=5.0)
    assert not capture._thread.is_alive()
    assert capture.state == "ok"


def test_stop_may_be_given_a_deadline_that_has_passed(captures):
    capture = started(captures, [ScriptedCamera([0], "wait")])
    capture.stop(timeout_s=-1.0)
