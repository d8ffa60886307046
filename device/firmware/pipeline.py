"""The one road: what happens to a frame, top to bottom.

frame -> motion gate -> detector -> tracker -> rules -> outbox; the frame itself goes no further. One
`Pipeline` belongs to one camera; time comes in with the frame, nothing here reads a clock or waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from device.firmware.clock import clock_state
from device.firmware.counts import Bucket, Counts
from device.firmware.motion import MotionGate
from device.firmware.rules import Happening, Rule
from device.firmware.tracker import Tracker
from device.firmware.tracks import Tracks
from device.models.detections import Detections
from device.models.labels import CLASSES
from hardware.camera.frame import Frame
from ota.messages import BoxedObject, Channel, Count, Event, LiveFrame, Topic, format_ts, new_id
from ota.messages.structs import Durable


class Looker(Protocol):
    """What the pipeline needs of a detector."""

    def detect(self, frame: Frame) -> Detections:
        """Return what is in a frame."""
        ...


class DurableQueue(Protocol):
    """What the pipeline needs of the outbox."""

    def add(self, topic: Topic, make: Callable[[int], Durable]) -> int:
        """Take a message in and return its `seq`."""
        ...

    def save(self, key: str, value: bytes) -> None:
        """Keep a small value."""
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
        rules: list[Rule],
        counts: Counts,
        outbox: DurableQueue,
    ) -> None:
        """Join the parts; `device` and `camera` are the names that the messages carry."""
        self._device = device
        self._camera = camera
        self._gate = gate
        self._detector = detector
        self._tracker = tracker
        self._rules = rules
        self._counts = counts
        self._outbox = outbox
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
        self._report_closed(self._counts.watch(frame.utc_s))
        tracks = self._look(frame)
        if tracks is not None:
            for happening in self._notice(tracks, frame.mono_s):
                self._report(happening, frame.utc_s)
        return tracks

    def live(self, tracks: Tracks, utc_s: float) -> tuple[Topic, LiveFrame]:
        """Return the live view's message: boxes and track numbers of one moment."""
        objects = [
            _boxed(int(track), int(cls), float(score), tuple(map(float, box)))
            for track, cls, score, box in zip(
                tracks.ids, tracks.classes, tracks.scores, tracks.boxes, strict=True
            )
        ]
        message = LiveFrame(id=new_id(), ts=format_ts(utc_s), cam=self._camera, objects=objects[:300])
        return Topic(self._device, Channel.FRAME, self._camera), message

    def idle(self, utc_s: float) -> None:
        """Say that no frame came: buckets that are over are reported all the same."""
        self._report_closed(self._counts.idle(utc_s))

    def finish(self) -> None:
        """Report the open buckets as partial and keep them, so that nothing counted is lost."""
        for bucket in self._counts.partial():
            self._report_bucket(bucket, is_partial=True)
        self._outbox.save(self._counts_key, self._counts.saved())

    def _look(self, frame: Frame) -> Tracks | None:
        if not self._gate.should_look(frame.luma, frame.mono_s):
            self.tallies.skipped += 1
            self._tracker.hold(frame.mono_s)
            return None
        self.tallies.inferences += 1
        detections = self._detector.detect(frame)
        return self._tracker.update(detections, frame.mono_s)

    def _notice(self, tracks: Tracks, mono_s: float) -> list[Happening]:
        return [happening for rule in self._rules for happening in rule.apply(tracks, mono_s)]

    def _report(self, happening: Happening, utc_s: float) -> None:
        if happening.tally:
            self._counts.add(happening.rule, CLASSES[happening.seen.cls], happening.tally, utc_s)
            self._outbox.save(self._counts_key, self._counts.saved())
        if not happening.is_event:
            return
        seen = happening.seen
        topic = Topic(self._device, Channel.EVENT, self._camera, happening.kind)
        self._outbox.add(
            topic,
            lambda seq: Event(
                id=new_id(),
                ts=format_ts(utc_s),
                clock=clock_state(utc_s),
                seq=seq,
                cam=self._camera,
                kind=happening.kind,
                rule=happening.rule,
                sev=happening.sev,
                object=_boxed(seen.track, seen.cls, seen.conf, seen.box),
                direction=happening.direction,
                duration_s=None if happening.duration_s is None else round(happening.duration_s, 1),
            ),
        )

    def _report_closed(self, closed: list[Bucket]) -> None:
        for bucket in closed:
            self._report_bucket(bucket, is_partial=not bucket.is_whole)
        if closed:
            self._outbox.save(self._counts_key, self._counts.saved())

    def _report_bucket(self, bucket: Bucket, *, is_partial: bool) -> None:
        topic = Topic(self._device, Channel.COUNT, self._camera, bucket.rule)
        self._outbox.add(
            topic,
            lambda seq: Count(
                id=new_id(),
                ts=format_ts(bucket.to_s),
                clock=clock_state(bucket.to_s),
                seq=seq,
                cam=self._camera,
                rule=bucket.rule,
                bucket_s=60 if bucket.bucket_s == 60 else 900,
                from_ts=format_ts(bucket.from_s),
                to_ts=format_ts(bucket.to_s),
                counts=bucket.counts,
                partial=is_partial,
            ),
        )

    @property
    def _counts_key(self) -> str:
        return counts_key(self._camera)


def counts_key(camera: str) -> str:
    """Return the outbox key under which a camera's open buckets are kept."""
    return f"counts/{camera}"


def _boxed(track: int, cls: int, conf: float, box: tuple[float, ...]) -> BoxedObject:
    left, top, right, bottom = (round(side, 4) for side in box)
    return BoxedObject(track, CLASSES[cls], round(conf, 2), (left, top, right, bottom))
