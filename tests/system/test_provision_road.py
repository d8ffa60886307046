"""From a claim made in a real fleet, over a cable, to a board that was let in: all of them real programs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import free_port, is_open, wait_until
from tests.conftest import ROOT

CONFIG = """\
[device]
state = "{state}"

[[camera]]
source = "street"
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pehra", *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def done(*arguments: object, stdin: str = "", code: int = 0) -> str:
    """Run a command to its end; return what it printed."""
    run = subprocess.run(
        command(*arguments),
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout


@contextlib.contextmanager
def running(log: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs until the end of the block, and then ends in order."""
    with log.open("wb") as output:
        program = subprocess.Popen(command(*arguments), env=environment(), stdout=output, stderr=output)
    try:
        yield program
    finally:
        program.terminate()
        try:
            program.wait(60)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait(10)
    assert "Traceback" not in log.read_text()


@pytest.fixture
def home(tmp_path: Path) -> tuple[Path, int]:
    """A new fleet, and the port that it is reached on."""
    port, folder = free_port(), tmp_path / "fleet"
    for name in ("root", "owner"):
        (tmp_path / name).write_text(f"the long secret of the {name}\n")
    options = ["--https-port", port, "--root-passphrase-file", tmp_path / "root"]
    options += ["--owner-password-file", tmp_path / "owner", "--host", "127.0.0.1"]
    done("fleet", "init", folder, *options)
    return folder, port


def test_a_claim_given_over_the_cable_lets_a_board_into_its_fleet(
    tmp_path: Path, home: tuple[Path, int]
) -> None:
    fleet, port = home
    config, claim = tmp_path / "device.toml", tmp_path / "claim.json"
    config.write_text(CONFIG.format(state=tmp_path / "state"))
    its = ["--site", "lahore/gulberg", "--device", "cam-77", "--out", claim]
    done("fleet", "claim", "new", "--home", fleet, *its)
    cable_port = free_port()
    cable = f"socket://127.0.0.1:{cable_port}"
    console = ["device", "serve-console", "--listen", f"127.0.0.1:{cable_port}", "--config", config]
    with (
        running(
            tmp_path / "fleet.log", "fleet", "run", "--home", fleet, "--host", "127.0.0.1", "--port", port
        ),
        running(tmp_path / "device.log", "device", "run", "--config", config),
        running(tmp_path / "console.log", *console, "--log", tmp_path / "device.log"),
    ):
        wait_until(lambda: is_open(cable_port) and is_open(port), "console and fleet listen", 60.0)
        assert not json.loads(done("provision", "--port", cable, "identify", "--json"))["enrolled"]
        led = done("provision", "--port", cable, stdin=f"\n{claim}\n", code=1)  # no broker runs here
        assert "enrolled as cam-77" in led
        told = json.loads(done("provision", "--port", cable, "identify", "--json"))
        assert (told["enrolled"], told["device"], told["site"]) == (True, "cam-77", "lahore/gulberg")
        secret = json.loads(claim.read_text())["claim"]
        assert secret not in led + done("provision", "--port", cable, "log", "-n", 500)
        refused = json.loads(done("provision", "--port", cable, "claim", claim, "--json", code=1))
        assert refused["code"] == "enrolled"
