"""The whole road with the shipped model, against the simulated street's own truth, on seeds it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from device.firmware.counts import Counts
from device.firmware.motion import MotionGate, MotionSettings
from device.firmware.pipeline import Pipeline
from device.firmware.rules import LineRule
from device.firmware.tracker import Tracker
from device.firmware.tracks import Tracks
from device.models.bundle import load_bundle
from device.models.detector import Detector
from device.models.labels import CLASSES
from hardware.camera.frame import Frame, rgb_to_i420
from hardware.camera.street import Street

FPS, SECONDS = 8.0, 60.0
TOLERANCE_S = 1.0


class Kept:
    """An outbox in memory."""

    def __init__(self):
        self.messages = []

    def add(self, topic, make):
        self.messages.append(make(len(self.messages) + 1))
        return len(self.messages)

    def save(self, key, value):
        """Nothing is kept beyond the test."""


def middle():
    return LineRule("middle", np.array([0.5, 0.15]), np.array([0.5, 1.0]))


def watched(seed, *, night):
    """Crossings as (time, direction): those that happened, and those that the pipeline reported."""
    street, kept, truth = Street(seed, 640, 480, night=night), Kept(), middle()
    pipeline = Pipeline(
        "cam-01",
        "cam0",
        gate=MotionGate(MotionSettings()),
        detector=Detector(load_bundle("street-2", int8_only=True)),
        tracker=Tracker(),
        rules=[middle()],
        counts=Counts(("middle",)),
        outbox=kept,
    )
    happened, reported = [], []
    for number in range(int(SECONDS * FPS)):
        t_s = number / FPS
        frame = Frame(rgb_to_i420(street.render(t_s)), "i420", 640, 480, t_s, 1.8e9 + t_s, number)
        before = len(kept.messages)
        pipeline.step(frame)
        reported += [
            (t_s, event.direction) for event in kept.messages[before:] if hasattr(event, "direction")
        ]
        happened += [
            (t_s, crossing.direction) for crossing in truth.apply(true_tracks(street.truth(t_s)), t_s)
        ]
    return happened, reported


def true_tracks(actors):
    return Tracks(
        ids=np.array([actor.id for actor in actors], np.int64),
        classes=np.array([CLASSES.index(actor.name) for actor in actors], np.int64),
        scores=np.ones(len(actors), np.float32),
        boxes=np.array([actor.box for actor in actors], np.float32).reshape(-1, 4),
    )


def matched(happened, reported):
    left, hits = list(reported), 0
    for t_s, direction in happened:
        near = [other for other in left if other[1] == direction and abs(other[0] - t_s) <= TOLERANCE_S]
        if near:
            left.remove(min(near, key=lambda other: abs(other[0] - t_s)))
            hits += 1
    return hits


@pytest.mark.parametrize(("seed", "night"), [(21, False), (22, False), (24, True)])
def test_most_crossings_of_the_street_are_reported_and_few_that_were_not_there(seed, night):
    happened, reported = watched(seed, night=night)
    hits = matched(happened, reported)
    assert len(happened) >= 10, "the street is busy enough to judge by"
    assert hits >= 0.75 * len(happened), f"{hits} of {len(happened)} crossings were reported"
    assert len(reported) - hits <= 0.25 * len(happened), (
        f"{len(reported) - hits} reported that were not there"
    )
