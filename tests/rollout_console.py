"""A fleet with people and simulated devices whose rollouts really run: for the console's tests and pictures.

The fleet manager is a real process with its engine; the devices are rows, and what they say is written as
ingest would write it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.store.database import connect_database
from tests.brokers import Mosquitto
from tests.home_process import HomeProcess
from tests.people import add, services_with_home
from tests.rollout_fleet import Behaviour, Town, obey

SILENCE_S = 600
"""These devices send nothing over MQTT: they stay online for the length of a test."""


class RolloutFleet:
    """A running fleet manager and its town."""

    def __init__(self, broker: Mosquitto, home: Path) -> None:
        services = services_with_home(home)
        for name, *grants in (
            ("farid", "fleet-admin"),
            ("zain", "fleet-admin"),
            ("near", "fleet-admin@lahore/gulberg"),
            ("vera", "viewer"),
        ):
            add(services, name, *grants)
        services.close()
        self.process = HomeProcess(broker, home, offline_after_s=SILENCE_S)
        self.engine = connect_database(f"sqlite:///{home}/fleet.db")
        self.town = Town(self.engine, now_ms=round(time.time() * 1000))
        self.url = self.process.url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def start(self) -> RolloutFleet:
        self.process.start()
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)
        self.engine.dispose()
        assert self.process.stop() == 0
        log = self.process.log.read_text()
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]

    def _live(self) -> None:
        """Devices that were told something do what `town.behave` says of them."""
        while not self._stop.wait(0.2):
            self.town.now_ms = round(time.time() * 1000)
            self.town.answer()


@contextmanager
def running_fleet(broker: Mosquitto, home: Path, behave: Behaviour = obey) -> Iterator[RolloutFleet]:
    fleet = RolloutFleet(broker, home)
    fleet.town.behave = behave
    fleet.start()
    try:
        yield fleet
    finally:
        fleet.stop()
