"""One camera of the device: its capture, its pipeline, its alarms and its live view.

Made from a section of the configuration. An eye whose camera is lost stays and waits; it never stops the
others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from device.firmware.clock import clock_state
from device.firmware.config import CameraSection
from device.firmware.counts import Counts
from device.firmware.duties import make_duties
from device.firmware.heat import HeatHours
from device.firmware.intake import Intake
from device.firmware.masks import Masks
from device.firmware.motion import MotionGate, MotionSettings
from device.firmware.outbox import Outbox
from device.firmware.pipeline import Looker, Pipeline
from device.firmware.remembered import keep_view, told_before, view_before
from device.firmware.reports import counts_key, hours_key
from device.firmware.rules import Duty
from device.firmware.tracker import Tracker
from device.firmware.view_health import SENSOR_FROZEN_S, ViewHealth, ViewSettings
from device.models.labels import CLASSES
from hardware.camera.capture import Capture
from hardware.camera.frame import Frame
from hardware.camera.isolated import opener_of
from hardware.camera.sharing import Order
from ota.messages import CameraInfo, LiveFrame, Occupancy, RuleInfo, Topic, format_ts, new_id
from ota.messages.structs import AlarmKind

LIVE_INTERVAL_S = 0.2
OCCUPANCY_INTERVAL_S = 1.0
MAX_LEASE_S = 30.0
LONGEST_WAIT_S = 4.0
"""A slowed camera looks at least so often, because counts take a longer wait for a gap."""
USELESS_S = 10.0
"""A camera whose frames could not be used for so long is as good as lost."""


@dataclass(slots=True)
class Eye:
    """One camera at work.

    Attributes:
        section: what it was told.
        capture: its frames, newest first.
        intake: what becomes of a frame before anything looks at it.
        pipeline: its road.
        lease_end_s: monotonic time until which somebody looks at the live view.
        view: the health of its view; None where it is switched off.
        told: the alarms that stand as they were told, with their details; `Alarms` keeps it.
        keep: keeps the view's references over a restart.
        zones: its rules that know how many are inside.
        size: width and height of the frames that came, pixels; what was asked for until then.
    """

    section: CameraSection
    capture: Capture
    intake: Intake
    pipeline: Pipeline
    lease_end_s: float = 0.0
    view: ViewHealth | None = None
    told: dict[AlarmKind, str] = field(default_factory=dict)
    keep: Callable[[bytes], None] = lambda state: None
    zones: tuple[Duty, ...] = ()
    size: tuple[int, int] = (0, 0)
    _factor: float = 1.0
    _look_due_s: float = 0.0
    _live_due_s: float = 0.0
    _occupied: dict[str, dict[str, int]] = field(default_factory=dict)
    _occupancy_due_s: float = 0.0

    def look(self) -> tuple[Topic, LiveFrame] | None:
        """Take the newest frame down the road, if there is one.

        Returns:
            A message of the live view when somebody looks and one is due.
        """
        frame = self._take()
        if frame is None:
            return None
        self.size = (frame.width, frame.height)
        self.watch_view(frame)
        tracks = self.pipeline.step(frame)
        now_s = time.monotonic()
        if tracks is None or now_s >= self.lease_end_s or now_s < self._live_due_s:
            return None
        self._live_due_s = now_s + LIVE_INTERVAL_S
        return self.pipeline.live(tracks, frame.utc_s)

    def slow_down(self, factor: float) -> None:
        """Look at this share of the frame rate from now on, 0..1; the frames between are dropped unseen."""
        self._factor = factor
        self._look_due_s = self._look_due_s if factor < 1.0 else 0.0

    @property
    def is_at_full_rate(self) -> bool:
        """Whether nothing slows it down."""
        return self._factor >= 1.0

    def _take(self) -> Frame | None:
        """Take the newest frame, when a slowed camera may look again; one at full rate always may."""
        now_s = time.monotonic()
        if now_s < self._look_due_s:
            return None
        captured = self.capture.newest(0.0)
        frame = captured and self.intake.take(captured, now_s)
        if frame is None:
            self.pipeline.idle(time.time())
        elif self._factor < 1.0:
            # A little before the frame that is wanted next: it is looked at a moment after it came.
            wait_s = min(LONGEST_WAIT_S, 1.0 / (self.section.fps * self._factor))
            self._look_due_s = now_s + wait_s - 0.25 / self.section.fps
        return frame

    def standing(self) -> dict[AlarmKind, str]:
        """Return the alarms that stand now, with their details; for the supervisor."""
        view = self.view.standing if self.view is not None else {}
        standing: dict[AlarmKind, str] = {kind: view[kind] for kind in view}
        error = self.capture.last_error
        if self.capture.state == "lost":
            standing["lost"] = error.reason if error else ""  # the reason alone: a source may hold a password
        elif self.intake.fault and time.monotonic() - self.intake.faulty_since_s >= USELESS_S:
            standing["lost"] = self.intake.fault
        elif "lost" in self.told and not self.pipeline.tallies.frames:
            standing["lost"] = self.told["lost"]  # as before the restart, until it gives a picture
        return standing

    def relearn(self) -> None:
        """Take the view as it is now for the usual one; callable from any thread."""
        if self.view is not None:
            self.view.relearn()

    def watch_view(self, frame: Frame) -> None:
        """Let the view's health look at a frame, and keep what it learnt when that is due."""
        if self.view is None:
            return
        self.view.watch(frame)
        state = self.view.state(frame.mono_s)
        if state is not None:
            self.keep(state)

    def occupancy_news(self) -> list[Occupancy]:
        """Return how many are in each zone whose number has changed, at most once a second.

        Called by the thread that looks, because it reads what the rules keep. A camera that gives no
        picture knows of nobody.
        """
        now_s = time.monotonic()
        if now_s < self._occupancy_due_s:
            return []
        self._occupancy_due_s = now_s + OCCUPANCY_INTERVAL_S
        is_watching = self.capture.state == "ok"
        return self._news_of(
            {zone.name: (zone.occupancy() or {}) if is_watching else {} for zone in self.zones}
        )

    def vacated(self) -> list[Occupancy]:
        """Return the news that nobody is known to be in any zone, for a device that stops."""
        return self._news_of({zone.name: {} for zone in self.zones})

    def forget_occupancy(self) -> None:
        """Let the next news be of every zone, because the broker may have forgotten."""
        self._occupied.clear()

    def _news_of(self, occupied: dict[str, dict[int, int]]) -> list[Occupancy]:
        news, now_s = [], time.time()
        ts, clock = format_ts(now_s), clock_state(now_s)
        for rule, by_class in occupied.items():
            counts = {CLASSES[cls]: number for cls, number in by_class.items()}
            if counts != self._occupied.get(rule):
                self._occupied[rule] = counts
                clock = clock_state(now_s)
                news.append(Occupancy(id=new_id(), ts=ts, clock=clock, rule=rule, counts=counts))
        return news

    def lease(self, lease_s: float) -> None:
        """Send the live view for this long from now, at most `MAX_LEASE_S`."""
        self.lease_end_s = time.monotonic() + min(max(0.0, lease_s), MAX_LEASE_S)

    def info(self) -> CameraInfo:
        """Return what the birth certificate says of this camera; never its address."""
        section = self.section
        rules = [
            RuleInfo(rule.name, "line" if rule.kind == "line" else "zone", rule.points)
            for rule in section.rule
            if rule.points
        ]
        return CameraInfo(section.id, driver_name(section.source), *self.size, rules)


def make_eye(
    device: str,
    section: CameraSection,
    detector: Looker,
    outbox: Outbox,
    *,
    on_news: Callable[[], None],
    timezone: str = "UTC",
) -> Eye:
    """Build one camera's parts; nothing is opened until `capture.start`. Schedules are in `timezone`."""
    motion = section.motion
    duties = make_duties(section.rule, timezone)
    pipeline = Pipeline(
        device,
        section.id,
        gate=MotionGate(MotionSettings(motion.enabled, hold_s=motion.hold_s, max_skip_s=motion.max_skip_s)),
        detector=detector,
        tracker=Tracker(),
        rules=duties,
        counts=Counts(
            tuple(rule.name for rule in section.rule if rule.kind != "heat"),
            outbox.load(counts_key(section.id)),
        ),
        hours=HeatHours(
            tuple(rule.name for rule in section.rule if rule.kind == "heat"),
            outbox.load(hours_key(section.id)),
        ),
        outbox=outbox,
    )
    capture = Capture(
        opener_of(_order(section), own_process=section.process),
        every_frame=section.every_frame,
        on_news=on_news,
    )
    zones = tuple(duty for duty in duties if duty.occupancy() is not None)
    intake = Intake(section.id, Masks([mask.points for mask in section.mask]))
    told = told_before(section.id, outbox)
    return Eye(
        section,
        capture,
        intake,
        pipeline,
        view=make_view(section, outbox, told) if section.view.enabled else None,
        told=told,
        keep=lambda state: keep_view(section, state, outbox),
        zones=zones,
        size=(section.width, section.height),
    )


def make_view(section: CameraSection, outbox: Outbox, told: dict[AlarmKind, str]) -> ViewHealth:
    """Build the health of a camera's view, with what it had learnt of this source before."""
    view = section.view
    has_sensor = driver_name(section.source) not in {"street", "file"}
    settings = ViewSettings(
        hold_s=view.hold_s,
        clear_s=view.clear_s,
        dark_pct=view.dark_pct,
        bright_pct=view.bright_pct,
        sharp_pct=view.sharp_pct,
        moved_pct=view.moved_pct,
        frozen_s=view.frozen_s if view.frozen_s is not None else SENSOR_FROZEN_S if has_sensor else 0.0,
    )
    return ViewHealth(settings, [mask.points for mask in section.mask], view_before(section, outbox), told)


def _order(section: CameraSection) -> Order:
    return Order(
        section.source,
        section.width,
        section.height,
        section.fps,
        every_frame=section.every_frame,
        loop=section.loop,
    )


def driver_name(source: str) -> str:
    """Return the kind of a source, as one word, without address or password."""
    word = source.partition(":")[0].lower()
    if source.startswith("/dev/video"):
        return "webcam"
    if "://" in source or word in {"street", "webcam", "picamera2", "jetson"}:
        return word
    return "file"
