"""Whom a board is to believe: told when it is let in, at each renewal, and when it asks; over real HTTPS."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from device.errors import NotOurFleet
from device.firmware.claim_file import CERTIFICATE, IDENTITY
from device.firmware.enrol import Hardware, enrol_once
from device.firmware.renewal import Renewal
from device.firmware.trust_roots import DIRECTOR_ROOT, IMAGE_ROOT, kept_director
from fleet.director.home import DirectorHome
from fleet.identity.claims import Terms
from ota.enrolment import EnrolAnswer
from ota.trust.director import check_chain
from tests.fleet_server import FleetServer
from tests.homes import PASSPHRASE
from tests.image_repository import Images

HARDWARE = Hardware("raspberry-pi-5", "10000000cafe0001")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return Images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetServer]:
    server = FleetServer(tmp_path / "home").start()
    yield server
    server.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def enrolled(fleet: FleetServer, state: Path, device: str = "cam-01") -> None:
    enrol_once(state, fleet.ticket(Terms(device=device)), HARDWARE)


def rotate(fleet: FleetServer) -> None:
    DirectorHome(fleet.home.folder).rotate(lambda *_: PASSPHRASE, datetime.now(UTC))


def renewal(state: Path) -> Renewal:
    return Renewal(state, lambda: True, lambda: None)


def test_a_board_is_told_the_newest_director_and_the_first_root_of_the_images(
    fleet: FleetServer, state: Path, images: Images
) -> None:
    rotate(fleet)
    shutil.copy(images.home.first_root, fleet.home.image_root)
    enrolled(fleet, state)
    assert kept_director(state).signed.version == 2
    assert (state / IDENTITY / IMAGE_ROOT).read_bytes() == images.home.first_root.read_bytes()


def test_a_board_that_was_let_in_before_there_was_somebody_to_believe_asks(
    fleet: FleetServer, state: Path, images: Images
) -> None:
    director = fleet.home.folder / "director"
    director.rename(fleet.home.folder / "aside")
    enrolled(fleet, state)
    assert not (state / IDENTITY / DIRECTOR_ROOT).exists()
    asking = renewal(state)
    asking.ask_roots(0.0)
    assert not (state / IDENTITY / DIRECTOR_ROOT).exists()
    (fleet.home.folder / "aside").rename(director)
    shutil.copy(images.home.first_root, fleet.home.image_root)
    asking.ask_roots(60.0)
    assert not (state / IDENTITY / DIRECTOR_ROOT).exists(), "not every minute"
    asking.ask_roots(4000.0)
    assert kept_director(state).signed.version == 1
    assert (state / IDENTITY / IMAGE_ROOT).exists()


def test_a_renewal_brings_the_roots_that_have_come_since(fleet: FleetServer, state: Path) -> None:
    now = fleet.now
    fleet.now = lambda: datetime.now(UTC) - timedelta(days=100)
    enrolled(fleet, state)
    fleet.now = now
    rotate(fleet)
    rotate(fleet)
    renewal(state).work(datetime.now(UTC))
    assert kept_director(state).signed.version == 3


def test_a_root_that_came_with_the_card_is_not_replaced(
    fleet: FleetServer, state: Path, tmp_path: Path, images: Images
) -> None:
    card = DirectorHome(tmp_path / "card")
    card.make(lambda *_: PASSPHRASE, datetime.now(UTC))
    (state / IDENTITY).mkdir(parents=True)
    (state / IDENTITY / DIRECTOR_ROOT).write_bytes(card.chain()[0])
    (state / IDENTITY / IMAGE_ROOT).write_bytes(card.chain()[0])
    shutil.copy(images.home.first_root, fleet.home.image_root)
    enrolled(fleet, state)
    assert kept_director(state).to_bytes() == check_chain(card.chain()).to_bytes()
    assert (state / IDENTITY / IMAGE_ROOT).read_bytes() == card.chain()[0]


def test_a_board_that_goes_to_another_fleet_leaves_its_director_behind(
    fleet: FleetServer, state: Path, tmp_path: Path
) -> None:
    enrolled(fleet, state)
    (state / IDENTITY / CERTIFICATE).unlink()
    other = FleetServer(tmp_path / "other").start()
    try:
        enrolled(other, state)
    finally:
        other.close()
    theirs = check_chain(DirectorHome(other.home.folder).chain())
    assert kept_director(state).to_bytes() == theirs.to_bytes()


def test_a_fleet_whose_roots_do_not_hold_lets_nobody_in(fleet: FleetServer, state: Path) -> None:
    root = fleet.home.folder / "director" / "roots" / "1.root.json"
    said = json.loads(root.read_bytes())
    said["signed"]["version"] = 7
    root.write_text(json.dumps(said))
    with pytest.raises(NotOurFleet, match="director's root"):
        enrolled(fleet, state)
    assert not (state / IDENTITY / CERTIFICATE).exists()


def test_an_answer_of_a_fleet_without_a_director_is_still_an_answer() -> None:
    answer = EnrolAnswer(state="waiting", device="cam-01", now="2026-11-26T09:00:00.000Z")
    assert (answer.director_roots, answer.image_root) == ([], "")
