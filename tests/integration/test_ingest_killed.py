"""kill -9 of the fleet in the middle: nothing acknowledged is missing, nothing is there twice."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from pehra.commands.fleet import fleet_app
from tests.brokers import Mosquitto, free_port, python_process, running_mosquitto, wait_until
from tests.fake_device import FakeDevice, event

EVENTS = 4000
WINDOW = 600


class FleetProcess:
    """`pehra fleet run` as it is started in earnest."""

    def __init__(self, broker: Any, folder: Path, *more: str) -> None:
        self.port = free_port()
        self.log = folder / "fleet.log"
        self.database = folder / "fleet.db"
        self._environment = {"PEHRA_MQTT_USERNAME": "fleet", "PEHRA_MQTT_PASSWORD": broker.secrets["fleet"]}
        self._arguments = (
            *("-c", "from pehra.commands.fleet import fleet_app; fleet_app()", "run"),
            *(
                "--db",
                f"sqlite:///{self.database}",
                "--mqtt",
                f"127.0.0.1:{broker.port}",
                "--port",
                str(self.port),
                *more,
            ),
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> FleetProcess:
        self.process = python_process(*self._arguments, env=self._environment, log=self.log)
        wait_until(self.is_ready, lambda: f"the fleet answers: {self.log.read_text()[-2000:]}", 60)
        return self

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v1/healthz", timeout=2).json().get("link_up") is True
        except (httpx.HTTPError, ValueError):
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.process = None
        return code

    def get(self, path: str, **query: Any) -> Any:
        return httpx.get(f"{self.url}/api/v1{path}", params=query, timeout=10).json()


def stored_seqs(database: Path) -> list[int]:
    connection = sqlite3.connect(database)
    found = [row[0] for row in connection.execute("select seq from event order by seq")]
    connection.close()
    return found


def publish_all(device: FakeDevice, at_acked: dict[int, Any]) -> None:
    """Send everything, again and again what is not acknowledged; run a deed once so many are."""
    said = {seq: event(seq) for seq in range(1, EVENTS + 1)}
    deadline_s = time.monotonic() + 90
    sent_s: dict[int, float] = {}
    while len(device.acked) < EVENTS:
        assert time.monotonic() < deadline_s, f"{len(device.acked)} of {EVENTS} acknowledged"
        for limit in [limit for limit in at_acked if len(device.acked) >= limit]:
            at_acked.pop(limit)()
        now_s = time.monotonic()
        waiting = [seq for seq in said if seq not in device.acked][:WINDOW]
        for seq in waiting:
            if now_s - sent_s.get(seq, -9.0) > 1.0:
                sent_s[seq] = now_s
                device.client.client.publish(
                    "pehra/v1/cam-01/cam0/event/line-cross", device.encoded(said[seq]), qos=1
                )
        time.sleep(0.01)


def test_fleet_killed_twice_and_broker_once_every_event_is_there_exactly_once(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto").start()
    fleet = FleetProcess(broker, tmp_path).start()
    deeds: list[str] = []
    try:
        with FakeDevice(broker, "cam-01") as device:
            device.client.client.reconnect_delay_set(1, 1)
            device.resubscribe_on_connect()

            def kill_fleet() -> None:
                fleet.stop(signal.SIGKILL)
                assert set(device.acked) <= set(stored_seqs(fleet.database)), "acknowledged but not stored"
                fleet.start()
                deeds.append("fleet")

            def kill_broker() -> None:
                broker.stop(signal.SIGKILL)
                broker.start()
                deeds.append("broker")

            publish_all(
                device, {EVENTS // 4: kill_fleet, EVENTS // 2: kill_broker, 3 * EVENTS // 4: kill_fleet}
            )
    finally:
        code = fleet.stop()
        broker.stop()
    assert (deeds, code) == (["fleet", "broker", "fleet"], 0)
    assert stored_seqs(fleet.database) == list(range(1, EVENTS + 1))
    connection = sqlite3.connect(fleet.database)
    assert connection.execute("select events_stored from device").fetchall() == [(EVENTS,)]
    connection.close()


def test_sigterm_writes_what_is_queued_and_ends_with_0(tmp_path: Path) -> None:
    with running_mosquitto(tmp_path / "mosquitto") as broker:
        fleet = FleetProcess(broker, tmp_path).start()
        with FakeDevice(broker, "cam-01") as device:
            for seq in range(1, 1001):
                device.client.client.publish(
                    "pehra/v1/cam-01/cam0/event/line-cross", device.encoded(event(seq)), qos=1
                )
            wait_until(lambda: device.acked, "the first are acknowledged")
            assert fleet.stop() == 0
            wait_until(
                lambda: device.acked == set(stored_seqs(fleet.database)), "all that is stored is acknowledged"
            )
        assert "fleet ready url=" in fleet.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--db", "sqlite:////nowhere/at/all/fleet.db"), "the folder must exist"),
        (("--db", "rubbish"), "no database URL"),
        (("--mqtt", "host:port"), "HOST:PORT"),
        (("--host", "203.0.113.1"), "pehra fleet init"),
    ],
)
def test_what_cannot_start_says_so_in_a_sentence_and_ends_with_2(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    default = ("--db", f"sqlite:///{tmp_path}/fleet.db", "--port", str(free_port()))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        done = CliRunner().invoke(fleet_app, ["run", *default, *arguments])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())


def test_a_port_in_use_is_named_and_ends_with_2(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_fleet("--db", f"sqlite:///{tmp_path}/fleet.db", "--port", str(port))
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


def run_fleet(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from pehra.commands.fleet import fleet_app; fleet_app()",
        "run",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
