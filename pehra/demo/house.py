"""The demo's running processes, how they are let in, and what the fleet answers about them."""

from __future__ import annotations

import json
import secrets
import signal
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
from typing import Any

from device.firmware.claim_file import is_enrolled, keep_ticket
from fleet.broker.run import find_mosquitto
from pehra.demo.plan import (
    POLL_S,
    STREET_LINE,
    CannotStart,
    DemoOptions,
    device_id,
    head_to_enrol,
    head_with_password,
    site_of,
)
from pehra.demo.processes import Child, answers, start
from pehra.demo.report import Arrivals
from pehra.demo.secure import SecureFleet, found
from pehra.demo.truth import Crossing


@dataclass(slots=True)
class House:
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
        """Return everything that was started."""
        return [child for child in (self.broker, self.fleet, *self.cameras) if child is not None]

    def fallen(self) -> list[str]:
        """Return what ended by itself, with its last words."""
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
class Way:
    """How fleet manager and cameras are let in.

    Attributes:
        fleet: arguments of `pehra fleet run`.
        environment: its variables.
        head: the sections of a camera's configuration that say who it is; called when the fleet is up.
    """

    fleet: list[str]
    environment: dict[str, str]
    head: Callable[[int], str]


def devices_of(options: DemoOptions) -> list[str]:
    """Return the ids of all devices."""
    return [device_id(number) for number in range(1, options.camera_count + 1)]


def begin_open(house: House, broker_port: int) -> Way:
    """Start a broker that knows everybody's password."""
    passwords = {name: secrets.token_urlsafe(24) for name in ["fleet", *devices_of(house.options)]}
    known = private_file(house.folder / "secrets.json", json.dumps(passwords))
    house.broker = start(
        "broker", ["fleet.broker", "--port", str(broker_port), "--secrets", str(known)], house.folder
    )
    fleet = ["--db", f"sqlite:///{house.folder / 'fleet.db'}", "--mqtt", f"127.0.0.1:{broker_port}"]
    return Way(
        [*fleet, "--port", str(house.options.port)],
        {"PEHRA_MQTT_USERNAME": "fleet", "PEHRA_MQTT_PASSWORD": passwords["fleet"]},
        lambda number: head_with_password(number, house.folder, broker_port, passwords[device_id(number)]),
    )


def begin_secure(house: House, broker_port: int) -> Way:
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

    return Way(["--home", str(secure.home.folder)], {}, head)


def private_file(path: Path, text: str) -> Path:
    """Write a file that nobody else reads."""
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")
    return path


def _crossing(event: dict[str, Any]) -> Crossing:
    at_s = datetime.fromisoformat(event["ts"]).timestamp()
    return Crossing(at_s, event["direction"], event["object"]["track"])


@contextmanager
def ending(house: House) -> Iterator[House]:
    """Leave nothing running."""
    try:
        yield house
    finally:
        for child in house.all():
            if child.is_running:
                child.process.send_signal(signal.SIGKILL)
                child.process.wait()


def wait_until(
    is_done: Callable[[], bool], house: House, what: str, options: DemoOptions, stop: threading.Event
) -> None:
    """Wait until something is up, or `stop` is set.

    Raises:
        CannotStart: it does not come up in time, or a part has ended; last words are in the error.
    """
    deadline_s = time.monotonic() + options.start_s
    while not is_done() and not stop.is_set():
        if house.fallen():
            raise CannotStart(house.fallen()[0])
        if time.monotonic() > deadline_s:
            words = "\n".join(f"{child.name}: {child.last_words(3)}" for child in house.all())
            raise CannotStart(f"{what} did not come up within {options.start_s:.0f} s\n{words}")
        stop.wait(POLL_S)


def is_hearing(house: House) -> bool:
    """Return whether the fleet manager answers and hears the broker."""
    return answers(house.options.port) and bool(house.ask("stats").get("link_up"))
