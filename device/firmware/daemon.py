"""The daemon: the parts of a device in one table, how they start, and how they stop.

Threads: one capture a camera (the driver of a real one runs in a process), one that looks, one outbox writer,
one that speaks of the device's state, the link's two; the caller's thread supervises them. They start in the
table's order and stop the other way round, down the road, so nothing that was seen is lost.
"""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from device.errors import ConfigError, PehraDeviceError, StateUnavailable
from device.firmware.claim_file import CERTIFICATE, IDENTITY
from device.firmware.config import Config
from device.firmware.eye import Eye, make_eye
from device.firmware.fleet_word import FleetWord
from device.firmware.health import Pace
from device.firmware.link import Link
from device.firmware.link_client import LinkSettings
from device.firmware.looking import Looking
from device.firmware.outbox import Outbox, OutboxSettings
from device.firmware.parts import NO_LIMIT_S, Part, Situation, always, unless_safe
from device.firmware.remembered import forget_other_views
from device.firmware.remote import LogRing, Remote
from device.firmware.renewal import Renewal
from device.firmware.service import Service
from device.firmware.steward import Steward
from device.firmware.summary import SUMMARY_FILE, Summary, Watch, write_summary
from device.firmware.supervisor import Supervisor
from device.firmware.updater import Surroundings, make_detector, make_sight, make_updater
from device.firmware.updating.beginning import begin
from device.firmware.updating.engine import Updater
from device.firmware.updating.firmware_builder import FirmwareBuilder
from device.firmware.updating.model_slots import Chosen, ModelSlots
from device.firmware.voice import Voice, total
from device.firmware.watcher import Watcher
from device.firmware.worker import Worker
from ota.messages import Channel, ModelInfo

_log = logging.getLogger(__name__)

CHECK_S = 0.2
BEAT_LIMIT_S = 60.0
CAPTURES_STOP_S = 5.0
DRAIN_S = 8.0
APPLY_S = 1.0
"""To drain before another configuration is begun: what waits is kept, and the street should not wait."""
RESTARTS = 3


class Daemon:
    """One device from its configuration.

    Args:
        config: checked.
        service: the service manager that waits to hear of it.
        remote: what the fleet has said to this device; None where nobody is to say anything.
        logs: the last lines of the log, for the command that asks for them.
        safe_reason: why it starts in safe mode: without cameras and detector; empty: it starts normally.
        config_file: that a new firmware must understand, too; None leaves that out of its check.

    Raises:
        ConfigError: the TLS files cannot be used.
        ModelUnavailable: the model cannot be found or read.
        ModelRefused: it is not an int8 model.
        StateUnavailable: the state folder cannot be written, or another Pehra uses it.
    """

    def __init__(
        self,
        config: Config,
        service: Service | None = None,
        *,
        remote: Remote | None = None,
        logs: LogRing | None = None,
        safe_reason: str = "",
        config_file: Path | None = None,
    ) -> None:
        self._config = config
        self._config_file = config_file
        self._safe_reason = safe_reason
        self._service = service or Service()
        self._state = Path(config.device.state)
        self._lock = _lock_state(self._state)
        self._slots = ModelSlots(self._state, config.model.name)
        self._detector: Looking | None = None
        chosen: Chosen | None = None
        try:
            if not safe_reason:
                chosen = begin(self._state, self._slots, lambda bundle: make_detector(config, bundle))
                self._detector = Looking(chosen.detector)
        except PehraDeviceError:
            self._lock.close()
            raise
        model = _NO_MODEL if self._detector is None else self._detector.info
        settings = OutboxSettings(max_bytes=int(config.outbox.max_mb * 1_000_000))
        self._outbox = Outbox(self._state / "outbox.db", settings)
        if self._detector is not None:  # in safe mode the cameras may be unknown
            forget_other_views(config.camera, self._outbox)
        self._news = threading.Event()
        self._eyes = [
            make_eye(
                config.device.id,
                section,
                self._detector,
                self._outbox,
                on_news=self._news.set,
                timezone=config.device.timezone,
            )
            for section in config.camera
            if self._detector is not None
        ]
        self._pace = Pace()
        self._word = FleetWord(self._state)
        self._voice = Voice(
            config,
            model,
            self._eyes,
            self._outbox,
            self._pace,
            safe_reason=safe_reason,
            fleet_says=lambda: self._word.words,
        )
        self._steward = Steward(config, model, self._eyes, self._outbox, remote=remote, logs=logs)
        try:
            self._link = Link(
                config.device.id,
                _link_settings(config),
                self._outbox,
                on_birth=self._say_birth,
                on_command=self._steward.obey,
                on_desired=self._steward.hear,
            )
        except ConfigError:
            self._outbox.close()
            self._lock.close()
            raise
        self._voice.link = self._steward.link = self._link
        self._updater = self._make_updater(chosen)
        self._steward.complaints = self._updater.complaints
        if remote is not None:
            remote.on_document = self._updater.hear
        self._supervisor = Supervisor(self._parts(), Situation(is_safe=bool(safe_reason)))
        self._lives_on = False
        self._started_s = time.monotonic()

    def _make_updater(self, chosen: Chosen | None) -> Updater:
        """The updater, and what is told of a model that was switched to."""
        sight = None
        if self._detector is not None and chosen is not None:
            sight = make_sight(self._config, self._eyes, self._detector, chosen.slot, self._outbox)
            self._detector.on_change = self._look_with
        around = Surroundings(
            say=self._link.say,
            is_linked=lambda: self._link.is_connected,
            restart=lambda kind: self._steward.end("restart" if kind == "firmware" else "configuration"),
            safe_reason=self._safe_reason,
        )
        builder = FirmwareBuilder(self._config_file)
        updater = make_updater(self._config, self._slots, sight, around, builder)
        if chosen is not None and chosen.complaint:
            updater.complain("slots/model", chosen.complaint)
        return updater

    def _look_with(self, model: ModelInfo) -> None:
        """Say at once which model looks now."""
        self._voice.model = self._steward.model = model
        self._voice.say_info()
        self._steward.report()

    def _parts(self) -> list[Part]:
        outbox, voice, link = self._outbox, self._voice, self._link
        writing = Worker("outbox", outbox.run, wake=outbox.wake)
        parts = [
            Part("outbox", writing, always, BEAT_LIMIT_S, RESTARTS),
            Part("link", _Linked(link, outbox, self._steward), always, BEAT_LIMIT_S),
            Part("voice", Worker("voice", voice.supervise), always, BEAT_LIMIT_S, RESTARTS),
            Part("steward", Worker("steward", self._steward.run), always, BEAT_LIMIT_S, RESTARTS),
            *self._renewing(),
            *(Part(eye.section.id, _Captured(eye), unless_safe, NO_LIMIT_S, RESTARTS) for eye in self._eyes),
        ]
        if self._detector is not None:
            watcher = Watcher(self._eyes, self._detector, self._pace, voice, link, self._news)
            watching = Worker("watch", watcher.run, wake=self._news.set)
            parts.append(Part("watch", watching, unless_safe, BEAT_LIMIT_S, RESTARTS))
        updating = Worker("updater", self._updater.run, wake=self._updater.wake)
        parts.append(Part("updater", updating, always, NO_LIMIT_S, RESTARTS))
        return parts

    def _renewing(self) -> list[Part]:
        """The part that keeps the certificate young, where the link goes by the board's own identity."""
        own = self._state / IDENTITY / CERTIFICATE
        if self._config.mqtt.cert != str(own):
            return []
        renewal = Renewal(
            self._state,
            lambda: self.is_linked,
            lambda: self._steward.end("configuration"),
            is_turned_away=lambda: self._link.is_turned_away,
            word=self._word,
        )
        return [Part("renewal", Worker("renewal", renewal.run), always, NO_LIMIT_S, RESTARTS)]

    @property
    def is_linked(self) -> bool:
        """Whether the broker has taken the device in."""
        return self._link.is_connected

    def run(
        self,
        stop: threading.Event,
        *,
        each_round: Callable[[], bool] = lambda: False,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> Summary:
        """Watch until `stop` is set; return what was done.

        Args:
            stop: ends it.
            each_round: called several times a second; true ends it too, and the process will live on.
            on_stopping: called when the parts are about to be stopped, for whatever reason.

        Raises:
            PartDied: a part ended or hung and could not be helped; all others were stopped in order.
        """
        # Never set; `stop` is not waited for, because a signal's handler sets it and must find it unlocked.
        pause = threading.Event()
        with ExitStack() as road:
            road.callback(self._end)
            road.callback(self._supervisor.stop)
            road.callback(self._say_stopping)
            road.callback(on_stopping)
            self._supervisor.check()
            self._service.ready()
            _log.info("device up id=%s cameras=%d", self._config.device.id, len(self._eyes))
            while not (stop.is_set() or self.ending or self._lives_on):
                self._supervisor.check()
                self._service.alive(self._in_short())
                pause.wait(CHECK_S)
                self._lives_on = each_round()
        self._updater.end_in_order(is_process_over=not self._goes_on)
        return self._summary()

    def _in_short(self) -> str:
        state, reason = self._voice.standing()
        link = "up" if self._link.is_connected else "down"
        return f"{state}, {len(self._eyes)} camera(s), link {link}" + (f"; {reason}" if reason else "")

    @property
    def ending(self) -> str:
        """Why it ended by itself, in order: another `configuration` holds, or a `restart` was asked for."""
        return self._steward.ending

    def _say_stopping(self) -> None:
        if not self._goes_on:  # systemd takes the word for the process
            self._service.stopping()

    @property
    def _goes_on(self) -> bool:
        """Whether the process lives on, with another daemon."""
        return self._lives_on or self.ending == "configuration"

    def _end(self) -> None:
        """Close what is left, when all threads have ended."""
        self._outbox.flush()
        waiting, fault = self._outbox.unwritten, self._outbox.fault
        if fault:
            _log.error("the disk refused to the end error=%r lost_in_memory=%d", fault, waiting)
        self._outbox.close()
        try:
            write_summary(self._state / SUMMARY_FILE, self._summary())
        except OSError as error:
            _log.warning("no summary was written error=%r", str(error))
        self._lock.close()
        _log.info("device stopped id=%s waiting=%d", self._config.device.id, self._outbox.depth)

    def _say_birth(self) -> None:
        self._voice.say_birth()
        self._steward.report()
        self._updater.say_again()

    def _summary(self) -> Summary:
        events, counts = self._outbox.tally(Channel.EVENT), self._outbox.tally(Channel.COUNT)
        return Summary(
            frames=total(self._eyes, "frames"),
            inferences=total(self._eyes, "inferences"),
            skipped=total(self._eyes, "skipped"),
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
            watches=tuple(watch for watch in map(_watch_of, self._eyes) if watch is not None),
        )


@dataclass(frozen=True, slots=True)
class _Linked:
    """The link as a part: it says goodbye when the fleet has everything, or has had its time."""

    link: Link
    outbox: Outbox
    steward: Steward
    last_error: str = ""

    @property
    def is_alive(self) -> bool:
        return self.link.is_alive

    @property
    def beat_s(self) -> float:
        return self.link.beat_s

    def start(self) -> None:
        self.link.start()

    def stop(self) -> None:
        if not self.link.drain(APPLY_S if self.steward.ending == "configuration" else DRAIN_S):
            _log.warning("not everything was acknowledged waiting=%d", self.outbox.depth)
        self.link.stop()


@dataclass(frozen=True, slots=True)
class _Captured:
    """A camera's capture as a part; its camera may be lost, which is an alarm and not its death."""

    eye: Eye
    beat_s: float = NO_LIMIT_S
    last_error: str = ""

    @property
    def is_alive(self) -> bool:
        return self.eye.capture.is_alive

    def start(self) -> None:
        self.eye.capture.start()

    def stop(self) -> None:
        self.eye.capture.stop(CAPTURES_STOP_S)


def _watch_of(eye: Eye) -> Watch | None:
    tallies = eye.pipeline.tallies
    return tallies.first and Watch(eye.section.id, *tallies.first, tallies.last_s)


_NO_MODEL: Final = ModelInfo("none", "safe mode", "0" * 64)
"""What the birth certificate says in safe mode."""


def _lock_state(folder: Path) -> BinaryIO:
    """Keep the state folder to ourselves: two programs on one outbox would lose messages."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("ab")
    except OSError as error:
        reason = f"the state folder cannot be written ({error.strerror}); check [device] state"
        raise StateUnavailable(folder, reason) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        reason = "another Pehra runs with this state folder; stop it, or give this one its own"
        raise StateUnavailable(folder, reason) from error
    return lock


def _link_settings(config: Config) -> LinkSettings:
    mqtt = config.mqtt
    ca, cert, key = (Path(file) if file else None for file in (mqtt.ca, mqtt.cert, mqtt.key))
    return LinkSettings(
        mqtt.host,
        mqtt.port,
        mqtt.username,
        mqtt.password,
        ca,
        cert,
        key,
        mqtt.keepalive_s,
        mqtt.resend_s,
        replay_per_s=config.outbox.replay_per_s,
    )
