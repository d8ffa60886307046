"""Debian's real SWUpdate against the real fleet: what it installs, refuses, resumes and says."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from fleet.hawkbit.entry import make_token
from fleet.hawkbit.releases import NewImage, keep_image
from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import settings_of
from fleet.store.tables import Device
from fleet.store.tables_identity import Identity
from fleet.store.tables_os import OsAction
from fleet.store.tables_rollouts import Rollout, RolloutDevice
from tests.brokers import wait_until
from tests.fake_device import health, info
from tests.fleet_server import FleetServer, Proxy, running_proxy
from tests.integration.test_api_rest import store
from tests.swu import ImageSigner, Swupdate, make_swu, running_swupdate

DEVICE = "cam-01"
INSTALLED = "Please restart SWUpdate to report the test results"
SIGNER = ImageSigner.new()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetServer]:
    server = FleetServer(tmp_path / "home", os_poll_s=1).start()
    stop = threading.Event()
    server.services.rollouts._hears_devices = lambda: True
    engine = threading.Thread(target=server.services.rollouts.run, args=(stop,))
    store(server.services, DEVICE, info("lahore/gulberg"), health(), received_s=time.time())
    with server.services.session() as session:
        session.add(Identity(device=DEVICE, site="lahore/gulberg", state="active", since_ms=1, enrolled_ms=1))
        session.execute(update(Device).where(col(Device.id) == DEVICE).values(is_online=True))
        session.commit()
    engine.start()
    yield server
    stop.set()
    server.services.rollouts.wake()
    engine.join(20)
    server.close()


class Board:
    """A device whose operating system SWUpdate looks after."""

    def __init__(self, folder: Path, fleet: FleetServer, token: str, trusts: ImageSigner) -> None:
        folder.mkdir()
        self.folder = folder
        self.port = fleet.port
        self.token = token
        self.ca = fleet.home.root_certificate
        self.trusted = trusts.write_certificate(folder / "images.pem")

    def running(self, more: str = "") -> AbstractContextManager[Swupdate]:
        url = f"https://localhost:{self.port}"
        return running_swupdate(
            self.folder, url, DEVICE, token=self.token, trusted=self.trusted, cafile=self.ca, more=more
        )


def roll_out(fleet: FleetServer, swu: bytes, **more: object) -> str:
    images = fleet.services.images
    assert images is not None
    settings = settings_of(**({"soak_s": 0, "deadline_s": 600} | more))
    with fleet.services.session() as session:
        with images.receiving(len(swu)) as received:
            received.add(swu)
            new = NewImage("camera-os", "1.2.0", "camera-os.swu")
            release = keep_image(session, images, received, new, "noor", 1)
        wanted = NewRollout("new system", release.id, "all", "1", settings, needs_approval=False)
        made = acting.create(session, wanted, "noor", round(time.time() * 1000)).id
    fleet.services.rollouts.wake()
    return made


def token_of(fleet: FleetServer) -> str:
    with fleet.services.session() as session:
        return make_token(session, DEVICE, "noor", round(time.time() * 1000))


def state_of(fleet: FleetServer, rollout: str) -> str:
    with fleet.services.session() as session:
        return session.get_one(Rollout, rollout).state


def test_a_signed_image_is_installed_as_it_is_and_ends_its_rollout(
    fleet: FleetServer, tmp_path: Path
) -> None:
    payload, goal = os.urandom(2_000_000), tmp_path / "slot-b.img"
    goal.touch()
    rollout = roll_out(fleet, make_swu(payload, goal, SIGNER))
    board = Board(tmp_path / "board", fleet, token_of(fleet), SIGNER)
    with board.running() as swupdate:
        wait_until(lambda: INSTALLED in swupdate.words(), lambda: swupdate.words()[-6000:], 30)
    print(swupdate.words()[-12000:])
    assert goal.read_bytes() == payload
    print(fleet.rows(OsAction), fleet.rows(RolloutDevice))
    with board.running("-c 2") as swupdate:
        wait_until(lambda: state_of(fleet, rollout) == "done", lambda: swupdate.words()[-6000:], 30)
    print(swupdate.words()[-6000:])
    print(fleet.rows(OsAction), fleet.rows(RolloutDevice))
