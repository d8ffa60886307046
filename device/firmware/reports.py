"""What one camera tells: happenings become events, closed buckets and hours become counts, all durable.

An event within a rule's cooldown is folded (`rules/fold.py`) and the event that was sent is amended when the
cooldown is over. Nothing here reads a clock; the open buckets are saved so that a killed device goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from device.firmware.clock import clock_state
from device.firmware.counts import Bucket, Counts
from device.firmware.heat import HOUR_S, HeatHour, HeatHours
from device.firmware.rules import A_THING, Folds, Happening, Told
from device.firmware.rules.heat import Cells
from device.models.labels import CLASSES
from ota.messages import BoxedObject, Channel, Count, Event, Topic, format_ts, new_id
from ota.messages.structs import Durable

THING: Final = "thing"
"""The class on the wire of a thing that the model has no class for."""


class DurableQueue(Protocol):
    """What the pipeline needs of the outbox."""

    def add(self, topic: Topic, make: Callable[[int], Durable]) -> int:
        """Take a message in and return its `seq`."""
        ...

    def save(self, key: str, value: bytes) -> None:
        """Keep a small value."""
        ...


class Reports:
    """One camera's way into the outbox."""

    def __init__(
        self, device: str, camera: str, counts: Counts, hours: HeatHours, outbox: DurableQueue
    ) -> None:
        self._device = device
        self._camera = camera
        self._counts = counts
        self._hours = hours
        self._outbox = outbox
        self._folds = Folds()

    def watch(self, utc_s: float, mono_s: float) -> None:
        """Say that the camera saw this moment: what is over by now is told."""
        self._tell_closed(self._counts.watch(utc_s))
        for told in self._folds.over(mono_s):
            self._amend(told)

    def idle(self, utc_s: float) -> None:
        """Say that no frame came: buckets that are over are told all the same."""
        self._tell_closed(self._counts.idle(utc_s))
        self._tell_hours(self._hours.idle(utc_s))

    def warm(self, cells: dict[str, Cells], utc_s: float) -> None:
        """Take in what heat rules (by name) have added up until this moment."""
        self._tell_hours(self._hours.watch(cells, utc_s))
        if self._hours.is_save_due(utc_s):
            self._outbox.save(hours_key(self._camera), self._hours.saved())

    def happened(self, happening: Happening, cooldown_s: float, utc_s: float, mono_s: float) -> None:
        """Count a happening; tell it, or fold it into the event that stands."""
        if happening.tally:
            cls = class_name(happening.seen.cls)
            self._counts.add(happening.rule, cls, happening.tally, utc_s)
            self._outbox.save(counts_key(self._camera), self._counts.saved())
        if not happening.is_event or self._folds.fold(happening, utc_s, mono_s):
            return
        seq = self._tell(happening, utc_s)
        if cooldown_s > 0.0:
            self._folds.sent(happening, seq, utc_s, mono_s + cooldown_s)

    def finish(self) -> None:
        """Tell what is open, as it stands, and keep the open buckets, so that nothing counted is lost."""
        for told in self._folds.all():
            self._amend(told)
        for bucket in self._counts.partial():
            self._tell_bucket(bucket, is_partial=True)
        for hour in self._hours.partial():
            self._tell_hour(hour, is_partial=True)
        self._outbox.save(counts_key(self._camera), self._counts.saved())
        self._outbox.save(hours_key(self._camera), self._hours.saved())

    def _tell(self, happening: Happening, utc_s: float, told: Told | None = None) -> int:
        topic = Topic(self._device, Channel.EVENT, self._camera, happening.kind)
        seen = happening.seen
        return self._outbox.add(
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
                object=boxed(seen.track, seen.cls, seen.conf, seen.box),
                direction=happening.direction,
                duration_s=_rounded(happening.duration_s),
                speed_mps=_rounded(happening.speed_mps),
                number=happening.number,
                amends=told.seq if told else None,
                n=told.number if told else 1,
                until=format_ts(told.until_utc_s) if told else None,
            ),
        )

    def _amend(self, told: Told) -> None:
        self._tell(told.happening, told.from_utc_s, told)

    def _tell_closed(self, closed: list[Bucket]) -> None:
        for bucket in closed:
            self._tell_bucket(bucket, is_partial=not bucket.is_whole)
        if closed:
            self._outbox.save(counts_key(self._camera), self._counts.saved())

    def _tell_hours(self, closed: list[HeatHour]) -> None:
        for hour in closed:
            self._tell_hour(hour, is_partial=not hour.is_whole)
        if closed:
            self._outbox.save(hours_key(self._camera), self._hours.saved())

    def _tell_bucket(self, bucket: Bucket, *, is_partial: bool) -> None:
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

    def _tell_hour(self, hour: HeatHour, *, is_partial: bool) -> None:
        topic = Topic(self._device, Channel.COUNT, self._camera, hour.rule)
        self._outbox.add(
            topic,
            lambda seq: Count(
                id=new_id(),
                ts=format_ts(hour.to_s),
                clock=clock_state(hour.to_s),
                seq=seq,
                cam=self._camera,
                rule=hour.rule,
                bucket_s=HOUR_S,
                from_ts=format_ts(hour.from_s),
                to_ts=format_ts(hour.to_s),
                counts={},
                heat=[round(cell) for cell in hour.cells],
                partial=is_partial,
            ),
        )


def counts_key(camera: str) -> str:
    """Return the outbox key under which a camera's open buckets are kept."""
    return f"counts/{camera}"


def hours_key(camera: str) -> str:
    """Return the outbox key under which a camera's open hours of heat maps are kept."""
    return f"heat/{camera}"


def boxed(track: int, cls: int, conf: float, box: tuple[float, ...]) -> BoxedObject:
    """Return an object as it goes on the wire."""
    left, top, right, bottom = (round(min(max(side, 0.0), 1.0), 4) for side in box)
    return BoxedObject(track, class_name(cls), round(conf, 2), (left, top, right, bottom))


def class_name(cls: int) -> str:
    """Return the word for a class index."""
    return THING if cls == A_THING else CLASSES[cls]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
