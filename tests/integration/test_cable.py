"""Board and laptop on real pseudo-terminals and sockets: what can be asked, and what a cable can do to it."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
import threading
import time

import pytest

from device.errors import ConfigError
from device.firmware.claim_file import kept_ticket
from device.firmware.console.doors import TcpDoor
from device.firmware.fleet_word import keep_word
from hardware.cable.framing import Frame, Kind, Unpacker, packed
from hardware.cable.line import open_line
from hardware.errors import CableLost, CableUnavailable
from ota.cable import (
    GREETING,
    Checked,
    Done,
    GiveClaim,
    Hello,
    Identify,
    LogLine,
    ReadLog,
    Restart,
    RunCheck,
    SetWifi,
    TakePicture,
    answer_of,
    encoded,
)
from ota.enrolment import ticket_text
from pehra.provision.errors import BoardRefused, BoardSilent
from pehra.provision.session import Patience
from tests.boards_on_a_cable import (
    QUICK,
    SHORT,
    TICKET,
    make_desk,
    make_enrolled,
    on_a_cable,
    on_a_socket,
    session_on,
    write_config,
)

REQUESTS = (
    Hello(version=1),
    Identify(),
    SetWifi(ssid="home", password="a-password"),
    GiveClaim(ticket=ticket_text(TICKET)),
    RunCheck(quick=True),
    ReadLog(lines=5),
    TakePicture(),
    Restart(),
)


def greeted(port, patience=QUICK):
    session = session_on(port, patience)
    session.greet("test")
    return session


# --- what can be asked -------------------------------------------------------------------------------------


def test_a_board_tells_over_a_serial_line_who_it_is(tmp_path):
    write_config(tmp_path)
    applied = {"v": 1, "sha256": "ab" * 32, "format": "cloud-init", "at": "", "result": "ok"}
    (tmp_path / "state" / "customisation.json").write_text(json.dumps(applied))
    with on_a_cable(tmp_path) as cable, session_on(cable.laptop_port) as session:
        assert session.greet("test").program == "pehra 0.1.0"
        told = session.ask(Identify())
    assert (told.device, told.serial, told.firmware) == ("cam-01", "100000001234abcd", "0.1.0")
    assert (told.enrolled, told.has_claim, told.is_running) == (False, False, False)
    assert (told.cameras, told.customisation, told.fault) == (["cam0"], "ab" * 32, "")


def test_a_board_that_was_never_configured_tells_what_it_knows(tmp_path):
    with on_a_cable(tmp_path) as cable, greeted(cable.laptop_port) as session:
        told = session.ask(Identify())
        assert (told.device, told.cameras, told.fault) == ("", [], "")
        with pytest.raises(BoardRefused, match=r"device\.toml"):
            session.ask(RunCheck(quick=True))


def test_a_broken_configuration_is_told_with_its_line(tmp_path):
    write_config(tmp_path, "[nonsense]\nx = 1\n")
    with on_a_cable(tmp_path) as cable, greeted(cable.laptop_port) as session:
        assert "nonsense" in session.ask(Identify()).fault


def test_a_claim_is_kept_and_enrolment_is_told(tmp_path):
    told = []
    desk = make_desk(tmp_path, on_ticket=told.append)
    with on_a_cable(tmp_path, desk) as cable, greeted(cable.laptop_port) as session:
        answer = session.ask(GiveClaim(ticket=ticket_text(TICKET)))
        assert session.ask(Identify()).has_claim
    assert TICKET.claim not in answer.note
    assert told == [TICKET]
    assert kept_ticket(desk.state) == TICKET


def test_a_board_that_its_fleet_trusts_no_longer_takes_a_claim(tmp_path):
    desk = make_desk(tmp_path)
    make_enrolled(tmp_path)
    keep_word(desk.state, "revoked")
    with on_a_cable(tmp_path, desk) as cable, greeted(cable.laptop_port) as session:
        assert "needs a new ticket" in session.ask(Identify()).standing
        session.ask(GiveClaim(ticket=ticket_text(TICKET)))
        told = session.ask(Identify())
    assert (told.enrolled, told.has_claim, told.standing) == (False, True, "")
    assert kept_ticket(desk.state) == TICKET


def test_a_claim_for_an_enrolled_board_is_refused_and_says_how_to_decommission(tmp_path):
    desk = make_desk(tmp_path)
    make_enrolled(tmp_path)
    with (
        on_a_cable(tmp_path, desk) as cable,
        greeted(cable.laptop_port) as session,
        pytest.raises(BoardRefused, match="decommission it in its fleet first") as refused,
    ):
        session.ask(GiveClaim(ticket=ticket_text(TICKET)))
    assert refused.value.code == "enrolled"
    assert kept_ticket(desk.state) is None


@pytest.mark.parametrize("junk", ["", "pehra:abc", "{}", "hello", '{"v":1}', "pehra:" + "A" * 4000, "پہرہ"])
def test_a_claim_that_is_no_ticket_is_refused_and_not_kept(tmp_path, junk):
    desk = make_desk(tmp_path)
    with (
        on_a_cable(tmp_path, desk) as cable,
        greeted(cable.laptop_port) as session,
        pytest.raises(BoardRefused, match="ticket"),
    ):
        session.ask(GiveClaim(ticket=junk))
    assert kept_ticket(desk.state) is None


def test_a_check_tells_each_line_while_it_runs(tmp_path):
    write_config(tmp_path)
    lines = []
    with (
        on_a_cable(tmp_path) as cable,
        greeted(cable.laptop_port) as session,
        pytest.raises(BoardRefused, match="1 failed") as refused,  # nobody is at the broker's port
    ):
        session.ask(RunCheck(quick=True), lines.append)
    assert refused.value.code == "check"
    found = {line.check: line.result for line in lines if isinstance(line, Checked)}
    assert (found["disk: write"], found["link: tcp"]) == ("ok", "fail")
    assert "camera: cam0" not in found


def test_the_log_is_read_without_its_secrets(tmp_path):
    write_config(tmp_path)
    config = (
        (tmp_path / "device.toml").read_text().replace("port = 1\n", 'port = 1\npassword = "mqtt-s3cret"\n')
    )
    (tmp_path / "device.toml").write_text(config)
    desk = make_desk(tmp_path, read_log=lambda number: [f"mqtt-s3cret {TICKET.claim} \x1b[31m line"] * number)
    lines = []
    with on_a_cable(tmp_path, desk) as cable, greeted(cable.laptop_port) as session:
        session.ask(GiveClaim(ticket=ticket_text(TICKET)))
        session.ask(ReadLog(lines=200), lines.append)
    assert [type(line) for line in lines] == [LogLine] * 200
    assert lines[0].text == "*** ***  [31m line"


def test_wifi_on_a_board_without_network_manager_says_so(tmp_path):
    with (
        on_a_cable(tmp_path) as cable,
        greeted(cable.laptop_port) as session,
        pytest.raises(BoardRefused, match="no NetworkManager") as refused,
    ):
        session.ask(SetWifi(ssid="home", password="a-password"))
    assert "a-password" not in str(refused.value)


def test_a_network_that_none_can_have_never_reaches_network_manager(tmp_path):
    with on_a_cable(tmp_path) as cable, greeted(cable.laptop_port) as session:
        for ssid, password in (("x" * 33, "a-password"), ("home", "short"), ("a\nb", "a-password")):
            with pytest.raises(BoardRefused) as refused:
                session.ask(SetWifi(ssid=ssid, password=password))
            assert refused.value.code == "bad"


def test_a_person_with_a_plain_terminal_is_told_what_this_is(tmp_path):
    with on_a_cable(tmp_path) as cable, contextlib.closing(open_line(str(cable.laptop_port))) as line:
        line.write(b"\r")
        seen = b""
        while len(seen) < len(GREETING):
            seen += line.read(10)
        assert seen == GREETING


# --- versions and requests of another time -----------------------------------------------------------------


@pytest.mark.parametrize(("version", "who"), [(0, "the laptop"), (2, "the board"), (65_535, "the board")])
def test_another_version_is_told_who_must_be_updated(tmp_path, version, who):
    with (
        on_a_cable(tmp_path) as cable,
        session_on(cable.laptop_port) as session,
        pytest.raises(BoardRefused, match=f"update Pehra on {who}"),
    ):
        session.ask(Hello(version=version))


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"type":"shell","command":"id"}', "unknown"),
        (b'{"type":"log","lines":100000}', "bad"),
        (b'{"type":"claim"}', "bad"),
        (b"\xff\xfe", "bad"),
        (b"", "bad"),
    ],
)
def test_an_unknown_or_broken_request_is_refused_and_the_next_one_answered(tmp_path, payload, code):
    with on_a_cable(tmp_path) as cable, contextlib.closing(open_line(str(cable.laptop_port))) as line:
        unpacker, answers = Unpacker(), []
        line.write(packed(Frame(Kind.REQUEST, 9, 0, payload)) + packed(Frame(Kind.REQUEST, 10, 0, HELLO)))
        while len(answers) < 2:
            answers += [frame for frame in unpacker.feed(line.read(10)) if frame.kind is Kind.ANSWER]
    assert [frame.request for frame in answers] == [9, 10]
    assert answer_of(answers[0].payload).code == code


HELLO = encoded(Hello(version=1))


def test_an_answer_of_a_later_time_is_told_and_not_waited_for(tmp_path):
    with on_a_cable(tmp_path) as cable, session_on(cable.laptop_port) as session:
        cable.to_board = lambda data: b""
        cable.say_to_laptop(packed(Frame(Kind.ANSWER, 0, 0, b'{"type":"hologram"}')))
        with pytest.raises(BoardSilent, match="same version"):
            session.greet("test")


def test_a_board_that_never_ends_its_answer_is_cut_off(tmp_path):
    with on_a_cable(tmp_path) as cable, session_on(cable.laptop_port) as session:
        session.greet("test")
        number = session._number + 1

        def endless(data):
            for part in range(9):
                cable.say_to_laptop(packed(Frame(Kind.PIECE, number, part, b"x" * 8000)))
            return b""

        cable.to_board = endless
        with pytest.raises(BoardSilent, match="more than an answer can hold"):
            session.picture()


# --- noise -------------------------------------------------------------------------------------------------


def test_noise_on_the_line_costs_a_repetition_and_nothing_else(tmp_path):
    chance = random.Random(5)

    def noisy():
        number = itertools.count()

        def through(data):
            place = chance.randrange(1, len(data)) if next(number) % 4 == 1 else 0
            return data[:place] + chance.randbytes(50) + data[place:] + chance.randbytes(9)

        return through

    with on_a_cable(tmp_path) as cable:
        cable.to_board, cable.to_laptop = noisy(), noisy()
        with session_on(cable.laptop_port, Patience(silence_s=0.6, short_s=30, long_s=30)) as session:
            session.greet("test")
            for _ in range(5):
                assert session.ask(Identify()).firmware == "0.1.0"


def test_what_was_done_is_not_done_again_when_its_answer_was_lost(tmp_path):
    done, lost = [], []

    def lose_one(data):
        if lost:
            return data
        lost.append(data)
        return b""

    desk = make_desk(tmp_path, restart=lambda: done.append(1))
    with on_a_cable(tmp_path, desk) as cable, greeted(cable.laptop_port) as session:
        cable.to_laptop = lose_one
        assert isinstance(session.ask(Restart()), Done)
    assert (len(lost), len(done)) == (1, 1)


@pytest.mark.parametrize("comes_back", [b"", b"\xf3\x9d\x0c\x81garbage"])
def test_the_wrong_baud_rate_is_suggested_when_nothing_makes_sense(tmp_path, comes_back):
    chance = random.Random(1)
    with on_a_cable(tmp_path) as cable:
        cable.to_board = lambda data: chance.randbytes(len(data))
        with session_on(cable.laptop_port, SHORT) as session:
            cable.say_to_laptop(comes_back)
            with pytest.raises(BoardSilent, match=r"baud") as silent:
                session.greet("test")
            assert bool(silent.value.noise_bytes) == bool(comes_back)
            cable.to_board = lambda data: data
        with greeted(cable.laptop_port):
            pass


def test_half_a_frame_and_then_silence_ends_at_the_deadline(tmp_path):
    with on_a_cable(tmp_path) as cable:
        cable.to_laptop = lambda data: data[: len(data) // 2]
        with session_on(cable.laptop_port, SHORT) as session, pytest.raises(BoardSilent):
            session.greet("test")
        cable.to_laptop = lambda data: data
        with greeted(cable.laptop_port) as session:
            assert session.ask(Identify()).firmware == "0.1.0"


def test_half_a_request_and_then_silence_holds_up_nobody_else(tmp_path):
    with on_a_cable(tmp_path) as cable:
        with contextlib.closing(open_line(str(cable.laptop_port))) as line:
            whole = packed(Frame(Kind.REQUEST, 1, 0, HELLO))
            line.write(whole[: len(whole) // 2])
        with greeted(cable.laptop_port):
            pass


def test_a_board_that_is_sent_a_megabyte_without_an_end_serves_the_next_laptop(tmp_path):
    with on_a_socket(tmp_path) as address:
        with contextlib.closing(open_line(address)) as line:
            line.write(b"\0\xb5" + b"\xff" * 1_000_000)
        with greeted_when_free(address) as session:
            assert session.ask(Identify()).firmware == "0.1.0"


# --- the cable is pulled out -------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.__struct_config__.tag)
@pytest.mark.parametrize("moment", ["request", "answer"])
def test_a_cable_pulled_out_in_the_middle_is_told_and_the_board_serves_the_next(tmp_path, request_, moment):
    write_config(tmp_path)
    reached = threading.Event()

    def cut(data):
        reached.set()
        return data[: len(data) // 2]

    with on_a_cable(tmp_path) as cable:
        session = greeted(cable.laptop_port)
        if moment == "request":
            cable.to_board = cut
        else:
            cable.to_laptop = cut
        told = []

        def ask():
            try:
                session.ask(request_)
            except (CableLost, BoardSilent) as error:
                told.append(error)

        laptop = threading.Thread(target=ask)
        laptop.start()
        assert reached.wait(30)
        cable.pull_out()
        laptop.join(30)
        session.__exit__(None, None, None)
        assert "cable was pulled out" in str(told[0])
        cable.to_board = cable.to_laptop = lambda data: data
        cable.plug_in()
        assert cable.opened.wait(30)
        with greeted(cable.laptop_port) as again:
            assert again.ask(Identify()).firmware == "0.1.0"


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.__struct_config__.tag)
def test_a_socket_cut_in_the_middle_leaves_the_board_serving(tmp_path, request_):
    write_config(tmp_path)
    with on_a_socket(tmp_path) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(packed(Frame(Kind.REQUEST, 1, 0, encoded(request_))))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with greeted_when_free(address) as session:
            assert session.ask(Identify()).firmware == "0.1.0"


def greeted_when_free(address):
    """A session, once the board has noticed that the one before is gone."""
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        session = session_on(address)
        try:
            session.greet("test")
        except BoardRefused as error:
            assert error.code == "busy"
            session.__exit__(None, None, None)
            continue
        return session
    raise AssertionError("the board is never free")


# --- two laptops -------------------------------------------------------------------------------------------


def test_of_two_laptops_the_second_is_told_and_the_first_goes_on(tmp_path):
    with on_a_socket(tmp_path) as address, greeted(address) as first:
        with session_on(address) as second, pytest.raises(BoardRefused, match="another laptop") as refused:
            second.greet("test")
        assert refused.value.code == "busy"
        assert first.ask(Identify()).firmware == "0.1.0"


def test_a_port_that_another_program_has_open_is_told(tmp_path):
    with (
        on_a_cable(tmp_path) as cable,
        greeted(cable.laptop_port),
        pytest.raises(CableUnavailable, match="another program has it open"),
    ):
        open_line(str(cable.laptop_port))


# --- ports and addresses -----------------------------------------------------------------------------------


def test_a_board_listens_on_the_loopback_and_nowhere_else():
    for host in ("0.0.0.0", "::", "192.0.2.1", "", "example.org"):
        with pytest.raises(ConfigError, match=r"127\.0\.0\.1"):
            TcpDoor(host, 0)


def test_ports_that_cannot_be_opened_say_what_to_do(tmp_path):
    with pytest.raises(CableUnavailable, match="no such port"):
        open_line(str(tmp_path / "ttyUSB9"))
    with pytest.raises(CableUnavailable, match="whether the other side listens"):
        open_line("socket://127.0.0.1:1")
    with pytest.raises(CableUnavailable, match="not opened"):
        open_line(f"spy:///dev/null?file={tmp_path / 'copy'}")
    assert not list(tmp_path.iterdir())
