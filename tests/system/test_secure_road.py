"""The whole road with real programs: Mosquitto with mutual TLS, the fleet manager, devices that enrol."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from device.firmware.claim_file import CERTIFICATE, IDENTITY, keep_ticket
from device.firmware.identity import (
    Identity,
    check_answer,
    keep_identity,
    own_certificate,
    own_key,
    signing_request,
)
from fleet.broker.run import find_mosquitto
from fleet.broker.secure import write_secure_config
from fleet.identity import revocation
from fleet.identity.authority import pin_of
from fleet.identity.claims import Terms
from fleet.identity.founding import found_fleet
from fleet.identity.home import Addresses, Home
from fleet.identity.office import Office, replacement_terms
from fleet.store import tables
from fleet.store.database import open_database
from fleet.store.tables_identity import Certificate
from fleet.store.tables_identity import Identity as Known
from ota.enrolment import EnrolRequest, Ticket
from ota.messages import Channel, Status, Topic, encode, format_ts, new_id
from tests.brokers import Certificates, Client, free_port, is_open, wait_until
from tests.conftest import missing
from tests.homes import PASSPHRASE
from tests.system.programs import Program

DEVICE_TOML = """\
health_s = 1

[device]
state = "{state}"

[[camera]]
source = "street:seed=5"
width = 320
height = 240
fps = 4
"""
LONG_AGO = timedelta(days=300)
"""A certificate of a year that was given then is due for renewal."""
CUT_OFF_S = 60


class Board(Program):
    """`pehra device run` of a board that knows nothing but its camera."""

    def __init__(self, name: str, folder: Path) -> None:
        self.state = folder / name
        config = folder / f"{name}.toml"
        config.write_text(DEVICE_TOML.format(state=self.state))
        super().__init__(name, ["pehra", "device", "run", "--config", str(config)], folder)

    def said(self, words: str) -> int:
        return self.log.read_text().count(words)


class Road:
    """Broker and fleet manager as processes, and the fleet's counter in this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = Home(folder / "fleet")
        https, self.mqtt_port = free_port(), free_port()
        addresses = Addresses(
            name="road",
            hosts=["localhost", "127.0.0.1"],
            https_port=https,
            mqtt_port=self.mqtt_port,
            brokers=[str(folder / "mosquitto")],
        )
        found_fleet(self.home, addresses, datetime.now(UTC) - LONG_AGO, passphrase=PASSPHRASE)
        write_secure_config(folder / "mosquitto", self.home, self.mqtt_port, host="127.0.0.1")
        self.engine: Engine = open_database(f"sqlite:///{self.home.database}")
        self.ago = timedelta(0)
        self.office = Office(self.home, lambda: datetime.now(UTC) - self.ago)
        self.broker = Program("broker", ["pehra", "fleet", "broker-run", str(folder / "mosquitto")], folder)
        self.fleet = Program("fleet", ["pehra", "fleet", "run", "--home", str(self.home.folder)], folder)
        self.https_port = https

    def start(self) -> None:
        for program, port in ((self.broker, self.mqtt_port), (self.fleet, self.https_port)):
            program.start()
            wait_until(lambda port=port: is_open(port), program.log.read_text, 60)
        # The home is old: its revocation list has expired, until the fleet and then the broker have another.
        wait_until(lambda: "link up" in self.fleet.log.read_text(), self.fleet.log.read_text, 60)

    def ticket(self, terms: Terms) -> Ticket:
        with Session(self.engine) as session:
            return self.office.new_ticket(session, terms, "tests")[1]

    def do(self, deed: Any, *arguments: Any) -> Any:
        with Session(self.engine) as session:
            return deed(session, *arguments)

    def device(self, device: str) -> tables.Device | None:
        with Session(self.engine) as session:
            return session.get(tables.Device, device)

    def is_online(self, device: str) -> bool:
        row = self.device(device)
        return row is not None and row.is_online

    def health_ms(self, device: str) -> int:
        row = self.device(device)
        return 0 if row is None else row.health_ms

    def certificates(self, device: str) -> list[Certificate]:
        with Session(self.engine) as session:
            return list(session.exec(select(Certificate).where(Certificate.device == device)))

    def let_in_long_ago(self, state: Path, device: str) -> None:
        """Give a board a certificate that two thirds of its life ago was new."""
        self.ago = LONG_AGO - timedelta(days=1)
        try:
            ticket, key = self.ticket(Terms(device=device)), own_key(state)
            request = EnrolRequest(claim=ticket.claim, csr=signing_request(key, device), device=device)
            answer = self.do(self.office.enrol, request)
        finally:
            self.ago = timedelta(0)
        root = self.home.certificate(self.home.root_certificate)
        check_answer(answer, key, root)
        identity = Identity(
            device=device,
            site="",
            timezone="UTC",
            url=self.office.addresses.url,
            pin=pin_of(root),
            mqtt_host=answer.mqtt_host,
            mqtt_port=answer.mqtt_port,
        )
        keep_identity(state, identity, answer, answer.root)


@pytest.fixture(scope="module")
def road() -> Iterator[Road]:
    """Outside of pytest's own folder: the broker gives root's rights up and must still find its files."""
    if not find_mosquitto():
        missing("mosquitto is not installed (Debian package: mosquitto)")
    with tempfile.TemporaryDirectory(prefix="pehra-road-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        made = Road(folder)
        made.home.folder.chmod(0o700)
        try:
            made.start()
            yield made
        finally:
            for program in (made.fleet, made.broker):
                program.stop()
            made.engine.dispose()


@pytest.fixture
def boards(road: Road) -> Iterator[list[Board]]:
    started: list[Board] = []
    yield started
    for board in started:
        board.end()


def begun(boards: list[Board], name: str, road: Road) -> Board:
    board = Board(name, road.folder)
    boards.append(board)
    board.start()
    return board


def test_a_board_enrols_is_replaced_and_its_successor_is_taken_out_of_service(
    road: Road, boards: list[Board]
) -> None:
    first = begun(boards, "first", road)
    wait_until(lambda: first.said("waits for a ticket"), first.log.read_text, 60)
    keep_ticket(first.state, road.ticket(Terms(site="lahore/gulberg", device="cam-road")))
    wait_until(lambda: road.is_online("cam-road"), first.log.read_text, 60)
    row = road.device("cam-road")
    assert row is not None
    assert row.site == "lahore/gulberg"

    keep_ticket(road.folder / "second", road.ticket(road.do(replacement_terms, "cam-road", "")))
    second = begun(boards, "second", road)
    wait_until((second.state / IDENTITY / CERTIFICATE).exists, second.log.read_text, 60)
    wait_until(lambda: second.said("link up"), second.log.read_text, 60)
    wait_until(lambda: first.said("link down"), first.log.read_text, 60)
    ups = first.said("link up")
    assert [one.reason for one in road.certificates("cam-road") if one.revoked_ms] == ["replaced"]
    first.end()
    before_ms = road.health_ms("cam-road")
    wait_until(lambda: road.health_ms("cam-road") > before_ms, second.log.read_text, 60)
    assert ups <= 2

    road.do(revocation.begin_leaving, "cam-road", datetime.now(UTC))
    wait_until(
        lambda: road.do(revocation.get_identity, "cam-road").state == "retired", road.fleet.log.read_text, 60
    )
    wait_until(lambda: second.said("waits for a ticket"), second.log.read_text, 60)
    left = {str(one.relative_to(second.state)) for one in second.state.rglob("*")}
    assert left == {"identity", "identity/ended.json"}
    assert all(one.revoked_ms for one in road.certificates("cam-road"))
    keep_ticket(second.state, road.ticket(Terms(device="cam-road")))
    before_ms = road.health_ms("cam-road")
    wait_until(lambda: road.health_ms("cam-road") > before_ms, second.log.read_text, 60)
    assert second.stop() == 0


def test_a_due_certificate_is_renewed_by_itself_and_a_revoked_device_is_cut_off_within_a_minute(
    road: Road, boards: list[Board]
) -> None:
    state = road.folder / "old"
    road.let_in_long_ago(state, "cam-old")
    old = own_certificate(state)
    board = begun(boards, "old", road)
    wait_until(
        lambda: [one.reason for one in road.certificates("cam-old") if one.revoked_ms] == ["superseded"],
        board.log.read_text,
        90,
    )
    assert own_certificate(state) != old
    before_ms = road.health_ms("cam-old")
    wait_until(lambda: road.health_ms("cam-old") > before_ms, board.log.read_text, 60)

    downs = board.said("link down")
    road.do(revocation.revoke_device, "cam-old", "keyCompromise", datetime.now(UTC))
    wait_until(
        lambda: board.said("link down") > downs and road.fleet.log.read_text().count("session ended"),
        lambda: board.log.read_text() + road.fleet.log.read_text(),
        CUT_OFF_S,
    )
    ups = board.said("link up")
    wait_until(lambda: board.said("no connection") or board.said("refused"), board.log.read_text, 60)
    assert board.said("link up") == ups, "it does not come back"
    wait_until(
        lambda: board.said("fleet: revoked by its fleet: it needs a new ticket"), board.log.read_text, 90
    )
    with Session(road.engine) as session:
        assert session.get_one(Known, "cam-old").state == "revoked"


def test_a_device_that_was_revoked_while_no_fleet_manager_ran_is_cut_off_when_one_starts(road: Road) -> None:
    state = road.folder / "unwatched"
    road.let_in_long_ago(state, "cam-unwatched")
    certificates = Certificates(road.home, road.folder)
    context = certificates.context(state / IDENTITY / CERTIFICATE)
    with Client(road.mqtt_port, client_id="cam-unwatched", context=context) as client:
        assert road.fleet.stop() == 0
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        road.do(revocation.revoke_device, "cam-unwatched", "keyCompromise", an_hour_ago)
        assert client.times_lost == 0, road.broker.log.read_text()
        road.fleet.start()
        wait_until(lambda: client.times_lost + client.tried > 1, road.fleet.log.read_text, CUT_OFF_S)
        assert not client.client.is_connected()


def test_a_board_that_was_replaced_is_cut_off_though_its_successor_has_not_come_yet(road: Road) -> None:
    state = road.folder / "before"
    road.let_in_long_ago(state, "cam-before")
    context = Certificates(road.home, road.folder).context(state / IDENTITY / CERTIFICATE)
    with Client(road.mqtt_port, client_id="cam-before", context=context) as client:
        ticket = road.ticket(road.do(replacement_terms, "cam-before", ""))
        key = own_key(road.folder / "after")
        request = EnrolRequest(claim=ticket.claim, csr=signing_request(key, ""), device="cam-before")
        assert road.do(road.office.enrol, request).state == "enrolled"
        wait_until(lambda: client.times_lost + client.tried > 1, road.fleet.log.read_text, CUT_OFF_S)
        wait_until(lambda: not client.client.is_connected(), road.broker.log.read_text, CUT_OFF_S)


def test_what_a_device_says_that_is_not_trusted_is_kept_out(road: Road) -> None:
    """A broker may be set up wrongly: here one certificate is good for the broker, but nobody was let in."""
    certificates = Certificates(road.home, road.folder)
    context = certificates.context(certificates.file("cam-nobody"))
    status = Status(
        id=new_id(), ts=format_ts(datetime.now(UTC).timestamp()), state="online", session=new_id()
    )
    with Client(road.mqtt_port, client_id="cam-nobody", context=context) as client:
        client.publish(Topic("cam-nobody", Channel.STATUS), encode(status), retain=True)
        wait_until(
            lambda: "untrusted: no certificate of cam-nobody" in road.fleet.log.read_text(),
            road.fleet.log.read_text,
        )
    assert road.device("cam-nobody") is None
