"""A board that the broker takes in no longer asks its fleet why, seldom, and says it to whoever looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device.check.identity import look_at_identity
from device.errors import EnrolRefused
from device.firmware import fleet_word
from device.firmware.claim_file import CERTIFICATE, IDENTITY, is_enrolled, kept_ticket
from device.firmware.config import parse_config
from device.firmware.console.identity import identify
from device.firmware.enrol import Hardware, enrol_once
from device.firmware.fleet_word import ASK_MAX_S, ASK_S, Doubt, FleetWord, keep_word, read_word, takes_ticket
from device.firmware.health import Pace
from device.firmware.outbox import Outbox
from device.firmware.renewal import Renewal
from device.firmware.voice import Voice
from fleet.identity import revocation
from fleet.identity.claims import Terms
from ota.enrolment import ticket_text
from ota.messages import ModelInfo
from pehra.commands.device import device_app
from pehra.provision.show import identity_table
from tests.boards_on_a_cable import make_desk, write_config
from tests.brokers import wait_until
from tests.fleet_server import FleetServer, Proxy, running_proxy

REVOKED = "revoked by its fleet: it needs a new ticket"
EXPIRED = "its certificate has expired: it needs a new ticket"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetServer]:
    server = FleetServer(tmp_path_factory.mktemp("fleet")).start()
    yield server
    server.close()


@pytest.fixture
def proxy(fleet: FleetServer) -> Iterator[Proxy]:
    with running_proxy(fleet.port) as running:
        yield running


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def let_in(fleet: FleetServer, state: Path, device: str, port: int | None = None) -> None:
    enrol_once(state, fleet.ticket(Terms(device=device), port=port), Hardware())


def revoke(fleet: FleetServer, device: str) -> None:
    fleet.do(revocation.revoke_device, device, "keyCompromise", datetime.now(UTC))


class Turned:
    """A renewal whose link is as the test says."""

    def __init__(self, state: Path, *, patience_s: float = 60.0) -> None:
        self.is_linked, self.is_turned_away, self.ended = False, True, 0
        self.word = FleetWord(state)
        self.renewal = Renewal(
            state,
            lambda: self.is_linked,
            self._end,
            is_turned_away=lambda: self.is_turned_away,
            word=self.word,
            doubt=Doubt(patience_s),
        )

    def _end(self) -> None:
        self.ended += 1

    def heed(self, now_s: float, ahead: timedelta = timedelta()) -> str:
        self.renewal.heed(now_s, datetime.now(UTC) + ahead)
        return self.word.words


def test_a_revoked_board_that_is_turned_away_says_so_until_it_is_let_in_again(
    fleet: FleetServer, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    let_in(fleet, state, "cam-told")
    board = Turned(state)
    assert board.heed(0.0) == "", "the broker has another reason: the fleet trusts the board"
    revoke(fleet, "cam-told")
    assert board.heed(ASK_S) == REVOKED
    assert f"fleet: {REVOKED}" in caplog.text
    assert FleetWord(state).words == REVOKED, "it is known after a restart too"
    board.is_linked = True
    assert board.heed(ASK_S + 1) == ""
    assert read_word(state) == ""


def test_a_board_asks_at_most_once_in_five_minutes_and_a_revoked_one_less_and_less(
    fleet: FleetServer, proxy: Proxy, state: Path
) -> None:
    let_in(fleet, state, "cam-seldom", proxy.port)
    revoke(fleet, "cam-seldom")
    board, before, asked_s = Turned(state), proxy.connections, []
    for now_s in range(0, 24 * 3600, 5):
        connections = proxy.connections
        board.heed(float(now_s))
        if proxy.connections > connections:
            asked_s.append(now_s)
    gaps = [later - earlier for earlier, later in pairwise(asked_s)]
    assert proxy.connections > before
    assert min(gaps) >= ASK_S
    assert gaps == sorted(gaps)
    assert gaps[-1] == ASK_MAX_S
    assert board.word.words == REVOKED


def test_a_fleet_that_does_not_answer_changes_no_word(fleet: FleetServer, proxy: Proxy, state: Path) -> None:
    let_in(fleet, state, "cam-mute", proxy.port)
    revoke(fleet, "cam-mute")
    proxy.allow(up=0)
    board = Turned(state)
    assert board.heed(0.0) == ""
    proxy.allow()
    assert board.heed(ASK_S) == REVOKED
    proxy.allow(up=0)
    assert board.heed(9 * ASK_S) == REVOKED


def test_a_certificate_that_has_ended_is_told_without_a_question(
    fleet: FleetServer, proxy: Proxy, state: Path
) -> None:
    let_in(fleet, state, "cam-ended", proxy.port)
    before = proxy.connections
    assert Turned(state).heed(0.0, timedelta(days=121)) == EXPIRED
    assert proxy.connections == before


@pytest.mark.parametrize("is_turned_away", [True, False])
def test_a_refusal_is_a_reason_to_ask_at_once_and_a_lost_link_after_a_minute(is_turned_away: bool) -> None:
    doubt = Doubt(60.0)
    asked = [
        now_s
        for now_s in range(200)
        if doubt.is_due(float(now_s), is_linked=now_s < 10, is_turned_away=is_turned_away)
    ]
    assert asked == ([10] if is_turned_away else [70])


def test_not_all_boards_ask_in_the_same_second_when_the_broker_is_away() -> None:
    assert len({Doubt()._patience_s for _ in range(20)}) > 10
    assert all(60.0 <= Doubt()._patience_s <= 120.0 for _ in range(20))


def test_a_revoked_board_asks_for_no_certificate(
    fleet: FleetServer, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(fleet, state, "cam-quiet")
    revoke(fleet, "cam-quiet")
    keep_word(state, "revoked")
    board, stop, looks, worked = Turned(state), threading.Event(), [], []

    def look() -> float:
        looks.append(1)
        if len(looks) > 5:
            stop.set()
        return 0.0

    monkeypatch.setattr(board.renewal, "_next_s", look)
    monkeypatch.setattr(board.renewal, "work", worked.append)
    board.renewal.run(stop)
    assert worked == []


def test_a_board_that_is_trusted_no_longer_takes_a_ticket_and_its_service_begins_anew(
    fleet: FleetServer, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_in(fleet, state, "cam-again")
    words = ["enrol", "--no-wait", "--state", str(state)]
    refused = CliRunner().invoke(device_app, [*words, ticket_text(fleet.ticket())])
    assert (refused.exit_code, "enrolled already" in refused.stderr) == (2, True)

    revoke(fleet, "cam-again")
    ticket = fleet.ticket(Terms(device="cam-again"))
    board, stop = Turned(state), threading.Event()
    assert board.heed(0.0) == REVOKED
    monkeypatch.setattr(board.renewal, "_next_s", lambda: 0.01)
    thread = threading.Thread(target=board.renewal.run, args=(stop,))
    thread.start()
    try:
        done = CliRunner().invoke(device_app, [*words, ticket_text(ticket)])
        assert done.exit_code == 0, done.output
        wait_until(lambda: board.ended, "the service gives the old certificate up")
    finally:
        stop.set()
        thread.join(10)
    assert not is_enrolled(state)
    assert kept_ticket(state) == ticket
    enrol_once(state, ticket, Hardware())
    assert read_word(state) == ""
    assert not takes_ticket(state)


def test_status_cable_and_check_say_that_a_board_is_revoked(fleet: FleetServer, tmp_path: Path) -> None:
    file, state = write_config(tmp_path), tmp_path / "state"
    let_in(fleet, state, "cam-01")
    (good,) = look_at_identity(state, datetime.now(UTC))
    assert (good.result, "119 days left; trusted by its fleet" in good.found) == ("ok", True)
    (due,) = look_at_identity(state, datetime.now(UTC) + timedelta(days=100), lambda *_: "")
    assert (due.result, "19 days left" in due.found) == ("warn", True)
    assert identify(make_desk(tmp_path)).enrolled

    revoke(fleet, "cam-01")
    board = Turned(state)
    board.heed(0.0)
    (found,) = look_at_identity(state, datetime.now(UTC))
    assert (found.result, REVOKED in found.found, "ticket" in found.do) == ("fail", True, True)
    told = identify(make_desk(tmp_path))
    assert (told.enrolled, told.standing, told.device) == (False, REVOKED, "cam-01")
    assert REVOKED in [str(cell) for cell in identity_table(told).columns[1].cells]
    outbox = Outbox(tmp_path / "outbox.db")
    model = ModelInfo("m", "1", "0" * 64)
    config = parse_config(file.read_text(), file)
    voice = Voice(config, model, [], outbox, Pace(), fleet_says=lambda: board.word.words)
    assert voice.standing()[0] == "degraded"
    assert voice.standing()[1].startswith(REVOKED)
    outbox.close()


def test_the_check_says_that_a_fleet_does_not_answer_and_that_a_certificate_is_none(
    fleet: FleetServer, proxy: Proxy, state: Path
) -> None:
    let_in(fleet, state, "cam-check", proxy.port)
    proxy.allow(up=0)
    (found,) = look_at_identity(state, datetime.now(UTC))
    assert (found.result, "the fleet does not say" in found.found) == ("warn", True)
    (state / IDENTITY / CERTIFICATE).write_text("junk")
    (found,) = look_at_identity(state, datetime.now(UTC))
    assert found.result == "fail"


def test_a_refusal_that_is_no_word_about_the_board_is_none(
    fleet: FleetServer, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise EnrolRefused("request", "HTTP 422")

    let_in(fleet, state, "cam-odd")
    monkeypatch.setattr(fleet_word, "post", refuse)
    assert Turned(state).heed(0.0) == ""
