"""`pehra provision` and `pehra aim` as a technician types them, against boards on real lines."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing, contextmanager

import msgspec
import pytest
import serial
import serial.rfc2217
import typer
from typer.testing import CliRunner

from device.firmware.claim_file import IDENTITY, drop_ticket, kept_ticket
from device.firmware.enrol import REFUSED, Refused
from ota.cable import Checked, Identify
from ota.enrolment import ticket_json, ticket_text
from pehra.cli import app
from pehra.commands.device_console import is_switched_on
from pehra.provision.claims import NoClaim, claim_of
from pehra.provision.guided import Path as Way
from tests.boards_on_a_cable import (
    TICKET,
    make_desk,
    make_enrolled,
    on_a_cable,
    on_a_socket,
    session_on,
    write_config,
)
from tests.conftest import ROOT


def run(*arguments, stdin=None):
    return CliRunner().invoke(app, list(map(str, arguments)), input=stdin)


# --- single commands ---------------------------------------------------------------------------------------


def test_identify_prints_a_table_or_json(tmp_path):
    write_config(tmp_path)
    with on_a_cable(tmp_path) as cable:
        shown = run("provision", "--port", cable.laptop_port, "identify")
        told = run("provision", "--port", cable.laptop_port, "identify", "--json")
    assert (shown.exit_code, told.exit_code) == (0, 0)
    assert "100000001234abcd" in shown.stdout
    assert json.loads(told.stdout)["device"] == "cam-01"


@pytest.mark.parametrize("given", ["file", "line", "stdin", "asked"])
def test_a_claim_is_given_as_a_file_a_line_or_typed(tmp_path, given):
    file, line = tmp_path / "claim.json", ticket_text(TICKET)
    file.write_bytes(ticket_json(TICKET))
    source = {"file": [file], "line": [line], "stdin": ["-"], "asked": []}[given]
    desk = make_desk(tmp_path)
    with on_a_cable(tmp_path, desk) as cable:
        done = run("provision", "--port", cable.laptop_port, "claim", *source, stdin=line + "\n")
    assert done.exit_code == 0
    assert kept_ticket(desk.state) == TICKET


@pytest.mark.parametrize("junk", ["pehra:abc", "/no/such/claim.json", "{", "", "\0", "~"])
def test_what_is_no_claim_never_reaches_the_board(junk):
    with pytest.raises(NoClaim):
        claim_of(junk)
    done = run("provision", "--port", "/dev/null/none", "claim", "-", "--json", stdin=junk)
    assert done.exit_code == 2
    assert json.loads(done.stdout)["ok"] is False


def test_a_board_that_says_no_ends_with_1_and_says_what_to_do(tmp_path):
    desk = make_desk(tmp_path)
    make_enrolled(tmp_path)
    with on_a_cable(tmp_path, desk) as cable:
        done = run("provision", "--port", cable.laptop_port, "claim", ticket_text(TICKET))
        told = run("provision", "--port", cable.laptop_port, "claim", ticket_text(TICKET), "--json")
    assert (done.exit_code, told.exit_code) == (1, 1)
    assert "decommission" in done.stderr
    assert json.loads(told.stdout)["code"] == "enrolled"


def test_a_wifi_password_is_read_from_stdin_and_stands_in_no_output(tmp_path):
    with on_a_cable(tmp_path) as cable:
        port = ("provision", "--port", cable.laptop_port, "wifi", "لاہور")
        done = run(*port, "--password-file", "-", stdin="a-password\n")
        asked = run(*port, stdin="a-password\n")
    assert (done.exit_code, asked.exit_code) == (1, 1)
    assert "no NetworkManager" in done.stderr
    assert "a-password" not in done.output + asked.output


@pytest.mark.parametrize("arguments", [("x" * 33,), ("home",), ("a\nb",)])
def test_a_network_that_none_can_have_is_told_before_anything_is_sent(arguments):
    done = run(
        "provision", "--port", "/dev/none", "wifi", *arguments, "--password-file", "-", stdin="short\n"
    )
    assert done.exit_code == 2


def test_a_password_file_that_is_not_there_is_told(tmp_path):
    done = run("provision", "--port", "/dev/none", "wifi", "home", "--password-file", tmp_path / "none")
    assert done.exit_code == 2
    assert "cannot be read" in done.stderr


def test_a_check_ends_with_1_when_something_failed(tmp_path):
    write_config(tmp_path)
    with on_a_cable(tmp_path) as cable:
        done = run("provision", "--port", cable.laptop_port, "check", "--quick")
        told = run("provision", "--port", cable.laptop_port, "check", "--quick", "--json")
    assert (done.exit_code, told.exit_code) == (1, 1)
    assert "disk: write" in done.stdout
    findings = {one["check"]: one["result"] for one in json.loads(told.stdout)["findings"]}
    assert findings["link: tcp"] == "fail"


def test_the_log_is_printed_and_the_service_restarted(tmp_path):
    restarted = []
    desk = make_desk(tmp_path, read_log=lambda number: ["one", "two"], restart=lambda: restarted.append(1))
    with on_a_cable(tmp_path, desk) as cable:
        assert run("provision", "--port", cable.laptop_port, "log").stdout == "one\ntwo\n"
        done = run("provision", "--port", cable.laptop_port, "restart", "--json")
    assert json.loads(done.stdout)["ok"]
    assert restarted == [1]


def test_an_empty_log_is_told(tmp_path):
    with on_a_cable(tmp_path, make_desk(tmp_path)) as cable:
        done = run("provision", "--port", cable.laptop_port, "log")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "the log is empty" in done.stderr


def test_a_port_that_is_not_there_ends_with_2_and_a_silent_one_with_3(tmp_path, monkeypatch):
    monkeypatch.setattr("pehra.provision.session.Patience.__init__.__defaults__", (0.2, 0.5, 0.5))
    assert run("provision", "--port", tmp_path / "none", "identify").exit_code == 2
    master, slave = os.openpty()
    silent = run("provision", "--port", os.ttyname(slave), "identify")
    os.close(master)
    os.close(slave)
    assert silent.exit_code == 3
    assert "--baud" in silent.stderr


def test_pictures_over_a_network_end_with_2_before_anything_is_opened():
    done = run("aim", "--port", "rfc2217://192.0.2.9:4000")
    assert done.exit_code == 2
    assert "cable of this machine" in done.stderr


def test_a_board_that_listens_elsewhere_does_not_start(tmp_path):
    for options in (["--listen", "0.0.0.0:0"], ["--listen", "x"], [], ["--port", "socket://127.0.0.1:1"]):
        done = run("device", "serve-console", *options, "--config", tmp_path / "none.toml")
        assert done.exit_code == 2, options


def test_an_address_to_listen_at_that_has_no_host_is_told_the_form(tmp_path):
    for listen in ("24712", ":24712", "127.0.0.1:", "127.0.0.1:99999"):
        done = run("device", "serve-console", "--listen", listen, "--config", tmp_path / "none.toml")
        assert f"{listen}: say HOST:PORT, such as 127.0.0.1:24712" in done.stderr


def test_a_console_that_is_switched_off_answers_nobody(tmp_path):
    file = write_config(tmp_path, "[console]\nenabled = false\n")
    done = run("device", "serve-console", "--listen", "127.0.0.1:0", "--config", file)
    assert done.exit_code == 0
    assert "answers no cable" in done.stderr
    file.write_text("[console\n")
    assert is_switched_on(file)


# --- the real program, and Ctrl-C --------------------------------------------------------------------------


def pehra(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pehra", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **(pipes | options))


def test_board_and_laptop_are_two_programs_and_ctrl_c_ends_both(tmp_path):
    file = write_config(tmp_path)
    with pehra("device", "serve-console", "--listen", "127.0.0.1:0", "--config", file) as board:
        port = board.stderr.readline().split()[-1]
        with pehra("provision", "--port", port, "identify", "--json") as laptop:
            assert json.loads(laptop.stdout.read())["device"] == "cam-01"
        with pehra("aim", "--port", port, "--no-browser") as laptop:
            assert "http://127.0.0.1:" in laptop.stdout.readline()
            laptop.send_signal(signal.SIGINT)
            assert laptop.wait(30) == 130
            assert "Traceback" not in laptop.stderr.read()
        board.send_signal(signal.SIGTERM)
        assert board.wait(30) == 0
        assert "Traceback" not in board.stderr.read()


# --- over rfc2217 ------------------------------------------------------------------------------------------


class _Pty(serial.Serial):
    """A pseudo-terminal has no modem's lines; a server asks for them all the same."""

    cts = dsr = ri = cd = True

    def _update_dtr_state(self):
        pass

    def _update_rts_state(self):
        pass


class _Peer:
    """What PortManager writes to."""

    def __init__(self, connection):
        self._connection = connection

    def write(self, data):
        self._connection.sendall(data)


@contextmanager
def rfc2217_server(port):
    """pyserial's own half of a server, as in its example: a serial port, reachable over telnet."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve_telnet, args=(listening, port))
        thread.start()
        yield f"rfc2217://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(30)
        assert not thread.is_alive()


def _serve_telnet(listening, port):
    connection, _ = listening.accept()
    with connection, closing(_Pty(str(port), timeout=0.05)) as line:
        manager = serial.rfc2217.PortManager(line, _Peer(connection))
        connection.settimeout(0.05)
        while True:
            try:
                data = connection.recv(1024)
                if not data:
                    return
                line.write(b"".join(manager.filter(data)))
            except TimeoutError:
                pass
            except OSError:
                return
            out = line.read(line.in_waiting or 1)
            if out:
                connection.sendall(b"".join(manager.escape(out)))


@pytest.mark.filterwarnings("ignore:set(Daemon|Name)\\(\\) is deprecated:DeprecationWarning")
def test_a_board_behind_a_serial_server_is_set_up_over_rfc2217(tmp_path):
    write_config(tmp_path)
    with (
        on_a_cable(tmp_path) as cable,
        rfc2217_server(cable.laptop_port) as address,
        session_on(address) as session,
    ):
        session.greet("test")
        assert session.ask(Identify()).device == "cam-01"


def test_a_board_is_set_up_over_a_socket(tmp_path):
    with on_a_socket(tmp_path) as address:
        assert run("provision", "--port", address, "identify").exit_code == 0


def test_a_laptop_needs_nothing_of_a_camera_or_a_server():
    program = (
        "import sys\n"
        "heavy = ('numpy', 'cv2', 'av', 'lap', 'paho', 'uuid_utils', 'ai_edge_litert', 'fastapi')\n"
        "sys.modules.update(dict.fromkeys(heavy))\n"
        "import pehra.provision.lead, pehra.provision.aim_page, pehra.provision.aim_terminal\n"
        "import pehra.provision.claims\n"
        "from typer.testing import CliRunner\n"
        "from pehra.cli import app\n"
        "print(CliRunner().invoke(app, ['provision', 'ports', '--json']).output)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["ok"]


# --- the guided path ---------------------------------------------------------------------------------------


class _Person:
    """Somebody who answers what is asked, from a list."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.told = []

    def ask(self, question):
        return self._answers.pop(0)

    secret = ask

    def tell(self, text):
        self.told.append(text)


def enrolling(folder, is_taken=True):
    """A desk whose board enrols as soon as it has a claim, or is refused by its fleet."""

    def enrol(ticket):
        identity = folder / "state" / IDENTITY
        if is_taken:
            make_enrolled(folder)
            drop_ticket(folder / "state")
            return
        digest = hashlib.sha256(ticket_json(ticket)).hexdigest()
        refused = Refused(ticket_sha256=digest, reason="expired", detail="make another")
        (identity / REFUSED).write_bytes(msgspec.json.encode(refused))

    return make_desk(folder, on_ticket=enrol)


def walked(folder, desk, person, enrol_s=30.0):
    with on_a_cable(folder, desk) as cable, session_on(cable.laptop_port) as session:
        session.greet("test")
        way = Way(session, person, lambda seconds: None, enrol_s=enrol_s)
        is_done = way.walk(way.identify())
    return is_done, way


def test_the_path_leads_from_wifi_and_claim_to_an_enrolled_board_and_its_check(tmp_path):
    write_config(tmp_path)
    person = _Person("", "not a claim", ticket_text(TICKET))
    _, way = walked(tmp_path, enrolling(tmp_path), person)
    assert [(step.name, step.result) for step in way.steps[:3]] == [
        ("Wi-Fi", "left as it is"),
        ("claim", "given"),
        ("enrolment", "enrolled as cam-01"),
    ]
    assert way.steps[3].name == "check"
    assert any(isinstance(line, Checked) for line in way.checked)
    assert any("neither a claim nor a file" in line for line in person.told)


def test_a_network_that_is_not_joined_is_asked_for_again_and_told_at_the_end(tmp_path):
    write_config(tmp_path)
    person = _Person("x" * 33, "a-password", "home", "a-password", "home", "a-password", "")
    is_done, way = walked(tmp_path, make_desk(tmp_path), person)
    assert not is_done
    assert (way.steps[0].result, way.steps[1].result) == ("not joined", "not given")
    assert any("no NetworkManager" in line for line in person.told)
    assert not any("a-password" in line for line in person.told)


def test_a_claim_that_the_fleet_refuses_is_told(tmp_path):
    write_config(tmp_path)
    is_done, way = walked(tmp_path, enrolling(tmp_path, is_taken=False), _Person("", ticket_text(TICKET)))
    assert not is_done
    assert way.steps[2].result == "refused: expired: make another"


def test_a_board_that_does_not_enrol_in_time_is_told(tmp_path):
    write_config(tmp_path)
    _, way = walked(tmp_path, make_desk(tmp_path), _Person("", ticket_text(TICKET)), enrol_s=0.2)
    assert way.steps[2].result == "not yet"


def test_a_board_that_is_enrolled_is_asked_for_no_claim(tmp_path):
    write_config(tmp_path)
    make_enrolled(tmp_path)
    _, way = walked(tmp_path, make_desk(tmp_path), _Person(""))
    assert way.steps[1].result == "not needed: enrolled as cam-01"


def test_who_is_asked_and_goes_away_ends_with_130(tmp_path):
    write_config(tmp_path)
    with on_a_cable(tmp_path) as cable:
        for words in ([], ["wifi", "home"], ["claim"]):
            done = run("provision", "--port", cable.laptop_port, *words, stdin="")
            assert done.exit_code == 130
            assert "the input ended; the board is as it was" in done.stderr
            assert "Ctrl-C" not in done.stderr


def test_ctrl_c_is_told_as_ctrl_c(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise typer.Abort from KeyboardInterrupt()

    monkeypatch.setattr("typer.prompt", interrupt)
    done = run("provision", "--port", tmp_path / "none", "claim")
    assert done.exit_code == 130
    assert "ended by Ctrl-C; the board is as it was" in done.stderr


def test_the_command_without_a_word_leads_to_a_table(tmp_path):
    write_config(tmp_path)
    with on_a_cable(tmp_path, enrolling(tmp_path)) as cable:
        done = run("provision", "--port", cable.laptop_port, stdin=f"\n{ticket_text(TICKET)}\n")
    assert done.exit_code == 1  # nobody is at the broker's port
    assert "enrolled as cam-01" in done.stdout
    assert "see the lines above" in done.stdout
