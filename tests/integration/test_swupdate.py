"""Debian's real SWUpdate against the real fleet over HTTPS: what it installs, refuses, resumes and says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from device.firmware.claim_file import CERTIFICATE, IDENTITY
from device.firmware.enrol import Hardware, enrol_once
from fleet.hawkbit import routes
from fleet.hawkbit.sending import SentImage
from fleet.identity.claims import Terms
from fleet.store.tables_os import OsDevice
from fleet.store.tables_rollouts import WantedRelease
from tests.brokers import wait_until
from tests.conftest import ROOT, missing
from tests.ddi import act, action, add_image, let_in, member, roll_out, state_of, token_of
from tests.fleet_server import FleetServer, running_proxy
from tests.swu import ImageSigner, Swupdate, make_swu, running_swupdate, swupdate_program

DEVICE = "cam-01"
HARDWARE = Hardware("Raspberry Pi 4", "100000001")
INSTALLED = "Please restart SWUpdate to report the test results"
NOTHING = "No pending action on server"
RUNS_WELL, BOOTED_THE_OLD_ONE = "-c 2", "-c 3"
SIGNER, STRANGER = ImageSigner.new(), ImageSigner.new("somebody else")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetServer]:
    """A fleet whose engine runs, and that clients are told to poll every second."""
    server = FleetServer(tmp_path / "home", os_poll_s=1).start()
    stop = threading.Event()
    server.services.rollouts._hears_devices = lambda: True
    engine = threading.Thread(target=server.services.rollouts.run, args=(stop,))
    let_in(server.services, DEVICE)
    engine.start()
    yield server
    stop.set()
    server.services.rollouts.wake()
    engine.join(20)
    server.close()


class Board:
    """A device whose operating system SWUpdate looks after; it goes into the file `slot`."""

    def __init__(self, folder: Path, fleet: FleetServer) -> None:
        folder.mkdir()
        self.folder = folder
        self.slot = folder / "slot-b.img"
        self.slot.touch()
        self.fleet = fleet
        self.trusted = SIGNER.write_certificate(folder / "images.pem")

    def running(
        self, arguments: str = "", *, port: int = 0, device: str = DEVICE, told: str = ""
    ) -> AbstractContextManager[Swupdate]:
        """SWUpdate, with the device's token where it is not told how to prove itself."""
        url = f"https://localhost:{port or self.fleet.port}"
        told = told or f'targettoken = "{token_of(self.fleet.services, DEVICE)}";'
        told += f' cafile = "{self.fleet.home.root_certificate}";'
        return running_swupdate(
            self.folder, url, device, trusted=self.trusted, told=told, arguments=arguments
        )

    def image(self, payload: bytes, signer: ImageSigner = SIGNER) -> str:
        return add_image(self.fleet.services, make_swu(payload, self.slot, signer))


@pytest.fixture
def board(tmp_path: Path, fleet: FleetServer) -> Board:
    return Board(tmp_path / "board", fleet)


def wait_for(swupdate: Swupdate, claim: Any, deadline_s: float = 40) -> None:
    wait_until(claim, lambda: swupdate.words()[-6000:], deadline_s)


def test_a_signed_image_comes_in_parts_over_a_cut_line_and_its_rollout_ends_when_it_runs(
    board: Board, fleet: FleetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    class Noted(SentImage):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            asked.append((scope["method"], dict(scope["headers"]).get(b"range", b"").decode()))
            await super().__call__(scope, receive, send)

    monkeypatch.setattr(routes, "SentImage", Noted)
    payload = os.urandom(3_000_000)
    rollout = roll_out(fleet.services, board.image(payload))
    with running_proxy(fleet.port) as proxy:
        proxy.allow(down=1_200_000)
        with board.running("-r 5 -w 1", port=proxy.port) as swupdate:
            wait_for(swupdate, lambda: proxy.is_spent)
            proxy.allow()
            wait_for(swupdate, lambda: INSTALLED in swupdate.words())
    method, part = asked[-1]
    assert method == "GET"
    assert 0 < int(part.removeprefix("bytes=").removesuffix("-")) < 1_200_000
    assert board.slot.read_bytes() == payload
    assert state_of(fleet.services, rollout) == "running", "it was installed, but does not run yet"
    with board.running(RUNS_WELL) as swupdate:
        wait_for(swupdate, lambda: state_of(fleet.services, rollout) == "done")
    assert member(fleet.services, rollout, DEVICE).state == "succeeded"
    (said,) = fleet.rows(OsDevice)
    assert said.attributes == {"serial": "0001"}


def test_an_image_that_is_made_as_the_manual_says_is_good(tmp_path: Path) -> None:
    if shutil.which("cpio") is None or shutil.which("openssl") is None:
        missing("cpio and openssl are not installed (Debian packages of these names)")
    manual = (ROOT / "docs" / "os-images.md").read_text()
    (tmp_path / "rootfs.img").write_bytes(os.urandom(100_000))
    for block in re.findall(r"```sh\n(.*?)```", manual, re.DOTALL):
        subprocess.run(["/bin/sh", "-eu", "-c", block], cwd=tmp_path, check=True, capture_output=True)
    (check,) = re.findall(r"`swupdate (-c [^`]+)`", manual)
    good = tmp_path / "camera-os-1.2.0.swu"
    assert "SWUPDATE successful" in checked(tmp_path, check)
    good.write_bytes(good.read_bytes().replace(b'version = "1.2.0"', b'version = "2.1.0"'))  # of the same sum
    assert "SWUPDATE successful" not in checked(tmp_path, check)


def checked(folder: Path, arguments: str) -> str:
    """What SWUpdate says; its exit code is not always the same for the same image."""
    command, environment = [swupdate_program(), *arguments.split()], os.environ | {"TMPDIR": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=20, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def test_an_image_that_somebody_else_signed_is_refused_and_counts_as_a_failure(
    board: Board, fleet: FleetServer
) -> None:
    rollout = roll_out(fleet.services, board.image(os.urandom(20_000), STRANGER))
    with board.running() as swupdate:
        wait_for(swupdate, lambda: state_of(fleet.services, rollout) == "stopped")
    row = member(fleet.services, rollout, DEVICE)
    assert row.state == "failed"
    assert row.reason.startswith("rejected: ")
    assert board.slot.read_bytes() == b""


def test_a_device_that_comes_with_its_certificate_and_boots_its_old_system_again_counts_as_a_failure(
    board: Board, fleet: FleetServer, tmp_path: Path
) -> None:
    enrol_once(tmp_path / "state", fleet.ticket(Terms(device="cam-02")), HARDWARE)
    let_in(fleet.services, "cam-02")
    pem = tmp_path / "state" / IDENTITY / CERTIFICATE
    told = f'sslkey = "{pem}"; sslcert = "{pem}";'
    rollout = roll_out(fleet.services, board.image(os.urandom(20_000)), wanted="device:cam-02")
    with board.running(device="cam-02", told=told) as swupdate:
        wait_for(swupdate, lambda: INSTALLED in swupdate.words())
    with board.running(BOOTED_THE_OLD_ONE, device="cam-02", told=told) as swupdate:
        wait_for(swupdate, lambda: state_of(fleet.services, rollout) == "stopped")
    assert member(fleet.services, rollout, "cam-02").reason == "rejected: Update Failed."


def test_an_order_that_is_taken_back_during_the_download_is_let_go(board: Board, fleet: FleetServer) -> None:
    rollout = roll_out(fleet.services, board.image(os.urandom(3_000_000)))
    with board.running("-n 200k") as swupdate:
        wait_for(swupdate, lambda: "Total download size" in swupdate.words())
        act(fleet.services, "abort", rollout)
        wait_for(swupdate, lambda: action(fleet.services, 1).state in ("cancelled", "failed"))
        # It stops in any case; at times SWUpdate says so of the installation instead of the wish to cancel.
    assert member(fleet.services, rollout, DEVICE).state == "withdrawn"


def test_nothing_is_installed_outside_of_its_window_and_the_end_is_told_at_any_time(
    board: Board, fleet: FleetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_open = threading.Event()
    payload = os.urandom(20_000)
    rollout = roll_out(fleet.services, board.image(payload))
    wait_until(lambda: fleet.rows(WantedRelease), "it is told")
    monkeypatch.setattr("fleet.rollouts.windows.Window.is_open", lambda *_: is_open.is_set())
    with fleet.services.session() as session:
        session.get_one(WantedRelease, (DEVICE, "os")).window = "02:00-05:00"
        session.commit()
    with board.running() as swupdate:
        wait_for(swupdate, lambda: swupdate.words().count(NOTHING) >= 2)
        assert board.slot.read_bytes() == b""
        is_open.set()
        wait_for(swupdate, lambda: INSTALLED in swupdate.words())
    assert board.slot.read_bytes() == payload
    is_open.clear()
    with board.running(RUNS_WELL) as swupdate:
        wait_for(swupdate, lambda: state_of(fleet.services, rollout) == "done")
