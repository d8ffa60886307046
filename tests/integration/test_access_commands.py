"""`pehra fleet user` and `pehra fleet audit` on a real database."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fleet.access.users import create_owner
from fleet.store.database import open_database
from pehra.commands.fleet import fleet_app
from tests.homes import make_home
from tests.people import OWNER, PASSWORD


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_home(tmp_path)
    engine = open_database(f"sqlite:///{tmp_path}/fleet.db")
    create_owner(engine, OWNER, PASSWORD)
    engine.dispose()
    return tmp_path


def run(home: Path, *words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(fleet_app, [*words, "--home", str(home)], input=stdin)


def test_people_are_added_changed_and_listed(home: Path) -> None:
    assert run(home, "user", "add", "asad", "operator@lahore", stdin=f"{PASSWORD}\n").exit_code == 0
    assert run(home, "user", "grant", "asad", "viewer", "technician@lahore/cantt").exit_code == 0
    for verb in ("disable", "enable", "unlock", "totp-reset", "disable"):
        assert run(home, "user", verb, "asad").exit_code == 0
    assert run(home, "user", "password", "asad", stdin="another long sentence\n").exit_code == 0
    listed = run(home, "user", "list").output
    assert "asad" in listed and "technician@lahore/cantt viewer  [disabled]" in listed


@pytest.mark.parametrize(
    ("words", "stdin", "sentence"),
    [
        (("user", "add", "x", "king"), PASSWORD, "no role 'king'"),
        (("user", "add", "x", "viewer"), "short", "too short"),
        (("user", "add", "x", "viewer"), "x" * 1_000_000, "too long"),
        (("user", "add", OWNER, "viewer"), PASSWORD, "already"),
        (("user", "add", "<img src=x>", "viewer"), PASSWORD, "no user name"),
        (("user", "disable", OWNER), "", "the last owner"),
        (("user", "grant", OWNER, "viewer"), "", "the last owner"),
        (("user", "grant", "nobody", "viewer"), "", "no user of that name"),
        (("user", "token", OWNER, "x", "--may", "fly"), "", "no permission 'fly'"),
        (("audit", "verify", "--head", "rubbish"), "", "N:HASH"),
        (("audit", "export", "/nowhere/at/all.csv"), "", "cannot write"),
    ],
)
def test_what_is_refused_is_said_in_a_sentence_and_ends_with_2(
    home: Path, words: tuple[str, ...], stdin: str, sentence: str
) -> None:
    done = run(home, *words, stdin=stdin)
    assert (done.exit_code, sentence in " ".join(done.output.split())) == (2, True), done.output


def test_a_fleet_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PEHRA_HOME", "PEHRA_DB"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(fleet_app, ["user", "list"])
    assert (done.exit_code, "--home DIR" in done.output) == (2, True)


def test_a_password_is_no_argument_of_any_command() -> None:
    done = CliRunner().invoke(fleet_app, ["user", "add", "--help"])
    assert "--password" not in done.output


def test_the_log_is_checked_exported_and_a_damage_named(home: Path) -> None:
    assert run(home, "user", "token", OWNER, "nightly", "--may", "see-events").exit_code == 0
    whole = run(home, "audit", "verify")
    assert whole.exit_code == 0 and "whole: 2 rows, head 2:" in whole.output
    head = whole.output.split()[-1]
    assert run(home, "audit", "export", str(home / "log.csv")).exit_code == 0
    with (home / "log.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["action"] for row in rows] == ["user.add", "token.make", "audit.export"]
    assert PASSWORD not in str(rows) and "pehra_" not in str(rows)
    with sqlite3.connect(home / "fleet.db") as connection:
        connection.execute("update audit_entry set who = 'nobody' where n = 2")
    connection.close()
    damaged = run(home, "audit", "verify", "--head", head)
    assert damaged.exit_code == 1 and "row 2: was changed" in damaged.output
