"""A whole eye over a camera in memory: garbage, odd sizes, hidden pixels, and a camera that falls silent."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from device.firmware.config import CameraSection
from device.firmware.counts import Counts
from device.firmware.eye import Eye
from device.firmware.intake import Intake, frame_fault
from device.firmware.masks import PAINT, Masks
from device.firmware.motion import MotionGate, MotionSettings
from device.firmware.outbox import Outbox
from device.firmware.pipeline import Pipeline
from device.firmware.rules import ZoneRule
from device.firmware.tracker import Tracker
from device.models.bundle import load_bundle
from device.models.detections import Detections
from device.models.detector import Detector
from hardware.camera.capture import BackOff, Capture
from hardware.camera.frame import Frame, rgb_to_i420
from hardware.camera.street import Street
from tests.brokers import wait_until

WINDOW = [(0.6, 0.1), (0.9, 0.1), (0.9, 0.5), (0.6, 0.5)]


class Recorder:
    """A detector that keeps what it was shown, and finds nothing."""

    def __init__(self):
        self.seen = []

    def detect(self, frame):
        self.seen.append(frame)
        return Detections.none()


class MemoryCamera:
    """Gives what a function yields, then falls silent without closing until it is told to stop."""

    name, is_live = "memory", True

    def __init__(self, make):
        self._make = make

    def frames(self, stop):
        yield from self._make()
        stop.wait()

    def close(self):
        """Nothing is held."""


@pytest.fixture
def make_eye(tmp_path):
    """Builds an eye as the daemon does, over a camera in memory."""
    made, outbox = [], Outbox(tmp_path / "outbox.db")

    def make(frames, detector=None, masks=()):
        pipeline = Pipeline(
            "cam-01",
            "cam0",
            gate=MotionGate(MotionSettings(max_skip_s=0.0)),
            detector=detector or Recorder(),
            tracker=Tracker(),
            rules=[ZoneRule("all", np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))],
            counts=Counts(("all",)),
            outbox=outbox,
        )
        capture = Capture(
            lambda: MemoryCamera(frames), every_frame=True, back_off=BackOff(first_s=0.01, longest_s=0.01)
        )
        eye = Eye(CameraSection(source="street"), capture, Intake("cam0", Masks(masks)), pipeline)
        made.append(eye)
        capture.start()
        return eye

    yield make
    for eye in made:
        eye.capture.stop()
    outbox.close()


def frame_of(pixels, layout="rgb", seq=0, mono_s=None, utc_s=1.8e9):
    height, width = pixels.shape[:2]
    height = height * 2 // 3 if layout == "i420" else height
    return Frame(pixels, layout, width, height, float(seq) if mono_s is None else mono_s, utc_s, seq)


def garbage(number, width=64, height=48):
    shape = (height, width, 3)
    return frame_of(np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8), seq=number)


def look_at_all(eye, count):
    """Look until so many frames have come out of the camera and been taken."""
    wait_until(lambda: (eye.look(), eye.pipeline.tallies.frames + eye.intake.refused >= count)[1], "frames")


@pytest.mark.parametrize("layout", ["rgb", "i420"])
def test_no_pixel_inside_a_mask_reaches_the_detector(make_eye, layout):
    street, recorder = Street(3, 320, 240), Recorder()

    def frames():
        for number in range(8):
            rgb = street.render(number / 2)
            yield frame_of(rgb if layout == "rgb" else rgb_to_i420(rgb), layout, number)

    eye = make_eye(frames, recorder, [WINDOW])
    look_at_all(eye, 8)
    assert len(recorder.seen) == 8
    for frame in recorder.seen:
        hidden = frame.pixels[24:120, 192:288] if layout == "rgb" else frame.luma[24:120, 192:288]
        assert (hidden == PAINT).all()
        assert np.ptp(frame.luma[:, :160]) > 50, "the rest of the picture is there"


def test_motion_inside_a_mask_wakes_nobody(make_eye):
    def frames():
        for number in range(30):
            pixels = np.full((240, 320, 3), 90, np.uint8)
            pixels[40:100, 200:280] = 40 * (number % 6)
            yield frame_of(pixels, seq=number)

    recorder = Recorder()
    eye = make_eye(frames, recorder, [WINDOW])
    eye.pipeline._gate = MotionGate(MotionSettings(hold_s=0.1, max_skip_s=1000.0))
    look_at_all(eye, 30)
    assert len(recorder.seen) == 1, "the first frame is always looked at"


def test_random_bytes_go_down_the_road_of_the_real_detector_without_harm(make_eye):
    eye = make_eye(
        lambda: (garbage(number, 320, 240) for number in range(12)), Detector(load_bundle("street-2"))
    )
    look_at_all(eye, 12)
    assert eye.pipeline.tallies.inferences == 12
    assert eye.intake.refused == 0


def test_a_camera_that_changes_size_and_layout_in_the_middle_is_watched_on(make_eye):
    sizes = [(64, 48), (640, 480), (62, 48), (48, 640), (64, 48), (18, 16), (1280, 720)]

    def frames():
        for number, (width, height) in enumerate(sizes * 2):
            pixels = garbage(number, width, height).pixels
            is_planar = number % 2 == 0
            yield frame_of(
                rgb_to_i420(pixels) if is_planar else pixels, "i420" if is_planar else "rgb", number
            )

    eye = make_eye(frames, Detector(load_bundle("street-2")), [WINDOW])
    look_at_all(eye, 14)
    assert eye.pipeline.tallies.inferences == 14
    assert eye.size == (1280, 720)


def test_frames_that_cannot_be_used_are_refused_and_counted_and_the_good_ones_seen(make_eye, caplog):
    recorder = Recorder()

    def frames():
        yield garbage(0)
        yield frame_of(np.empty((0, 0, 3), np.uint8), seq=1)
        yield frame_of(np.zeros((1, 640, 3), np.uint8), seq=2)
        yield frame_of(np.zeros((48, 64, 3), np.uint8), seq=3, mono_s=float("nan"))
        yield frame_of(np.zeros((48, 64, 3), np.uint8), seq=4, utc_s=float("inf"))
        yield garbage(5)

    eye = make_eye(frames, recorder)
    look_at_all(eye, 6)
    assert eye.intake.refused == 4
    assert [frame.seq for frame in recorder.seen] == [0, 5]
    assert eye.intake.fault == ""
    said = [record.message for record in caplog.records if "frames=" in record.message]
    assert len(said) <= 2, "one line for each change, not for each frame"


def test_a_frame_with_gaps_between_its_rows_or_upside_down_is_made_whole(make_eye):
    recorder = Recorder()
    wide = np.random.default_rng(1).integers(0, 256, (48, 128, 3), dtype=np.uint8)

    def frames():
        yield frame_of(wide[:, ::2], seq=0)
        yield frame_of(wide[::-1, :64], seq=1)
        yield frame_of(wide[:, :64][:, ::-1], seq=2)

    eye = make_eye(frames, recorder, [WINDOW])
    look_at_all(eye, 3)
    assert all(frame.pixels.flags.c_contiguous for frame in recorder.seen)
    assert np.array_equal(recorder.seen[1].pixels[:, :30], wide[::-1, :30])


@pytest.mark.parametrize("what", ["shape", "type", "odd"])
def test_a_driver_that_makes_impossible_frames_is_a_lost_camera_that_is_opened_again(make_eye, what):
    opened = []

    def frames():
        opened.append(what)
        yield garbage(0)
        pixels = {
            "shape": np.zeros((48, 63, 3), np.uint8),
            "type": np.zeros((48, 64, 3), np.float32),
            "odd": np.zeros((70, 63), np.uint8),
        }[what]
        yield Frame(
            pixels, "i420" if what == "odd" else "rgb", 63 if what == "odd" else 64, 48, 1.0, 1.8e9, 1
        )

    eye = make_eye(frames)
    wait_until(lambda: (eye.look(), len(opened) >= 3)[1], "it is opened again")
    assert "ValueError" in eye.capture.last_error.reason


def test_a_camera_that_stops_without_closing_holds_nobody_up(make_eye):
    eye = make_eye(lambda: (garbage(number) for number in range(3)))
    look_at_all(eye, 3)
    for _ in range(1000):
        assert eye.look() is None, "a look without a frame does not wait for one"
    stopping = threading.Thread(target=eye.capture.stop)
    stopping.start()
    stopping.join(10)
    assert not stopping.is_alive()


def test_the_reason_of_a_refusal_names_the_size():
    assert "8x48" in frame_fault(frame_of(np.zeros((48, 8, 3), np.uint8)))
    assert frame_fault(garbage(0)) == ""
