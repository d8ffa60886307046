"""The daemon: the parts of a device, how they start, what is said of them, and how they stop.

Threads: one capture a camera, one outbox writer, one supervisor (health, alarms), the link's two; the
caller's thread looks at frames. Stopping goes down the road in its order, so nothing that was seen is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from device.firmware.config import Config
from device.firmware.eye import Eye, make_eye
from device.firmware.health import Pace, health_message
from device.firmware.link import Link, LinkSettings
from device.firmware.outbox import Outbox
from device.firmware.summary import SUMMARY_FILE, Summary, write_summary
from device.models.bundle import load_bundle
from device.models.detector import Detector
from hardware.board import board_name
from ota.messages import Alarm, Channel, Command, Event, Info, ModelInfo, Topic, format_ts, new_id
from ota.messages.structs import Severity

_log = logging.getLogger(__name__)

SUPERVISE_S = 0.5
STATUS_REPEAT_S = 60.0
DRAIN_S = 8.0


@dataclass(slots=True)
class _Due:
    """When the supervisor speaks next, and of what it spoke last."""

    health_s: float = 0.0
    status_s: float = 0.0
    said: object = None


class Daemon:
    """One device from its configuration.

    Raises:
        ModelUnavailable: the model cannot be found or read.
        ModelRefused: it is not an int8 model.
        DiskFull: the state folder cannot be written.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._id = config.device.id
        self._state = Path(config.device.state)
        bundle = load_bundle(config.model.name, int8_only=True)
        self._model = ModelInfo(
            bundle.card.name,
            bundle.card.version,
            bundle.sha256,
            [label for label in bundle.card.labels if label],
        )
        self._detector = Detector(bundle, conf=config.model.conf, threads=config.model.threads)
        self._outbox = Outbox(self._state / "outbox.db")
        self._link = Link(
            self._id, _link_settings(config), self._outbox, on_birth=self._say_birth, on_command=self._obey
        )
        self._eyes = [make_eye(self._id, section, self._detector, self._outbox) for section in config.camera]
        self._pace = Pace()
        self._started_s = time.monotonic()

    def run(self, stop: threading.Event) -> Summary:
        """Watch until `stop` is set; return what was done."""
        writing, supervising = threading.Event(), threading.Event()
        writer = threading.Thread(target=self._outbox.run, args=(writing,), name="outbox")
        supervisor = threading.Thread(target=self._supervise, args=(supervising,), name="supervisor")
        writer.start()
        self._link.start()
        for eye in self._eyes:
            eye.capture.start()
        supervisor.start()
        _log.info("device up id=%s model=%s cameras=%d", self._id, self._model.name, len(self._eyes))
        try:
            self._watch(stop)
        finally:
            for eye in self._eyes:
                eye.capture.stop()
                eye.pipeline.finish(time.time())
            supervising.set()
            supervisor.join()
            is_drained = self._link.drain(DRAIN_S)
            self._link.stop()
            writing.set()
            self._outbox.wake()
            writer.join()
            summary = self._summary()
            self._outbox.close()
            write_summary(self._state / SUMMARY_FILE, summary)
        _log.info("device stopped id=%s drained=%s waiting=%d", self._id, is_drained, summary.outbox_left)
        return summary

    def _watch(self, stop: threading.Event) -> None:
        """Look at the newest frame of each camera in turn."""
        patience_s = 0.2 / len(self._eyes)
        while not stop.is_set():
            for eye in self._eyes:
                before = eye.pipeline.tallies.inferences
                live = eye.look(patience_s)
                if eye.pipeline.tallies.inferences != before:
                    self._pace.note_inference(self._detector.last_invoke_ms)
                if live is not None:
                    self._link.say(*live)
                for news in eye.occupancy_news():
                    self._link.say(Topic(self._id, Channel.OCCUPANCY, eye.section.id, news.rule), news)
            if all(eye.capture.state == "ended" for eye in self._eyes):
                stop.wait(SUPERVISE_S)

    def _supervise(self, stop: threading.Event) -> None:
        """Say how the device is: at intervals, and when a camera or the disk changes its state."""
        due = _Due()
        while not stop.wait(SUPERVISE_S):
            try:
                self._supervise_once(due)
            except Exception:  # noqa: BLE001 (whatever failed, the next round must still be told)
                _log.exception("supervisor: one round failed")

    def _supervise_once(self, due: _Due) -> None:
        for eye in self._eyes:
            self._watch_over(eye)
        now_s = time.monotonic()
        state = (tuple(eye.capture.state for eye in self._eyes), bool(self._outbox.fault))
        has_changed, due.said = state != due.said, state
        if has_changed or now_s >= due.health_s:
            due.health_s = now_s + self._config.health_s
            self._say_health()
        if has_changed or now_s >= due.status_s:
            due.status_s = now_s + STATUS_REPEAT_S
            self._say_status()

    def _watch_over(self, eye: Eye) -> None:
        """Raise or clear the alarm of a lost camera; both leave a durable trace."""
        is_lost = eye.capture.state == "lost"
        if is_lost == eye.is_alarmed:
            return
        eye.is_alarmed = is_lost
        kind = "alarm-raised" if is_lost else "alarm-cleared"
        self._say_alarm(eye)
        topic = Topic(self._id, Channel.EVENT, eye.section.id, kind)
        self._outbox.add(topic, _alarm_event(eye.section.id, kind, "high" if is_lost else "low"))

    def _say_birth(self) -> None:
        """Everything that is retained, after each connection."""
        info = Info(
            id=new_id(),
            ts=format_ts(time.time()),
            firmware=version("pehra"),
            board=board_name(),
            model=self._model,
            cameras=[eye.info() for eye in self._eyes],
            site=self._config.device.site,
            timezone=self._config.device.timezone,
            config_sha256=self._config.sha256(),
        )
        self._link.say(Topic(self._id, Channel.INFO), info)
        self._say_status()
        self._say_health()
        for eye in self._eyes:
            self._say_alarm(eye)

    def _say_status(self) -> None:
        lost = [eye.section.id for eye in self._eyes if eye.capture.state == "lost"]
        reasons = [f"camera lost: {', '.join(lost)}"] if lost else []
        if self._outbox.fault:
            reasons.append(f"disk refuses the outbox: {self._outbox.fault}")
        self._link.say_status("degraded" if reasons else "online", "; ".join(reasons)[:200])

    def _say_health(self) -> None:
        now_s = time.monotonic()
        self._pace.measure(self._total("frames"), self._total("skipped"), now_s)
        message = health_message(
            state=self._state,
            utc_s=time.time(),
            uptime_s=now_s - self._started_s,
            pace=self._pace,
            outbox_depth=self._outbox.depth,
            frames_dropped=sum(eye.capture.frames_dropped for eye in self._eyes),
            cameras={eye.section.id: eye.capture.state for eye in self._eyes},
        )
        self._link.say(Topic(self._id, Channel.HEALTH), message)

    def _say_alarm(self, eye: Eye) -> None:
        topic = Topic(self._id, Channel.ALARM, eye.section.id, "lost")
        if not eye.is_alarmed:
            self._link.clear(topic)
            return
        error = eye.capture.last_error
        detail = error.reason[:200] if error else ""  # the reason alone: a source may hold a password
        self._link.say(topic, Alarm(id=new_id(), ts=format_ts(time.time()), kind="lost", detail=detail))

    def _obey(self, name: str, command: Command) -> str:
        if name != "live":
            return f"this firmware has no command {name!r}"
        eye = next((eye for eye in self._eyes if eye.section.id == command.args.get("cam")), None)
        lease_s = command.args.get("lease_s")
        if eye is None or not isinstance(lease_s, int | float):
            return "live needs args cam (one of this device's cameras) and lease_s (seconds)"
        eye.lease(float(lease_s))
        return ""

    def _total(self, tally: str) -> int:
        return sum(int(getattr(eye.pipeline.tallies, tally)) for eye in self._eyes)

    def _summary(self) -> Summary:
        events, counts = self._outbox.tally(Channel.EVENT), self._outbox.tally(Channel.COUNT)
        return Summary(
            frames=self._total("frames"),
            inferences=self._total("inferences"),
            skipped=self._total("skipped"),
            dropped=sum(eye.capture.frames_dropped for eye in self._eyes),
            tracks=sum(eye.pipeline.tracks_total for eye in self._eyes),
            events_made=events.made,
            events_acked=events.acked,
            events_dropped=events.dropped,
            counts_made=counts.made,
            counts_acked=counts.acked,
            outbox_left=self._outbox.depth,
            bytes_sent=self._link.bytes_sent,
            uptime_s=round(time.monotonic() - self._started_s, 3),
            cameras=len(self._eyes),
            invoke_ms_p50=self._pace.invoke_ms(50),
            invoke_ms_p95=self._pace.invoke_ms(95),
        )


def _alarm_event(camera: str, kind: str, sev: Severity) -> Callable[[int], Event]:
    ts = format_ts(time.time())
    return lambda seq: Event(id=new_id(), ts=ts, seq=seq, cam=camera, kind=kind, rule="lost", sev=sev)


def _link_settings(config: Config) -> LinkSettings:
    mqtt = config.mqtt
    ca, cert, key = (Path(file) if file else None for file in (mqtt.ca, mqtt.cert, mqtt.key))
    return LinkSettings(
        mqtt.host, mqtt.port, mqtt.username, mqtt.password, ca, cert, key, mqtt.keepalive_s, mqtt.resend_s
    )
