"""OS images through the program as it is run: console, gate and all that stands before a device's engine."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlmodel import Session

from fleet.access.users import create_owner
from fleet.store.database import open_database
from fleet.store.tables import Device
from fleet.store.tables_identity import Identity
from fleet.store.tables_rollouts import WantedRelease
from tests.brokers import free_port, is_open, wait_until
from tests.ddi import FILE, DdiClient
from tests.homes import make_home
from tests.people import OWNER, PASSWORD
from tests.system.programs import Program

IMAGE = bytes(range(256)) * 9000


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A fleet with one device, whose broker is away."""
    port = free_port()
    home = make_home(tmp_path / "home", https_port=port)
    engine = open_database(f"sqlite:///{home.database}")
    create_owner(engine, OWNER, PASSWORD)
    with Session(engine) as session:
        session.add(Identity(device="cam-01", site="lahore", state="active", since_ms=1, enrolled_ms=1))
        session.add(Device(id="cam-01", site="lahore"))
        session.commit()
    program = Program("fleet", ["pehra", "fleet", "run", "--home", str(home.folder)], tmp_path)
    program.start()
    try:
        wait_until(lambda: is_open(port), lambda: f"the fleet answers: {program.log.read_text()}", 60)
        yield f"https://localhost:{port}"
    finally:
        program.end()
        engine.dispose()


def test_an_image_goes_in_by_people_and_out_to_its_device_alone(url: str, tmp_path: Path) -> None:
    root = ssl.create_default_context(cafile=tmp_path / "home" / "ca" / "root.pem")
    named = {"name": "camera-os", "version": "1", "file": FILE}
    with httpx.Client(base_url=f"{url}/api/v1", verify=root, headers={"origin": url}, timeout=20) as people:
        assert people.post("/sessions", json={"name": OWNER, "password": PASSWORD}).status_code == 200
        release = people.post("/releases/os", params=named, content=iter([IMAGE[:99], IMAGE[99:]]))
        assert release.status_code == 200, release.text
        token = people.post("/devices/cam-01/os/token").json()["token"]
    engine = open_database(f"sqlite:///{tmp_path}/home/fleet.db")
    with Session(engine) as session:
        order = {"release": release.json()["id"], "rollout": "r", "action": "a", "since_ms": int(time.time())}
        session.add(WantedRelease(device="cam-01", kind="os", **order))
        session.commit()
    engine.dispose()
    with DdiClient(url, "cam-01", token, verify=root) as client:
        assert client.download() == IMAGE
        assert client.say(1, "closed", "success") == 200
    with DdiClient(url, "cam-01", "wrong", verify=root) as stranger:
        answer = stranger.http.get(stranger.base)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "TargetToken")
