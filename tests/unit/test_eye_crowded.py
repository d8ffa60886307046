"""A whole eye, made as the daemon makes it, before a picture that is full to the last corner."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from device.firmware.config import parse_config
from device.firmware.eye import make_eye
from device.firmware.outbox import Outbox
from device.models.detections import Detections
from device.models.labels import CLASSES
from hardware.camera.capture import Capture
from hardware.camera.frame import Frame
from ota.messages import Channel, Topic, decode
from tests.brokers import wait_until
from tests.unit.test_eye_bad_frames import MemoryCamera

FRAMES, FPS = 30, 10
COLUMNS, ROWS = 40, 25
ALL_OF_THEM, WALKERS = COLUMNS * ROWS, COLUMNS * ROWS // 2
WALKS_PCT = 0.2
"""Of the picture's height, a frame."""
ALL = "[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]"
CONFIG = f"""\
[device]
id = "cam-01"
state = "{{state}}"

[mqtt]
host = "127.0.0.1"

[[camera]]
source = "street"
every_frame = true
motion = {{{{ enabled = false }}}}
rule = [
  {{{{ name = "gate", kind = "line", points = [[0.0, 0.5], [1.0, 0.5]] }}}},
  {{{{ name = "market", kind = "zone", points = {ALL}, dwell_s = 1 }}}},
  {{{{ name = "gathering", kind = "crowd", points = {ALL}, least = 300, hold_s = 1 }}}},
  {{{{ name = "lurking", kind = "loiter", points = {ALL}, dwell_s = 1 }}}},
  {{{{ name = "parking", kind = "stopped", points = {ALL}, dwell_s = 1 }}}},
  {{{{ name = "luggage", kind = "left", points = {ALL}, dwell_s = 1, things = true }}}},
]
"""


class Throng:
    """A detector that finds a thousand objects side by side: people who walk down, and cars that stand."""

    def __init__(self):
        self.frames = 0

    def detect(self, frame):
        column, row = (axis.ravel() for axis in np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)))
        walks = column < COLUMNS // 2
        left = column / COLUMNS
        top = 0.9 * row / ROWS + np.where(walks, self.frames * WALKS_PCT / 100, 0.0)
        boxes = np.stack([left, top, left + 0.8 / COLUMNS, top + 0.7 / ROWS], axis=1)
        classes = np.where(walks, CLASSES.index("person"), CLASSES.index("car"))
        self.frames += 1
        return Detections(
            classes.astype(np.int64),
            np.full(len(row), 0.9, np.float32),
            np.clip(boxes, 0.0, 1.0).astype(np.float32),
        )


def pictures():
    pixels = np.random.default_rng(3).integers(60, 200, (240, 320, 3), dtype=np.uint8)
    for number in range(FRAMES):
        yield Frame(pixels, "rgb", 320, 240, number / FPS, 1.8e9 + number / FPS, number)


@pytest.fixture
def throng_eye(tmp_path):
    """An eye with a rule of each kind, and its outbox."""
    config = parse_config(CONFIG.format(state=tmp_path), tmp_path / "device.toml")
    outbox = Outbox(tmp_path / "outbox.db")
    eye = make_eye("cam-01", config.camera[0], Throng(), outbox, on_news=lambda: None)
    eye.capture = Capture(lambda: MemoryCamera(pictures), every_frame=True)
    eye.capture.start()
    yield eye, outbox
    eye.capture.stop()
    outbox.close()


def messages_of(outbox):
    """All that was written, by channel; each must be readable for the fleet."""
    outbox.flush()
    found = {}
    for waiting in outbox.after(0, 100_000):
        channel = Topic.parse(waiting.topic).channel
        found.setdefault(channel, []).append(decode(channel, waiting.payload))
    return found


def test_a_thousand_objects_in_each_frame_are_tracked_judged_counted_and_written_without_a_fault(throng_eye):
    eye, outbox = throng_eye
    wait_until(lambda: (eye.look(), eye.pipeline.tallies.frames >= FRAMES)[1], "all frames are seen", 120)
    occupied = {news.rule: sum(news.counts.values()) for news in eye.occupancy_news()}
    eye.pipeline.finish()
    found = messages_of(outbox)

    assert eye.pipeline.tallies.inferences == FRAMES
    assert (eye.intake.fault, eye.intake.refused, outbox.fault, outbox.dropped) == ("", 0, "", 0)
    assert occupied == {"market": ALL_OF_THEM, "gathering": ALL_OF_THEM}
    told = Counter((event.rule, event.kind) for event in found[Channel.EVENT])
    assert told == {
        ("gate", "line-cross"): WALKERS // ROWS,
        ("market", "zone-enter"): ALL_OF_THEM,
        ("market", "dwell"): ALL_OF_THEM,
        ("gathering", "crowd"): 1,
        ("lurking", "loitering"): ALL_OF_THEM,
        ("parking", "stopped"): ALL_OF_THEM - WALKERS,
    }
    entered = {count.bucket_s: count.counts for count in found[Channel.COUNT] if count.rule == "market"}
    here = {"person": {"enter": WALKERS}, "car": {"enter": ALL_OF_THEM - WALKERS}}
    assert entered == {60: here, 900: here}
