"""The whole road: a rollout wants, the director signs, a real Mosquitto keeps, devices answer, it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from device.firmware.claim_file import IDENTITY
from device.firmware.config import Config, parse_config
from device.firmware.remote import ConfigStore, Remote, SignedReader
from device.firmware.trust_roots import keep_roots
from fleet.access.caller import SYSTEM
from fleet.desired import want_config
from fleet.director.home import DirectorHome
from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import settings_of
from fleet.rollouts.releases import NewRelease, add_release
from fleet.services import Services, build_services, running
from fleet.settings import load_settings
from fleet.store.tables import Device
from fleet.store.tables_identity import Identity
from fleet.store.tables_rollouts import Rollout
from ota.messages import (
    Channel,
    Desired,
    ModelInfo,
    Reported,
    Status,
    Topic,
    Update,
    encode,
    format_ts,
    new_id,
)
from tests.brokers import Certificates, Mosquitto, as_user, running_mosquitto, wait_until
from tests.homes import PASSPHRASE, make_home
from tests.rollout_fleet import NEW, OLD, device_row

CAMS = ("cam-01", "cam-02")


def base(device: str) -> Config:
    return parse_config(
        f'[device]\nid = "{device}"\n[mqtt]\nhost = "x"\n[[camera]]\nsource = "street"\n', Path("x")
    )


class Camera:
    """A device whose updater needs no time: reads what is signed, switches, and reports what runs."""

    def __init__(self, broker: Any, house: House, device: str) -> None:
        self.device, self.runs, self.read = device, OLD, list[Desired]()
        state = house.folder / device
        (state / IDENTITY).mkdir(parents=True)
        keep_roots(state, house.roots, "")
        self.remote = Remote(base(device), ConfigStore(state / "config"), read=SignedReader(state))
        self.remote.on_document = self._heed
        self.client = as_user(broker, device)
        self.client.client.on_message = lambda _c, _d, message: self._hear(message.payload)
        self.client.start()
        self.client.subscribe(Topic.filter(Channel.DESIRED, device))

    def _hear(self, payload: bytes) -> None:
        self.remote.hear(payload)
        self.remote.work(time.monotonic(), is_linked=True, lost=frozenset())

    def _heed(self, document: Desired) -> None:
        self.read.append(document)
        for target in document.targets:
            for state in ("accepted", "downloading", "switched"):
                self.say(Channel.UPDATE, Update, action=target.action, state=state, target=target.path)
            self.runs = NEW
        self.report()

    def report(self) -> None:
        model = ModelInfo("street-2", "1.4.0", self.runs)
        self.say(Channel.REPORTED, Reported, config_sha256="", firmware="0.2.0", model=model)

    def say(self, channel: Channel, kind: Any, **fields: Any) -> None:
        message = kind(id=new_id(), ts=format_ts(time.time()), **fields)
        self.client.client.publish(str(Topic(self.device, channel)), encode(message), qos=1, retain=True)


class House:
    """A home, a broker that knows people by certificate, a fleet manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = make_home(folder / "home")
        self.director = DirectorHome(self.home.folder)
        self.roots = [content.decode() for content in self.director.chain()]

    def services(self, broker: Mosquitto) -> Services:
        services = build_services(load_settings({}, home=self.home.folder, mqtt_port=broker.port))
        with Session(services.engine) as session:
            for cam in CAMS:
                session.add(Identity(device=cam, site="lahore", state="active", since_ms=1, enrolled_ms=1))
                session.add(Device(**device_row(cam, site="lahore")))
            session.commit()
        services.keeper_wake()
        return services


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def broker(house: House) -> Iterator[Mosquitto]:
    options = {"certificates": Certificates(house.home, house.folder)}
    with running_mosquitto(house.folder / "broker", **options) as one:
        yield one


@pytest.fixture(scope="module")
def fleet(house: House, broker: Mosquitto) -> Iterator[Services]:
    services = house.services(broker)
    with running(services):
        wait_until(lambda: services.link.is_up, "the fleet hears the broker")
        wait_until(lambda: services.keeper and services.keeper.is_trusted("cam-01"), "devices are trusted")
        yield services


@pytest.fixture(scope="module")
def cameras(house: House, broker: Mosquitto, fleet: Services) -> Iterator[list[Camera]]:
    made = [Camera(broker, house, cam) for cam in CAMS]
    yield made
    for one in made:
        one.client.stop()


def test_a_rollout_reaches_devices_through_the_signed_document_and_ends_by_what_they_report(
    fleet: Services, cameras: list[Camera]
) -> None:
    for camera in cameras:
        camera.say(Channel.STATUS, Status, state="online", session=new_id())
    with Session(fleet.engine) as session:
        now_ms = round(time.time() * 1000)
        release = add_release(
            session, NewRelease("model", "street-2", "1.4.0", NEW, 3_000_000), "noor", now_ms
        )
        new = NewRollout(
            "eyes", release.id, "all", "100%", settings_of(soak_s=0, deadline_s=3600), needs_approval=False
        )
        rollout = acting.create(session, new, "noor", now_ms).id
    fleet.rollouts.wake()

    def state() -> Any:
        with Session(fleet.engine) as session:
            row = session.get_one(Rollout, rollout)
            return row.state, row.why

    wait_until(lambda: state()[0] == "done", lambda: str(state()), 40)
    assert [camera.runs for camera in cameras] == [NEW, NEW]
    with Session(fleet.engine) as session:
        kept = session.get_one(Device, "cam-01").update
    assert kept is not None
    assert kept["state"] == "switched"


def test_a_configuration_goes_the_same_road(fleet: Services, cameras: list[Camera]) -> None:
    with Session(fleet.engine) as session:
        want_config(session, "cam-01", "health_s = 20.0", time.time(), SYSTEM)
    fleet.director.wake()
    wait_until(
        lambda: cameras[0].remote.standing.outcome == "applied", lambda: str(cameras[0].remote.standing)
    )


def test_while_devices_listen_the_key_is_rotated_and_they_follow(
    house: House, fleet: Services, cameras: list[Camera]
) -> None:
    before = len(cameras[1].read)
    house.director.rotate(lambda *_: PASSPHRASE, datetime.now(UTC))
    wait_until(lambda: len(cameras[1].read) > before, "it is told anew under the new key")
    with Session(fleet.engine) as session:
        want_config(session, "cam-02", "health_s = 20.0", time.time(), SYSTEM)
    fleet.director.wake()
    wait_until(
        lambda: cameras[1].remote.standing.outcome == "applied", lambda: str(cameras[1].remote.standing)
    )
    assert cameras[1].remote.standing.faults == ()


def test_an_unsigned_document_that_a_stolen_broker_keeps_is_refused_and_reported(
    cameras: list[Camera],
) -> None:
    camera = cameras[0]
    seq, read = camera.remote.standing.seq or 0, len(camera.read)
    forged = Desired(
        id=new_id(),
        ts=format_ts(time.time()),
        device="cam-01",
        action=new_id(),
        seq=seq + 1000,
        expires=format_ts(time.time() + 3600),
    )
    camera.remote.hear(encode(forged))
    camera.remote.work(time.monotonic(), is_linked=True, lost=frozenset())
    assert "not signed" in camera.remote.standing.faults[0][1]
    assert (camera.remote.standing.seq, len(camera.read)) == (seq, read)
    assert camera.remote.standing.outcome == "applied", "what held before holds"
