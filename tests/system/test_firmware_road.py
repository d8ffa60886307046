"""Firmware goes the whole road: signed, rolled out, built on the board, launched, and kept or left.

Everything is what it is in the field but for systemd, whose part the test plays, and the libraries, which the
releases borrow (`tests/project_wheels.py`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from device.firmware.updating.ledger import LedgerFiles
from fleet.broker.run import find_mosquitto
from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import Settings
from fleet.store.database import open_database
from fleet.store.tables import Device
from fleet.store.tables_rollouts import Release, Rollout
from ota.images.adding import Wish, add
from pehra.demo.house import House, ending, private_file
from pehra.demo.plan import DemoOptions
from pehra.demo.rollout.cameras import start_fleet
from tests.brokers import free_port, wait_until
from tests.conftest import missing
from tests.image_repository import Images
from tests.launched_board import LaunchedBoard
from tests.project_wheels import CRASHES, DEAF, defective, factory, whole

CAM = "demo-01"
CONFIG = """\
health_s = 5
{head}
[update]
probation_s = 1
metered = "no"
sticks = []
[[camera]]
id = "cam0"
source = "street:seed=1,size=320x240"
width = 320
height = 240
fps = 1.0
process = false
"""


@dataclass
class Road:
    """A fleet with one board."""

    folder: Path
    images: Images
    board: LaunchedBoard
    engine: Engine

    def row(self) -> Device:
        with Session(self.engine) as session:
            found = session.get(Device, CAM)
            return found if found is not None else Device(id=CAM)

    def reported(self) -> dict[str, Any]:
        return self.row().reported or {}

    def told(self) -> tuple[str, str]:
        said = self.row().update or {}
        return said.get("state", ""), said.get("reason", "")

    def wait(self, is_so: Any, seconds: float = 90.0) -> None:
        """Wait, while the board's service is kept going."""

        def evidence() -> str:
            log = "\n".join(self.board.log.read_text().splitlines()[-30:])
            return f"{self.told()} {self.reported().get('firmware')} {self.board.codes}\n{log}"

        wait_until(lambda: self.board.keep_going() or is_so(), evidence, seconds)

    def roll_out(self, wheels: Path, version: str) -> str:
        """Publish a wheelhouse and give it to all; return how that ended."""
        self.images.do(lambda: add(self.images.home, wheels, Wish(hw=("any",), sec_ver=1)))
        self.images.publish()
        self.wait(lambda: self._release(version))
        now_ms = round(time.time() * 1000)
        settings = Settings(soak_s=0, backoff_s=1, tries=1)
        with Session(self.engine) as session:
            new = NewRollout(version, f"pehra@{version}", "all", "100%", settings, needs_approval=False)
            rollout = acting.create(session, new, "noor", now_ms).id
        self.wait(lambda: self._state(rollout) in ("done", "stopped"))
        return self._state(rollout)

    def _release(self, version: str) -> bool:
        with Session(self.engine) as session:
            return session.exec(select(Release).where(Release.version == version)).first() is not None

    def _state(self, rollout: str) -> str:
        with Session(self.engine) as session:
            return session.get_one(Rollout, rollout).state


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Road]:
    if not find_mosquitto():
        missing("mosquitto is not installed (Debian package: mosquitto)")
    images = Images(tmp_path / "images")
    images.publish()
    images.www = images.folder  # type: ignore[attr-defined]  # what the demo calls it
    options = DemoOptions(1, None, free_port(), "", "street-2", is_secure=True)
    with ending(House(tmp_path, options)) as house:
        head = start_fleet(house, images, threading.Event())  # type: ignore[arg-type]
        config = private_file(tmp_path / "board.toml", CONFIG.format(head=head(1)))
        words = ["device", "run", "--config", str(config)]
        board = LaunchedBoard(tmp_path / CAM, factory(tmp_path / "opt"), words, tmp_path / "board.log")
        engine = open_database(f"sqlite:///{tmp_path}/fleet/fleet.db")
        try:
            yield Road(tmp_path, images, board, engine)
        finally:
            board.end()
            engine.dispose()


@pytest.mark.timeout(300)
def test_a_firmware_is_kept_and_those_that_crash_or_lose_the_link_are_left_and_told(road: Road) -> None:
    board = road.board
    road.wait(lambda: road.reported().get("firmware") == "0.1.0")

    assert road.roll_out(whole(road.folder / "0.2.0", "0.2.0"), "0.2.0") == "done"
    road.wait(lambda: road.told()[0] == "committed")
    assert (road.reported()["firmware"], board.current) == ("0.2.0", "a")
    assert board.codes == [75], "it ended in order, to be started anew"
    assert not (board.slots / "trial").exists()

    assert road.roll_out(defective(road.folder / "0.3.0", "0.3.0", CRASHES), "0.3.0") == "stopped"
    road.wait(lambda: road.told() == ("rolled-back", "3 starts without a commit"))
    assert board.codes == [75, 75, 1, 1, 1]
    assert (road.reported()["firmware"], board.current) == ("0.2.0", "a")

    assert road.roll_out(defective(road.folder / "0.4.0", "0.4.0", DEAF), "0.4.0") == "stopped"
    road.wait(lambda: road.told()[0] == "rolled-back" and "no link to the fleet" in road.told()[1])
    assert board.codes == [75, 75, 1, 1, 1, 75, 75]
    assert (road.reported()["firmware"], board.current) == ("0.2.0", "a")
    assert not (board.slots / "b" / "MANIFEST.ok").exists(), "nobody turns to it in need"
    assert len(LedgerFiles(board.state / "journal").read().quarantined) == 2
    board.end(signal.SIGTERM)
