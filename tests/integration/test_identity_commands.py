"""The commands for a fleet's identity: what they make, what they show once, and how they refuse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from device.firmware.claim_file import kept_ticket
from device.firmware.enrol import read_refused
from device.firmware.identity import read_identity, signing_request
from fleet.identity.authority import new_key
from fleet.identity.home import Home
from ota.enrolment import EnrolRequest, parse_ticket
from pehra.commands.device import device_app
from pehra.commands.fleet import fleet_app
from tests.fleet_server import FleetServer
from tests.homes import make_home

RUNNER = CliRunner()


def run(*words: str | Path, **options: Any) -> Result:
    return RUNNER.invoke(fleet_app, [str(word) for word in words], **options)


def refusal(*words: str | Path) -> str:
    """One line on stderr, nothing on stdout, exit code 2."""
    done = run(*words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "root").write_text("the root's passphrase\nsecond line\n")
    (folder / "owner").write_text("the night heron waits\n")
    return ["--root-passphrase-file", folder / "root", "--owner-password-file", folder / "owner"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, secrets: list[str | Path]) -> Path:
    folder = tmp_path_factory.mktemp("fleet") / "home"
    done = run("init", folder, "--host", "fleet.example", *secrets)
    assert done.exit_code == 0, done.output
    return folder


def made(home: Path, *words: str | Path) -> dict[str, str]:
    done = run("claim", "new", "--anywhere", "--home", home, "--json", *words)
    assert done.exit_code == 0, done.output
    row: dict[str, str] = json.loads(done.stdout)
    return row


def rows(home: Path, *words: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(run(*words, "--json", "--home", home).stdout)
    return found


def test_init_makes_a_home_that_is_its_owners_alone_and_opens_with_the_first_line(home: Path) -> None:
    assert home.stat().st_mode & 0o777 == 0o700
    assert Home(home).root("the root's passphrase").certificate is not None
    addresses = Home(home).read_addresses()
    assert addresses.hosts == ["fleet.example", "localhost", "127.0.0.1"]
    assert addresses.url == "https://fleet.example:8443"


def test_the_database_of_a_home_is_its_owners_alone(home: Path) -> None:
    assert Home(home).database.stat().st_mode & 0o777 == 0o600


def test_init_closes_a_folder_that_was_there_and_open_and_says_so(
    tmp_path: Path, secrets: list[str | Path]
) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o755)
    done = run("init", folder, "--host", "fleet.example", *secrets)
    assert "now only its owner can" in done.output
    assert folder.stat().st_mode & 0o777 == 0o700


def test_init_refuses_a_second_time_and_changes_nothing(home: Path, secrets: list[str | Path]) -> None:
    before = Home(home).issuing_key.read_bytes()
    assert "already" in refusal("init", home, *secrets)
    assert Home(home).issuing_key.read_bytes() == before


def test_init_refuses_what_it_could_not_use(tmp_path: Path, secrets: list[str | Path]) -> None:
    (tmp_path / "short").write_text("short\n")
    for word, words in (
        ("12 letters", ["--root-passphrase-file", tmp_path / "short", *secrets[2:]]),
        ("No such file", ["--root-passphrase-file", tmp_path / "none", *secrets[2:]]),
        ("too short", [*secrets[:2], "--owner-password-file", tmp_path / "short"]),
        ("host", ["--host", "two words", *secrets]),
        ("addresses", ["--name", "", *secrets]),
        ("No such file", ["--import-authority", tmp_path / "none", *secrets]),
    ):
        assert word in refusal("init", tmp_path / "home", *words)
    assert not (tmp_path / "home").exists()


def test_commands_without_a_home_say_how_to_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEHRA_HOME", raising=False)
    assert "--home FOLDER" in refusal("claim", "list")
    assert "pehra fleet init" in refusal("device", "list", "--home", tmp_path)
    monkeypatch.setenv("PEHRA_HOME", str(tmp_path))
    assert "pehra fleet init" in refusal("enrolment", "list")


def test_a_ticket_is_shown_once(home: Path) -> None:
    done = run(
        "claim", "new", "--anywhere", "--home", home, "--site", "lahore/gulberg", "--device", "cam-once"
    )
    ticket = parse_ticket(done.stdout)
    assert (ticket.site, ticket.device, ticket.url) == (
        "lahore/gulberg", "cam-once", "https://fleet.example:8443",
    )  # fmt: skip
    assert "shown only now" in done.stderr
    (row,) = [one for one in rows(home, "claim", "list") if one["device"] == "cam-once"]
    assert (row["state"], row["used"]) == ("open", "0/1")
    listed = run("claim", "list", "--home", home).output + json.dumps(rows(home, "claim", "list"))
    assert ticket.claim not in listed
    database = b"".join(one.read_bytes() for one in home.glob("fleet.db*"))
    assert ticket.claim.encode() not in database


@pytest.mark.parametrize("before", [None, 0o666])
def test_a_ticket_in_a_file_is_its_owners_alone(home: Path, tmp_path: Path, before: int | None) -> None:
    out = tmp_path / "claim.json"
    if before is not None:
        out.write_text("x" * 5000)
        out.chmod(before)
    done = run("claim", "new", "--anywhere", "--home", home, "--out", out)
    assert done.exit_code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert parse_ticket(out.read_bytes()).claim not in done.output
    assert "cannot be written" in refusal("claim", "new", "--anywhere", "--home", home, "--out", tmp_path)


def test_a_claim_that_makes_no_sense_is_refused_in_a_line(home: Path, tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text("serial,id\n1,cam-1x\n1,cam-2x\n")
    (tmp_path / "latin.csv").write_bytes(b"serial\n\xff\n")
    for word, words in (
        ("site", ["--site", "<script>"]),
        ("timezone", ["--timezone", "Mars/Olympus"]),
        ("1 to 10000", ["--uses", "0"]),
        ("365 days", ["--days", "nan"]),
        ("365 days", ["--days", "1e300"]),
        ("one minute", ["--days", "0.00001"]),
        ("one minute", ["--days", "-1"]),
        ("fleet's own", ["--device", "fleet"]),
        ("line 3", ["--boards", tmp_path / "boards.csv"]),
        ("utf-8", ["--boards", tmp_path / "latin.csv"]),
        (
            "none.csv cannot be read (No such file or directory): name a CSV",
            ["--boards", tmp_path / "none.csv"],
        ),
    ):
        assert word in refusal("claim", "new", "--anywhere", "--home", home, *words)


def test_a_claim_is_cancelled_by_its_id(home: Path) -> None:
    claim = made(home)
    assert run("claim", "cancel", claim["id"], "--home", home).exit_code == 0
    (row,) = [one for one in rows(home, "claim", "list") if one["id"] == claim["id"]]
    assert row["state"] == "cancelled"
    assert "no claim" in refusal("claim", "cancel", "'; drop table claim; --", "--home", home)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetServer]:
    running = FleetServer(tmp_path_factory.mktemp("served")).start()
    yield running
    running.close()


def device_command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pehra", "device", "enrol", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


@pytest.fixture
def state() -> Iterator[Path]:
    """A board's state folder that belongs to the user of its service, outside of what is root's alone."""
    with tempfile.TemporaryDirectory(prefix="pehra-state-") as place:
        if os.geteuid() == 0:
            os.chown(place, 65534, 65534)
        yield Path(place)


def test_a_board_enrols_by_command_and_what_root_writes_belongs_to_whose_state_it_is(
    server: FleetServer, state: Path, tmp_path: Path
) -> None:
    folder, ticket = server.home.folder, tmp_path / "claim.json"
    done = run("claim", "new", "--anywhere", "--home", folder, "--device", "cam-cli", "--out", ticket)
    assert done.exit_code == 0
    enrolled = device_command(ticket, "--state", state)
    assert enrolled.returncode == 0, enrolled.stdout + enrolled.stderr
    assert "cam-cli at no site; broker localhost:8883" in enrolled.stdout
    identity = read_identity(state)
    assert identity is not None
    assert {one.stat().st_uid for one in state.rglob("*")} == {state.stat().st_uid}
    again = device_command(ticket, "--state", state)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "enrolled already" in again.stderr

    (row,) = [one for one in rows(folder, "device", "list") if one["device"] == "cam-cli"]
    assert row["state"] == "active"
    assert len(rows(folder, "device", "certificates", "cam-cli")) == 1
    assert "keyCompromise" in refusal("device", "revoke", "cam-cli", "--reason", "x", "--home", folder)
    assert run("device", "revoke", "cam-cli", "--home", folder).exit_code == 0
    (certificate,) = rows(folder, "device", "certificates", "cam-cli")
    assert certificate["reason"] == "keyCompromise"

    refused = device_command(ticket, "--state", tmp_path / "other")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "claim-used" in refused.stdout
    assert read_refused(tmp_path / "other") is not None


def test_a_ticket_is_kept_for_the_service_and_junk_is_none(server: FleetServer, tmp_path: Path) -> None:
    ticket = tmp_path / "claim.json"
    assert run("claim", "new", "--anywhere", "--home", server.home.folder, "--out", ticket).exit_code == 0
    words = ["enrol", "--no-wait", "--state", str(tmp_path / "state")]
    for junk in ("pehra:AAAA", str(tmp_path / "none"), str(tmp_path)):
        done = RUNNER.invoke(device_app, [*words, junk])
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.output
        assert not (tmp_path / "state").exists()
    assert RUNNER.invoke(device_app, [*words, str(ticket)]).exit_code == 0
    assert kept_ticket(tmp_path / "state") == parse_ticket(ticket.read_bytes())
    done = RUNNER.invoke(device_app, [*words, "-"], input=ticket.read_bytes())
    assert done.exit_code == 0, done.output


def test_a_board_that_waits_is_let_in_and_replaced_and_decommissioned_by_command(server: FleetServer) -> None:
    folder, key = server.home.folder, new_key()
    ticket = parse_ticket(
        run("claim", "new", "--anywhere", "--home", folder, "--approve", "--device", "cam-wait").stdout
    )
    request = EnrolRequest(
        claim=ticket.claim, csr=signing_request(key, ""), serial="100", board="<b>[red]x[/]"
    )
    assert server.do(server.office.enrol, request).state == "waiting"
    (waiting,) = rows(folder, "enrolment", "list")
    assert "[red]x[/]" in run("enrolment", "list", "--home", folder, env={"COLUMNS": "250"}).stdout
    for _ in range(2):
        done = run("enrolment", "approve", waiting["id"], "--home", folder)
        assert done.stdout == "cam-wait: approved\n"
    assert "was approved by" in refusal("enrolment", "refuse", waiting["id"], "--home", folder)
    assert server.do(server.office.enrol, request).state == "enrolled"
    assert "no board waits" in refusal("enrolment", "approve", "nobody", "--home", folder)

    replacing = parse_ticket(run("device", "replace", "cam-wait", "--serial", "200", "--home", folder).stdout)
    assert replacing.device == "cam-wait"
    assert run("device", "decommission", "cam-wait", "--home", folder, input="n\n").exit_code == 1
    assert "told to wipe" in run("device", "decommission", "cam-wait", "--yes", "--home", folder).stdout
    assert "retired" in run("device", "decommission", "cam-wait", "--yes", "--now", "--home", folder).stdout
    (row,) = [one for one in rows(folder, "device", "list") if one["device"] == "cam-wait"]
    assert (row["state"], row["reason"]) == ("retired", "decommissioned without its answer")
    for word in ("revoke", "replace", "decommission", "certificates"):
        assert "cam-none" in refusal("device", word, "cam-none", "--home", folder)


def test_broker_config_is_written_where_the_broker_reads_it_and_told_to_the_home(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    home.folder.chmod(0o700)
    if os.geteuid() == 0:
        folder = home.folder / "broker"
        assert "is closed to it" in refusal("broker-config", folder, "--home", home.folder)
    assert "no " in refusal("broker-run", tmp_path / "nothing")
    assert "quotes" in refusal("broker-config", tmp_path / 'a"b', "--home", home.folder)


def test_init_makes_a_director_whose_keys_have_the_roots_passphrase(
    home: Path, secrets: list[str | Path]
) -> None:
    done = run("director", "status", "--home", home)
    assert done.exit_code == 0, done.output
    assert "root 1: expires in 12 months" in done.output
    assert "key-1: signs documents" in done.output
    assert "already" in refusal("director", "init", "--home", home, "--passphrase-file", secrets[1])


def test_the_director_is_rotated_by_one_root_key_from_a_stick(
    tmp_path: Path, secrets: list[str | Path]
) -> None:
    folder = tmp_path / "home"
    assert run("init", folder, "--host", "fleet.example", *secrets).exit_code == 0
    stick = tmp_path / "stick"
    stick.mkdir()
    for file in list((folder / "director" / "keys").iterdir()):
        file.rename(stick / file.name)
    options = ["--home", folder, "--passphrase-file", secrets[1]]
    assert "not at hand" in refusal("director", "rotate", *options)
    done = run("director", "rotate", "--keys", stick, *options)
    assert done.exit_code == 0, done.output
    assert "root 2: key-2 is in use" in done.output
    assert "passphrase is wrong" in refusal(
        "director", "rotate", "--keys", stick, "--home", folder, "--passphrase-file", secrets[3]
    )
    assert "no key 'root-7'" in refusal("director", "rotate", "--key", "root-7", *options)


def test_a_home_that_was_made_before_gets_a_director(tmp_path: Path, secrets: list[str | Path]) -> None:
    folder = tmp_path / "home"
    assert run("init", folder, "--host", "fleet.example", *secrets).exit_code == 0
    shutil.rmtree(folder / "director")
    assert "director init" in refusal("director", "status", "--home", folder)
    done = run("director", "init", "--home", folder, "--passphrase-file", secrets[1])
    assert done.exit_code == 0, done.output
    assert run("director", "status", "--home", folder).exit_code == 0


def test_a_root_that_soon_expires_is_said_with_exit_code_1(tmp_path: Path) -> None:
    from fleet.director.home import DirectorHome

    DirectorHome(tmp_path).make(lambda *_: "a passphrase for tests", datetime.now(UTC), life_days=30)
    done = run("director", "status", "--home", tmp_path)
    assert done.exit_code == 1
    assert "rotate" in done.output
