"""Runs one scenario down the device's own road, faster than real time, and judges what comes out.

frame -> motion gate -> detector -> tracker -> rules -> outbox, all of them the firmware's; only camera and
clock are the script's: a frame carries the moment that it shows. Nothing is sent, and no picture is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from device.firmware.config import parse_config
from device.firmware.eye import Eye, make_eye
from device.firmware.outbox import Outbox
from device.models.bundle import load_bundle
from device.models.detections import Detections
from device.models.detector import Detector
from hardware.camera.frame import Frame, rgb_to_i420
from ota.messages import Event, Topic, decode
from pehra.demo.scenarios.causes import Look, why_false, why_missed
from pehra.demo.scenarios.judging import Score, pair, scores
from pehra.demo.scenarios.script import Scenario, Told
from pehra.demo.scenarios.stage import SIZE
from pehra.demo.scenarios.witness import sights

BEGAN_UTC_S: Final = 1_792_915_200.0
"""A script's second 0 by the wall clock: 2026-10-25 08:00 UTC; schedules and stamps count from it."""

_ALL: Final = 1_000_000
_DEVICE: Final = "scenario-01"
HEAD: Final = f"""
[device]
id = "{_DEVICE}"
[mqtt]
host = "127.0.0.1"
[[camera]]
id = "cam0"
source = "street"
"""
"""The rest of a device's configuration; a scenario's rules follow."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one scenario came to.

    Attributes:
        name: of the scenario.
        seed: of the scenario.
        scores: one for each rule and kind.
        wrong: each event that was missed or false, with its cause, in words.
        frames: shown.
        looked: of these, those that the detector was shown.
        still_share: of the frames with nobody in sight, the share that the motion gate skipped, 0..1.
    """

    name: str
    seed: int
    scores: tuple[Score, ...]
    wrong: tuple[str, ...]
    frames: int
    looked: int
    still_share: float

    @property
    def is_enough(self) -> bool:
        """Whether every rule reached its precision and recall."""
        return all(score.is_enough for score in self.scores)


@dataclass(slots=True)
class _Watched:
    """A detector that remembers the latest that it found, so that causes can be told."""

    detector: Detector
    latest: Detections | None = None

    def detect(self, frame: Frame) -> Detections:
        self.latest = self.detector.detect(frame)
        return self.latest


@dataclass(slots=True)
class Trial:
    """A scenario that has been shown to the device.

    Attributes:
        scenario: which.
        told: what the device told, in order.
        looks: what it saw, frame by frame.
    """

    scenario: Scenario
    told: list[Told] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    def outcome(self) -> Outcome:
        """Judge it."""
        scenario = self.scenario
        seen = sights(scenario.street, scenario.moments[-1])
        pairs = pair(scenario.due, self.told, seen)
        missed = [
            why_missed(real, self.told, self.looks, seen, scenario.roles)
            for i, real in enumerate(scenario.due)
            if i not in pairs
        ]
        false = [
            why_false(event, scenario.due, seen, scenario.roles)
            for j, event in enumerate(self.told)
            if j not in pairs.values()
        ]
        busy = {round(sight.at_s, 1) for actor in seen.values() for sight in actor}
        still = [look for look in self.looks if round(look.at_s, 1) not in busy]
        return Outcome(
            scenario.name,
            scenario.seed,
            tuple(scores(scenario.due, self.told, pairs).values()),
            (*missed, *false),
            len(self.looks),
            sum(look.tracks is not None for look in self.looks),
            sum(look.tracks is None for look in still) / len(still) if still else 0.0,
        )


def show(scenario: Scenario, model: str = "street-2") -> Trial:
    """Show a scenario to a device with this model.

    Raises:
        ModelUnavailable: there is no such model.
        ModelRefused: it is no int8 model.
    """
    config = parse_config(HEAD + scenario.rules, Path(f"{scenario.name}.toml"))
    trial = Trial(scenario)
    with tempfile.TemporaryDirectory(prefix="pehra-scenario-") as folder:
        outbox = Outbox(Path(folder) / "outbox.db")
        detector = _Watched(Detector(load_bundle(model, int8_only=True)))
        eye = make_eye(_DEVICE, config.camera[0], detector, outbox, on_news=lambda: None)
        try:
            for frame, at_s in _frames(scenario):
                detector.latest = None
                trial.told += _alarms(eye, frame, at_s)
                trial.looks.append(Look(at_s, eye.pipeline.step(frame), detector.latest))
            outbox.flush()
            trial.told += _events(outbox)
        finally:
            outbox.close()
    return trial


def _frames(scenario: Scenario) -> Iterator[tuple[Frame, float]]:
    for number, at_s in enumerate(scenario.moments):
        pixels = rgb_to_i420(scenario.render(at_s))
        yield Frame(pixels, "i420", *SIZE, 1000.0 + at_s, BEGAN_UTC_S + at_s, number), at_s


def _alarms(eye: Eye, frame: Frame, at_s: float) -> list[Told]:
    """What the view's health raises or clears; on a device the supervisor makes events of it."""
    changes = eye.view.watch(frame) if eye.view is not None else []
    return [
        Told(change.kind, "alarm-raised" if change.is_raised else "alarm-cleared", at_s) for change in changes
    ]


def _events(outbox: Outbox) -> Iterator[Told]:
    """Every event once: a later message of the same id only amends it."""
    known: set[str] = set()
    for waiting in outbox.after(0, _ALL):
        topic = Topic.parse(waiting.topic)
        message = decode(topic.channel, waiting.payload)
        if isinstance(message, Event) and message.id not in known:
            known.add(message.id)
            yield _told(message)


def _told(event: Event) -> Told:
    seen = event.object
    return Told(
        event.rule,
        event.kind,
        datetime.fromisoformat(event.ts).timestamp() - BEGAN_UTC_S,
        seen.box if seen else None,
        event.direction,
        event.duration_s,
        seen.track if seen else None,
    )
