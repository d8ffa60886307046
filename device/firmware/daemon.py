"""The daemon: the parts of a device, how they start, and how they stop.

Threads: one capture a camera, one outbox writer, one supervisor (health, alarms, the parts), the link's
two; the caller's thread looks at frames. Stopping goes down the road in its order, so nothing that was
seen is lost; a part that ends by itself ends the daemon, and the service manager starts it anew.
"""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from device.errors import PartDied, StateUnavailable
from device.firmware.config import Config
from device.firmware.eye import Eye, make_eye
from device.firmware.health import Pace
from device.firmware.link import Link, LinkSettings
from device.firmware.outbox import Outbox
from device.firmware.summary import SUMMARY_FILE, Summary, Watch, write_summary
from device.firmware.voice import Voice, total
from device.models.bundle import Bundle, load_bundle
from device.models.detector import Detector
from device.models.labels import CLASSES, classes_of
from ota.messages import Channel, Command, ModelInfo

_log = logging.getLogger(__name__)

LOOK_S = 0.2
CAPTURES_STOP_S = 5.0
DRAIN_S = 8.0


class Daemon:
    """One device from its configuration.

    Raises:
        ConfigError: the TLS files cannot be used.
        ModelUnavailable: the model cannot be found or read.
        ModelRefused: it is not an int8 model.
        StateUnavailable: the state folder cannot be written, or another Pehra uses it.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._state = Path(config.device.state)
        bundle = load_bundle(config.model.name, int8_only=True)
        self._detector = Detector(bundle, conf=config.model.conf, threads=config.model.threads)
        self._lock = _lock_state(self._state)
        self._outbox = Outbox(self._state / "outbox.db")
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
        ]
        self._pace = Pace()
        self._voice = Voice(config, _model_info(bundle), self._eyes, self._outbox, self._pace)
        self._link = Link(
            config.device.id,
            _link_settings(config),
            self._outbox,
            on_birth=self._voice.say_birth,
            on_command=self._obey,
        )
        self._voice.link = self._link
        self._writer_stop = threading.Event()
        self._writer = threading.Thread(target=self._outbox.run, args=(self._writer_stop,), name="outbox")
        self._dead_part = ""
        self._started_s = time.monotonic()

    def run(self, stop: threading.Event) -> Summary:
        """Watch until `stop` is set; return what was done.

        Raises:
            PartDied: a part ended by itself; all others were stopped in order.
        """
        with ExitStack() as parts:
            parts.callback(self._end)
            parts.enter_context(self._writing())
            parts.enter_context(self._linked())
            parts.enter_context(self._supervised())
            parts.enter_context(self._watching())
            _log.info("device up id=%s cameras=%d", self._config.device.id, len(self._eyes))
            self._watch(stop)
        if self._dead_part:
            raise PartDied(self._dead_part)
        return self._summary()

    def _watch(self, stop: threading.Event) -> None:
        """Look at the newest frame of each camera in turn."""
        while not stop.is_set() and not self._dead_part:
            self._news.wait(LOOK_S)
            self._news.clear()
            for eye in self._eyes:
                self._look(eye)

    def _look(self, eye: Eye) -> None:
        before, size = eye.pipeline.tallies.inferences, eye.size
        live = eye.look()
        if eye.pipeline.tallies.inferences != before:
            self._pace.note_inference(self._detector.last_invoke_ms)
        if eye.size != size:
            self._voice.say_info()
        if live is not None:
            self._link.say(*live)
        self._voice.say_occupancy(eye, eye.occupancy_news())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._writer.start()
        try:
            yield
        finally:
            self._writer_stop.set()
            self._outbox.wake()
            self._writer.join()

    @contextmanager
    def _linked(self) -> Iterator[None]:
        self._link.start()
        try:
            yield
        finally:
            if not self._link.drain(DRAIN_S):
                _log.warning("not everything was acknowledged waiting=%d", self._outbox.depth)
            self._link.stop()

    @contextmanager
    def _supervised(self) -> Iterator[None]:
        stop = threading.Event()
        supervisor = threading.Thread(
            target=self._voice.supervise, args=(stop, self._check_parts), name="supervisor"
        )
        supervisor.start()
        try:
            yield
        finally:
            stop.set()
            supervisor.join()

    @contextmanager
    def _watching(self) -> Iterator[None]:
        for eye in self._eyes:
            eye.capture.start()
        try:
            yield
        finally:
            for eye in self._eyes:
                eye.capture.ask_to_stop()
                eye.pipeline.finish()
                self._voice.say_occupancy(eye, eye.vacated())
            deadline_s = time.monotonic() + CAPTURES_STOP_S
            for eye in self._eyes:
                eye.capture.stop(deadline_s - time.monotonic())

    def _check_parts(self) -> None:
        dead = [
            name
            for name, is_alive in (("outbox", self._writer.is_alive()), ("link", self._link.is_alive))
            if not is_alive
        ]
        if dead and not self._dead_part:
            _log.error("part ended by itself part=%s the device stops, to be started again", dead[0])
            self._dead_part = dead[0]
            self._news.set()

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

    def _obey(self, name: str, command: Command) -> str:
        if name != "live":
            return f"this firmware has no command {name!r}"[:200]
        eye = next((eye for eye in self._eyes if eye.section.id == command.args.get("cam")), None)
        lease_s = command.args.get("lease_s")
        if eye is None or not isinstance(lease_s, int | float) or not 0 <= lease_s <= 3600:
            return "live needs args cam (one of this device's cameras) and lease_s (0 to 3600 seconds)"
        eye.lease(float(lease_s))
        return ""

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


def _watch_of(eye: Eye) -> Watch | None:
    tallies = eye.pipeline.tallies
    return tallies.first and Watch(eye.section.id, *tallies.first, tallies.last_s)


def _model_info(bundle: Bundle) -> ModelInfo:
    known = sorted({int(cls) for cls in classes_of(bundle.card.labels) if cls >= 0})
    return ModelInfo(
        bundle.card.name[:200], bundle.card.version[:200], bundle.sha256, [CLASSES[cls] for cls in known]
    )


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
        mqtt.host, mqtt.port, mqtt.username, mqtt.password, ca, cert, key, mqtt.keepalive_s, mqtt.resend_s
    )
