"""The real programs as processes: a device and a fleet manager that can be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.brokers import Mosquitto, free_port, is_open, wait_until

DEVICE_TOML = """\
health_s = 1

[device]
id = "{device}"
state = "{state}"

[mqtt]
host = "127.0.0.1"
port = {port}
username = "{device}"
password = "{password}"
resend_s = 1.0

[[camera]]
source = "street:seed={seed}"
width = 320
height = 240
fps = 12
motion = {{ enabled = false }}

[[camera.rule]]
name = "middle"
kind = "line"
points = [[0.5, 0.1], [0.5, 1.0]]

[[camera.rule]]
name = "street"
kind = "zone"
points = [[0.0, 0.3], [1.0, 0.3], [1.0, 1.0], [0.0, 1.0]]
"""


class Program:
    """One of our programs; its log is kept for the assertion that fails."""

    def __init__(
        self, name: str, arguments: list[str], folder: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = [sys.executable, "-m", *arguments]
        self._environment = os.environ | (environment or {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment
            )

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout_s: float = 40.0) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Device(Program):
    """`pehra device run` on the simulated street."""

    def __init__(
        self, broker_port: int, folder: Path, device: str = "cam-01", password: str = "", seed: int = 5
    ) -> None:
        self.device = device
        self.state = folder / device
        config = folder / f"{device}.toml"
        config.write_text(
            DEVICE_TOML.format(
                device=device, state=self.state, port=broker_port, password=password, seed=seed
            )
        )
        super().__init__(device, ["pehra", "device", "run", "--config", str(config)], folder)

    def outbox(self, name: str) -> int:
        """A counter of the outbox (`event.made`, ...), 0 before there is one."""
        file = self.state / "outbox.db"
        if not file.exists():
            return 0
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            try:
                row = db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
            except sqlite3.OperationalError:
                return 0
        return row[0] if row else 0

    def summary(self) -> dict[str, float]:
        return json.loads((self.state / "summary.json").read_text())


class Fleet(Program):
    """`pehra fleet run` on a SQLite file."""

    def __init__(self, broker: Mosquitto, folder: Path) -> None:
        self.port = free_port()
        self.file = folder / "fleet.db"
        super().__init__(
            "fleet",
            ["pehra", "fleet", "run", "--db", f"sqlite:///{self.file}", "--mqtt", f"127.0.0.1:{broker.port}",
             "--port", str(self.port)],
            folder,
            {"PEHRA_MQTT_USERNAME": "fleet", "PEHRA_MQTT_PASSWORD": broker.secrets["fleet"]},
        )  # fmt: skip

    def start(self) -> None:
        super().start()
        wait_until(lambda: is_open(self.port), f"the fleet answers\n{self.log.read_text()}", 60)

    def event_seqs(self, device: str) -> list[int]:
        """The seq of every stored event of a device, as stored."""
        if not self.file.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as db:
            try:
                return [row[0] for row in db.execute("SELECT seq FROM event WHERE device = ?", (device,))]
            except sqlite3.OperationalError:
                return []
