"""The one road: what happens to a frame, top to bottom.

frame -> motion gate -> detector -> tracker -> rules -> outbox; the frame itself goes no further. One
`Pipeline` belongs to one camera; time comes in with the frame, nothing here reads a clock or waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np

from device.firmware import motion
from device.firmware.counts import Counts
from device.firmware.heat import HeatHours
from device.firmware.motion import MotionGate
from device.firmware.reports import DurableQueue, Reports, boxed
from device.firmware.rules import Duty, HeatRule, Rule
from device.firmware.rules.happening import Small
from device.firmware.shrink import shrunk, shrunk_luma
from device.firmware.tracker import Tracker
from device.firmware.tracks import Tracks
from device.models.detections import Detections
from hardware.camera.frame import Frame
from ota.messages import Channel, LiveFrame, Topic, format_ts, new_id

SMALL_S: Final = 0.5
"""Rules that look at the picture itself are asked at most so often."""
FALL_S: Final = 1.0
"""A monotonic stamp that falls by more than this is another clock's: a driver was replaced."""
SMALL_WIDTH: Final = 160
"""Pixels; what they are shown is at most so wide."""


class Looker(Protocol):
    """What the pipeline needs of a detector."""

    def detect(self, frame: Frame) -> Detections:
        """Return what is in a frame."""
        ...


@dataclass(slots=True)
class Tallies:
    """What a camera has done since start.

    Attributes:
        frames: that came from capture.
        inferences: frames the detector looked at.
        skipped: frames the motion gate skipped.
        first: the first frame's moment, Unix seconds, and its number since the driver was opened; None
            before it.
        last_s: the latest frame's moment, Unix seconds.
    """

    frames: int = 0
    inferences: int = 0
    skipped: int = 0
    first: tuple[float, int] | None = None
    last_s: float = 0.0


class Pipeline:
    """One camera's road from frames to durable messages."""

    def __init__(
        self,
        device: str,
        camera: str,
        *,
        gate: MotionGate,
        detector: Looker,
        tracker: Tracker,
        rules: Sequence[Rule | Duty],
        counts: Counts,
        outbox: DurableQueue,
        hours: HeatHours | None = None,
    ) -> None:
        """Join the parts; `device` and `camera` are the names that the messages carry.

        A bare rule is always on duty; `hours` holds what its heat rules have added up before.
        """
        self._device = device
        self._camera = camera
        self._gate = gate
        self._detector = detector
        self._tracker = tracker
        self._duties = [rule if isinstance(rule, Duty) else Duty(rule) for rule in rules]
        self._heats = [duty.rule for duty in self._duties if isinstance(duty.rule, HeatRule)]
        self._watchers = [duty for duty in self._duties if duty.is_watching]
        self._small_due_s = self._last_mono_s = -np.inf
        hours = hours or HeatHours(tuple(rule.name for rule in self._heats))
        self._reports = Reports(device, camera, counts, hours, outbox)
        self.tallies = Tallies()

    @property
    def tracks_total(self) -> int:
        """Objects tracked since start."""
        return self._tracker.confirmed_total

    def step(self, frame: Frame) -> Tracks | None:
        """Take one frame down the road.

        Returns:
            What is in view, or None when the motion gate skipped the frame.
        """
        self.tallies.frames += 1
        self.tallies.first = self.tallies.first or (frame.utc_s, frame.seq)
        self.tallies.last_s = frame.utc_s
        self._reports.watch(frame.utc_s, frame.mono_s)
        self._mind_the_clock(frame.mono_s)
        tracks = self._look(frame)
        if tracks is not None:
            self._notice(tracks, frame)
        self._watch_small(frame)
        if self._heats:
            self._reports.warm({rule.name: rule.take() for rule in self._heats}, frame.utc_s)
        return tracks

    def live(self, tracks: Tracks, utc_s: float) -> tuple[Topic, LiveFrame]:
        """Return the live view's message: boxes and track numbers of one moment."""
        objects = [
            boxed(int(track), int(cls), float(score), tuple(map(float, box)))
            for track, cls, score, box in zip(
                tracks.ids, tracks.classes, tracks.scores, tracks.boxes, strict=True
            )
        ]
        message = LiveFrame(id=new_id(), ts=format_ts(utc_s), cam=self._camera, objects=objects[:300])
        return Topic(self._device, Channel.FRAME, self._camera), message

    def idle(self, utc_s: float) -> None:
        """Say that no frame came: buckets that are over are reported all the same."""
        self._reports.idle(utc_s)

    def finish(self) -> None:
        """Report what is open and keep it, so that nothing counted is lost."""
        self._reports.finish()

    def _look(self, frame: Frame) -> Tracks | None:
        luma = frame.half_luma if frame.width >= motion.SMALL_WIDTH else frame.luma
        if not self._gate.should_look(luma, frame.mono_s):
            self.tallies.skipped += 1
            self._tracker.hold(frame.mono_s)
            return None
        self.tallies.inferences += 1
        detections = self._detector.detect(frame)
        return self._tracker.update(detections, frame.mono_s, self._gate.moving)

    def _mind_the_clock(self, mono_s: float) -> None:
        """Let the rules begin anew when a frame's stamp has fallen: what they timed has no length now."""
        if mono_s < self._last_mono_s - FALL_S:
            for duty in self._duties:
                duty.rule.forget()
            self._small_due_s = -np.inf
        self._last_mono_s = mono_s

    def _notice(self, tracks: Tracks, frame: Frame) -> None:
        for duty in self._duties:
            for happening in duty.apply(tracks, frame.mono_s, frame.utc_s):
                self._reports.happened(happening, duty.cooldown_s, frame.utc_s, frame.mono_s)

    def _watch_small(self, frame: Frame) -> None:
        """Let the rules that want it see the picture, small; skipped frames, too."""
        if not self._watchers or frame.mono_s < self._small_due_s:
            return
        self._small_due_s = frame.mono_s + SMALL_S
        small = small_picture(frame)
        for duty in self._watchers:
            for happening in duty.watch_small(small, frame.mono_s, frame.utc_s):
                self._reports.happened(happening, duty.cooldown_s, frame.utc_s, frame.mono_s)


def small_picture(frame: Frame) -> Small:
    """Return luma and both planes of colour, (H, W, 3), at most `SMALL_WIDTH` wide, averaged by areas."""
    width, height = frame.width, frame.height
    if width > SMALL_WIDTH:
        width, height = SMALL_WIDTH, max(1, round(height * SMALL_WIDTH / width))
    luma = shrunk_luma(frame, width, height)
    small: Small = cv2.merge([luma, *(shrunk(plane, width, height) for plane in frame.planes[1:])])
    return small
