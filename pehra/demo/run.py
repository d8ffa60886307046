"""Runs the demo, top to bottom: broker, fleet manager, cameras; wait; stop in the order of the road.

Cameras stop first, so that their last messages are stored and acknowledged; then the fleet manager; then
the broker.
"""

from __future__ import annotations

import json
import secrets
import signal
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from device.firmware.claim_file import is_enrolled, keep_ticket
from device.firmware.summary import SUMMARY_FILE
from fleet.broker.run import find_mosquitto
from hardware.camera.street_camera import StreetCamera
from pehra.demo.plan import (
    POLL_S,
    SIZE,
    STREET_FPS,
    STREET_LINE,
    STREET_LINE_POINTS,
    CannotStart,
    DemoOptions,
    camera_config,
    device_id,
    head_to_enrol,
    head_with_password,
    site_of,
    street_source,
)
from pehra.demo.processes import Child, answers, free_port, start
from pehra.demo.report import Arrivals, Report, make_report, model_of
from pehra.demo.secure import SecureFleet, found
from pehra.demo.truth import TOLERANCE_S, Agreement, Crossing, Witness, agreement

STOP_S: Final = 20.0
ENDED_WELL: Final = (0, -signal.SIGTERM)
"""A child that was told to stop before it listens for that ends by the signal itself."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What can be said while the demo runs."""

    elapsed_s: float
    online: int
    cameras: int
    events: int


@dataclass(slots=True)
class _House:
    """The running processes.

    Attributes:
        ticket_s: monotonic time at which a camera got its ticket.
        online_s: monotonic time at which it was first seen online.
    """

    folder: Path
    options: DemoOptions
    secure: SecureFleet | None = None
    broker: Child | None = None
    fleet: Child | None = None
    cameras: list[Child] = field(default_factory=list)
    ticket_s: dict[str, float] = field(default_factory=dict)
    online_s: dict[str, float] = field(default_factory=dict)

    def all(self) -> list[Child]:
        return [child for child in (self.broker, self.fleet, *self.cameras) if child is not None]

    def fallen(self) -> list[str]:
        return [
            f"{child.name} ended by itself with code {child.process.returncode}:\n{child.last_words()}"
            for child in self.all()
            if not child.is_running
        ]

    def ask(self, path: str) -> dict[str, Any]:
        """Return what the fleet's API answers; nothing when it does not."""
        request, context = urllib.request.Request(f"{self.options.url}/api/v1/{path}"), None  # noqa: S310
        if self.secure is not None:
            request.add_header("Authorization", f"Bearer {self.secure.token}")
            context = self.secure.context()
        try:
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
                said: dict[str, Any] = json.load(answer)
                return said
        except (urllib.error.URLError, OSError, ValueError):
            return {}

    def count_online(self) -> int:
        """Return how many cameras are online, and remember since when each is."""
        known = self.ask("devices?limit=100").get("items", [])
        now_s, online = time.monotonic(), [one["id"] for one in known if one["is_online"]]
        for device in online:
            self.online_s.setdefault(device, now_s)
        return len(online)

    def arrivals(self) -> Arrivals | None:
        """Return how the cameras came in; None where nobody had to."""
        if self.secure is None:
            return None
        came = [self.online_s[name] - at_s for name, at_s in self.ticket_s.items() if name in self.online_s]
        enrolled = [name for name in self.ticket_s if is_enrolled(self.folder / name)]
        broker = "Mosquitto" if find_mosquitto() else "embedded"
        return Arrivals(broker, len(enrolled), round(max(came), 1) if came else None)

    def crossings_told(self, device: str) -> list[Crossing] | None:
        """Return what the fleet stored of a device's street line, in Unix seconds; None without an answer."""
        told: list[Crossing] = []
        wanted = {"device": device, "rule": STREET_LINE, "kind": "line-cross", "limit": "500"}
        while True:
            page = self.ask(f"events?{urllib.parse.urlencode(wanted)}")
            if "items" not in page:
                return None
            told += [_crossing(event) for event in page["items"]]
            if not page["next_cursor"]:
                return told
            wanted["cursor"] = page["next_cursor"]


@dataclass(frozen=True, slots=True)
class _Way:
    """How fleet manager and cameras are let in.

    Attributes:
        fleet: arguments of `pehra fleet run`.
        environment: its variables.
        head: the sections of a camera's configuration that say who it is; called when the fleet is up.
    """

    fleet: list[str]
    environment: dict[str, str]
    head: Callable[[int], str]


def run_demo(
    options: DemoOptions,
    stop: threading.Event,
    *,
    on_ready: Callable[[str, str], None],
    on_progress: Callable[[Progress], None],
) -> Report:
    """Run until the duration is over or `stop` is set; what is not started by then does not start.

    Args:
        options: checked by `plan.check`.
        stop: ends the demo early.
        on_ready: called with the console's address once it answers, and the password of its people, which
            is empty where nobody has to log in.
        on_progress: called about once a second.

    Raises:
        CannotStart: a part did not come up; its last words are in the error.
    """
    with (
        tempfile.TemporaryDirectory(prefix="pehra-demo-") as name,
        _ending(_House(Path(name), options)) as house,
    ):
        _start_all(house, options, stop)
        witnesses, trouble = _witnesses(options), []
        if not stop.is_set():
            on_ready(options.url, house.secure.password if house.secure else "")
            trouble = _watch(house, options, witnesses, stop, on_progress)
        return _stop_all(house, witnesses, trouble)


def _start_all(house: _House, options: DemoOptions, stop: threading.Event) -> None:
    """Start part after part, each when the one before answers."""
    if stop.is_set():
        return
    broker_port = free_port()
    way = (_begin_secure if options.is_secure else _begin_open)(house, broker_port)
    _wait_until(lambda: answers(broker_port), house, "the broker", options, stop)
    if stop.is_set():
        return
    house.fleet = start("fleet", ["pehra", "fleet", "run", *way.fleet], house.folder, way.environment)
    _wait_until(lambda: _is_hearing(house), house, "the fleet manager", options, stop)
    for number, device in enumerate(_devices(options), 1):
        if stop.is_set():
            return
        text = camera_config(options, number, way.head(number))
        config = _private_file(house.folder / f"{device}.toml", text)
        house.cameras.append(start(device, ["pehra", "device", "run", "--config", str(config)], house.folder))


def _devices(options: DemoOptions) -> list[str]:
    return [device_id(number) for number in range(1, options.camera_count + 1)]


def _begin_open(house: _House, broker_port: int) -> _Way:
    """Start a broker that knows everybody's password."""
    passwords = {name: secrets.token_urlsafe(24) for name in ["fleet", *_devices(house.options)]}
    known = _private_file(house.folder / "secrets.json", json.dumps(passwords))
    house.broker = start(
        "broker", ["fleet.broker", "--port", str(broker_port), "--secrets", str(known)], house.folder
    )
    fleet = ["--db", f"sqlite:///{house.folder / 'fleet.db'}", "--mqtt", f"127.0.0.1:{broker_port}"]
    return _Way(
        [*fleet, "--port", str(house.options.port)],
        {"PEHRA_MQTT_USERNAME": "fleet", "PEHRA_MQTT_PASSWORD": passwords["fleet"]},
        lambda number: head_with_password(number, house.folder, broker_port, passwords[device_id(number)]),
    )


def _begin_secure(house: _House, broker_port: int) -> _Way:
    """Found a fleet and start its broker: Mosquitto, or ours where that is not installed."""
    secure = house.secure = found(house.folder, house.options.port, broker_port)
    if find_mosquitto():
        arguments = ["pehra", "fleet", "broker-run", str(secure.broker)]
    else:
        arguments = ["fleet.broker", "--port", str(broker_port), "--home", str(secure.home.folder)]
    house.broker = start("broker", arguments, house.folder)

    def head(number: int) -> str:
        ticket = secure.new_ticket(house.options.url, device_id(number), site_of(number))
        keep_ticket(house.folder / device_id(number), ticket)
        house.ticket_s[device_id(number)] = time.monotonic()
        return head_to_enrol(number, house.folder)

    return _Way(["--home", str(secure.home.folder)], {}, head)


def _private_file(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")
    return path


def _witnesses(options: DemoOptions) -> dict[str, Witness]:
    """Return who knows the truth of each camera that looks at a simulated street."""
    witnesses = {}
    for number, device in enumerate(_devices(options), 1):
        if source := street_source(options, number):
            camera = StreetCamera(source, width=SIZE[0], height=SIZE[1], fps=STREET_FPS)
            witnesses[device] = Witness(
                camera.scene, STREET_LINE_POINTS, fps=STREET_FPS, start_s=camera.options.start
            )
    return witnesses


def _watch(
    house: _House,
    options: DemoOptions,
    witnesses: dict[str, Witness],
    stop: threading.Event,
    on_progress: Callable[[Progress], None],
) -> list[str]:
    cameras = options.camera_count
    _wait_until(lambda: house.count_online() >= cameras, house, "every camera", options, stop)
    started_s = time.monotonic()
    while not stop.wait(1.0):
        if house.fallen():
            return house.fallen()
        elapsed_s = time.monotonic() - started_s
        stats = house.ask("stats")
        online, stored = int(stats.get("online", 0)), int(stats.get("events_stored", 0))
        on_progress(Progress(elapsed_s, online, cameras, stored))
        for witness in witnesses.values():
            witness.look_until(elapsed_s)
        if options.duration_s is not None and elapsed_s >= options.duration_s:
            break
    return []


def _stop_all(house: _House, witnesses: dict[str, Witness], trouble: list[str]) -> Report:
    for camera in house.cameras:
        camera.ask_to_stop()
    codes = {camera.name: camera.wait(STOP_S) for camera in house.cameras}
    devices, missing = _summaries(house, codes)
    crossings = _crossings(house, witnesses, devices)
    stats, known = house.ask("stats"), house.ask("devices?limit=100").get("items", [])
    for child in (house.fleet, house.broker):
        if child is not None:
            child.ask_to_stop()
            codes[child.name] = child.wait(STOP_S)
    failed = [
        f"{child.name} ended with code {codes[child.name]}:\n{child.last_words()}"
        for child in house.all()
        if codes[child.name] not in ENDED_WELL
    ]
    found = [*trouble, *([] if trouble else failed), *missing]
    return make_report(list(devices.values()), stats, model_of(known), found, crossings, house.arrivals())


def _crossings(
    house: _House, witnesses: dict[str, Witness], devices: dict[str, dict[str, Any]]
) -> Agreement | None:
    """Compare what the fleet stored with what happened in all streets; None without a street."""
    agreements = []
    for device, summary in devices.items():
        witness = witnesses.get(device)
        told = house.crossings_told(device) if witness else None
        if witness is None or told is None:
            continue
        for watch in summary["watches"]:
            opened_s = watch["from_s"] - watch["from_seq"] / STREET_FPS
            from_s, to_s = watch["from_s"] - opened_s, watch["to_s"] - opened_s
            witness.look_until(to_s + TOLERANCE_S)
            in_street = [event._replace(at_s=event.at_s - opened_s) for event in told]
            agreements.append(agreement(witness.crossings, in_street, from_s, to_s))
    return sum(agreements, Agreement()) if agreements else None


def _crossing(event: dict[str, Any]) -> Crossing:
    at_s = datetime.fromisoformat(event["ts"]).timestamp()
    return Crossing(at_s, event["direction"], event["object"]["track"])


def _summaries(house: _House, codes: dict[str, int]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Read what each camera left; one that was stopped before it was up has nothing to say."""
    devices, missing = {}, []
    for camera in house.cameras:
        summary = house.folder / camera.name / SUMMARY_FILE
        if summary.is_file():
            devices[camera.name] = json.loads(summary.read_text("utf-8"))
        elif codes[camera.name] == 0:
            missing.append(f"{camera.name} left no summary")
    return devices, missing


@contextmanager
def _ending(house: _House) -> Iterator[_House]:
    try:
        yield house
    finally:
        for child in house.all():
            if child.is_running:
                child.process.send_signal(signal.SIGKILL)
                child.process.wait()


def _wait_until(
    is_done: Callable[[], bool], house: _House, what: str, options: DemoOptions, stop: threading.Event
) -> None:
    deadline_s = time.monotonic() + options.start_s
    while not is_done() and not stop.is_set():
        if house.fallen():
            raise CannotStart(house.fallen()[0])
        if time.monotonic() > deadline_s:
            words = "\n".join(f"{child.name}: {child.last_words(3)}" for child in house.all())
            raise CannotStart(f"{what} did not come up within {options.start_s:.0f} s\n{words}")
        stop.wait(POLL_S)


def _is_hearing(house: _House) -> bool:
    return answers(house.options.port) and bool(house.ask("stats").get("link_up"))
