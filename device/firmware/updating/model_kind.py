"""Models as a kind of release: staged beside the one that looks, switched to between two frames.

The old model goes on looking until the new one is loaded and has looked at a picture, so that nothing goes
unseen. In safe mode nothing looks: there a switch needs a new start.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.errors import PehraDeviceError, UpdateRefused, UpdateUnsuited
from device.firmware.config import CameraSection
from device.firmware.looking import Looking, warmed
from device.firmware.updating.admission import dropped_classes
from device.firmware.updating.kind import FACTORY, GOOD, SLOTS, KindName, Next, Running, Verdict
from device.firmware.updating.model_check import check_model
from device.firmware.updating.model_slots import MOST_BYTES, ModelSlots
from device.firmware.updating.probation import judged, unlike
from device.firmware.updating.sampling import Sampler
from device.firmware.updating.slot_folder import bare
from device.models.bundle import Bundle
from device.models.detector import Detector
from device.models.examine import Examination
from ota.messages.desired import Target
from ota.trust.release import Release

SOME_FPS: Final = 10.0
"""Of a device whose cameras are not known: its own file is broken."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """What looks, where something does.

    Attributes:
        looking: what the cameras share.
        sampler: what it shows.
        slot: where the model that looks first lies.
    """

    looking: Looking
    sampler: Sampler
    slot: str


class ModelKind:
    """See `Kind`.

    Args:
        slots: where models lie.
        sight: what looks; None in safe mode.
        make: makes a detector of a model, as this device runs it.
        cameras: with their rules and rates.
        probation_s: how long a model is tried.
        check: tries a staged model.
    """

    name: KindName = "model"
    max_bytes: Final = MOST_BYTES
    room_factor: Final = 3.0

    def __init__(
        self,
        slots: ModelSlots,
        sight: Sight | None,
        make: Callable[[Bundle], Detector],
        cameras: list[CameraSection],
        probation_s: float,
        check: Callable[..., Examination] = check_model,
    ) -> None:
        self._slots = slots
        self._sight = sight
        self._slot = slots.current() if sight is None else sight.slot
        self._make = make
        self._cameras = cameras
        self._probation_s = probation_s
        self._check = check
        self._fastest_fps = max((camera.fps for camera in cameras), default=SOME_FPS)

    def obstacle(self) -> str:
        """See `Kind`."""
        return ""

    def running(self) -> Running:
        """See `Kind`; in safe mode what the next start takes."""
        if self._sight is None:
            return self.describe(self._slots.current())
        info = self._sight.looking.info
        return Running(self._slot, info.sha256, info.name, info.version, self._sec_ver(self._slot))

    def describe(self, slot: str) -> Running:
        """See `Kind`."""
        try:
            bundle = self._slots.bundle(slot)
        except PehraDeviceError:
            return Running(slot, "", "", "")
        card = bundle.card
        return Running(slot, bundle.sha256, card.name, card.version, self._sec_ver(slot))

    def current(self) -> str:
        """See `Kind`."""
        return self._slots.current()

    def slot_with(self, target: Target) -> str | None:
        """See `Kind`."""
        slots = sorted(SLOTS, key=lambda slot: slot != self._slot)  # what runs first: nothing is to be done
        held = next((slot for slot in slots if self._slots.holds(slot, target)), None)
        if held is None and target.hashes.get("sha256") in self._slots.factory_contents():
            return FACTORY
        return held

    def is_vouched(self, slot: str, target: Target) -> bool:
        """See `Kind`."""
        return self._slots.vouches(slot, target)

    def adopt(self, slot: str, target: Target) -> None:
        """See `Kind`."""
        if slot != FACTORY:
            self._slots.seal(slot, bare(target))

    def free_slot(self) -> str:
        """See `Kind`."""
        return self._slots.other()

    def contents(self) -> dict[str, str]:
        """See `Kind`."""
        manifests = {slot: self._slots.manifest(slot) for slot in SLOTS}
        held = {one.content: slot for slot, one in manifests.items() if one is not None}
        factory = self.pack(FACTORY)
        return {hashlib.sha256(factory).hexdigest(): FACTORY, **held} if factory else held

    def pack(self, slot: str) -> bytes:
        """See `Kind`."""
        return self._slots.pack(slot)

    def stage(self, archive: Path, slot: str, target: Target, is_over: Callable[[], bool]) -> None:
        """See `Kind`."""
        del is_over  # a few megabytes
        self._slots.stage(archive, slot, bare(target))

    def wipe(self, slot: str) -> None:
        """See `Kind`."""
        self._slots.wipe(slot)

    def is_staged(self, slot: str, target: Target) -> bool:
        """See `Kind`."""
        if slot == FACTORY:
            return target.hashes.get("sha256") in self._slots.factory_contents()
        return self._slots.holds(slot, target)

    def check(self, slot: str, release: Release, is_over: Callable[[], bool]) -> None:
        """See `Kind`."""
        if slot == FACTORY:
            return
        p95_ms = None if self._sight is None else self._sight.sampler.p95_ms()
        seen = self._check(
            self._slots.path(slot),
            release,
            p95_before_ms=p95_ms,
            fastest_fps=self._fastest_fps,
            is_over=is_over,
        )
        sees = frozenset() if self._sight is None else frozenset(self._sight.looking.info.labels)
        assert seen.trial.card is not None
        if lost := dropped_classes(seen.trial.card.labels, self._cameras, sees):
            raise UpdateUnsuited(lost)

    def switch(self, slot: str, before: str) -> Next:
        """See `Kind`."""
        del before
        if self._sight is None:
            self._slots.turn_to(slot)
            return "restart"
        if slot != self._slot or slot != self._slots.current():
            self._look_with(slot, self._loaded(slot))
        return "runs"

    def switch_back(self, before: str, failed: str) -> tuple[Next, str]:
        """See `Kind`."""
        del failed  # no start takes what was never committed
        slot = self._slots.whole_or_factory(before)
        if self._sight is None:
            self._slots.turn_to(slot)
            return "runs", slot
        if slot == self._slot:
            self._slots.turn_to(slot)
        else:
            slot = self._look_back_with(slot)
        self._sight.sampler.end_watch(is_usual=False)
        return "runs", slot

    def _look_back_with(self, slot: str) -> str:
        try:
            detector = self._loaded(slot)
        except UpdateRefused as error:
            _log.error("update: the model of before cannot be used reason=%r", error.reason)
            slot, detector = FACTORY, self._loaded(FACTORY)
        self._look_with(slot, detector)
        return slot

    def fell_back(self, slot: str) -> str:
        """See `Kind`: a start takes another model where the one in the slot is damaged or does not load."""
        if self._sight is None or self._slot == slot or self._slots.current() != slot:
            return ""
        return f"a start could not use it: {self._slots.fault(slot) or 'it does not load'}"

    def begin_probation(self, *, is_switched_now: bool, was_linked: bool) -> None:
        """See `Kind`."""
        del is_switched_now, was_linked  # loss of the server alone is no fault of a model
        if self._sight is not None and not self._sight.sampler.is_watching:
            self._sight.sampler.begin_watch()

    def judge(self, lived_s: float) -> Verdict:
        """See `Kind`."""
        if self._sight is None:
            return Verdict("waits", "in safe mode nothing looks")
        sampler = self._sight.sampler
        if fault := unlike(sampler.usual, sampler.since):
            return Verdict("bad", fault)
        if lived_s < self._probation_s:
            return Verdict("waits", f"is tried for {self._probation_s:.0f} s")
        return judged(sampler.before, sampler.pace(), self._fastest_fps, sampler.usual, sampler.since)

    def settle(self, slot: str) -> None:
        """See `Kind`: nothing is needed."""

    def tend(self, lived_s: float) -> str:
        """See `Kind`: a start has said what was wrong."""
        del lived_s
        return ""

    def end_in_order(self, lived_s: float) -> None:
        """See `Kind`: starts with a model are counted in its journal."""

    def watch(self) -> Verdict:
        """See `Kind`."""
        if self._sight is None:
            return GOOD
        fault = unlike(self._sight.sampler.usual, self._sight.sampler.since)
        return Verdict("bad", fault) if fault else GOOD

    def end_watch(self) -> None:
        """See `Kind`."""
        if self._sight is not None:
            self._sight.sampler.end_watch(is_usual=True)

    def _loaded(self, slot: str) -> Detector:
        try:
            return warmed(self._make(self._slots.bundle(slot)))
        except Exception as error:
            reason = error.reason if isinstance(error, UpdateRefused) else str(error) or type(error).__name__
            raise UpdateRefused(f"it cannot be loaded: {reason}") from error

    def _look_with(self, slot: str, detector: Detector) -> None:
        assert self._sight is not None
        sampler = self._sight.sampler
        before = sampler.pace()
        self._slots.turn_to(slot)
        self._sight.looking.change(detector)
        self._slot = slot
        sampler.before = before
        sampler.begin_watch()
        _log.info("model switched slot=%s name=%r sha256=%.12s", slot or "factory", *_name(detector))

    def _sec_ver(self, slot: str) -> int:
        manifest = self._slots.manifest(slot)
        return 0 if manifest is None else manifest.sec_ver


def _name(detector: Detector) -> tuple[str, str]:
    card = detector.bundle.card
    return f"{card.name} {card.version}", detector.bundle.sha256
