"""A fleet manager with a home as a process: people log in over HTTPS; its broker needs no certificate."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.brokers import Mosquitto
from tests.integration.test_ingest_killed import FleetProcess

RUN = """
import signal, sys, threading
from pathlib import Path
from fleet.app import run
from fleet.settings import Settings
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
home, port, broker, password, silence_s = sys.argv[1:]
run(Settings(
    database_url=f"sqlite:///{home}/fleet.db", home=Path(home), http_port=int(port),
    mqtt_port=int(broker), mqtt_username="fleet", mqtt_password=password, offline_after_s=float(silence_s),
), stop)
"""


class HomeProcess(FleetProcess):
    """A fleet with a home, over HTTPS, that hears a broker which needs no certificate."""

    def __init__(self, broker: Mosquitto, home: Path, *, offline_after_s: float = 50.0) -> None:
        super().__init__(broker, home)
        ports = (str(self.port), str(broker.port))
        words = ("-c", RUN, str(home), *ports, broker.secrets["fleet"], str(offline_after_s))
        self._arguments = words  # type: ignore[assignment]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        try:
            answer = httpx.get(f"{self.url}/api/v1/healthz", timeout=2, verify=False)
            return answer.json().get("link_up") is True
        except (httpx.HTTPError, ValueError):
            return False
