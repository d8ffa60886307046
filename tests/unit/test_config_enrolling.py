"""A configuration is looked at before a ticket is spent: what would keep the board from its fleet is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from device.errors import ConfigError
from device.firmware.claim_file import IDENTITY, kept_ticket
from device.firmware.config import load_alone, ticket_for
from ota.enrolment import Ticket, ticket_text
from pehra.commands.device import device_app
from tests.boards_on_a_cable import TICKET

ROOT = Path(__file__).resolve().parent.parent.parent
CAMERA = '[[camera]]\nsource = "street"\n'
NAMED = msgspec.structs.replace(TICKET, device="cam-01")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "device.toml"


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[device]\nid = "gulberg-01"\n', "toml:2: device.id: the ticket is for cam-01: delete the line"),
        ('[device]\nsite = "karachi"\n', "toml:2: device.site: the ticket is for lahore/gulberg: delete"),
        ('[mqtt]\nhost = "fleet.example.org"\n', "toml:2: mqtt.host: it would win over what the fleet tells"),
        ('[mqtt]\nca = "/etc/pehra/ca.pem"\n', "mqtt.ca: it would win"),
        ('[device]\nname = "x"\n', "device.name"),
        ("[device\n", "not TOML"),
        ("device = 1\n", "device: "),
        ("mqtt = 1\n", "mqtt: "),
        ("\udcff", "not UTF-8"),
    ],
)
def test_a_configuration_that_would_keep_the_board_from_its_fleet_is_told_before_the_ticket_is_spent(
    file: Path, text: str, said: str
) -> None:
    file.write_text(text + CAMERA, "utf-8", "surrogateescape")
    with pytest.raises(ConfigError) as refused:
        ticket_for(file, NAMED)
    assert said in str(refused.value)
    done = enrolled(file, NAMED)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert not (file.parent / "state" / IDENTITY).exists()


@pytest.mark.parametrize("text", ["", "[mqtt]\nkeepalive_s = 30\n", '[device]\ntimezone = "Asia/Karachi"\n'])
def test_a_configuration_that_leaves_room_for_the_fleet_changes_no_ticket(file: Path, text: str) -> None:
    assert ticket_for(written(file, text + CAMERA), NAMED) == NAMED


def test_the_example_configuration_leaves_room_for_every_ticket() -> None:
    assert ticket_for(ROOT / "device.example.toml", TICKET) == TICKET
    assert load_alone(ROOT / "device.example.toml").device.state == "/var/lib/pehra"


def test_id_and_site_of_the_configuration_are_asked_for_where_the_ticket_leaves_them_open(file: Path) -> None:
    written(file, '[device]\nid = "cam-07"\nsite = "lahore/gulberg/north"\n' + CAMERA)
    assert enrolled(file, TICKET).exit_code == 0
    kept = kept_ticket(file.parent / "state")
    assert kept == msgspec.structs.replace(TICKET, device="cam-07", site="lahore/gulberg/north")


def test_a_configuration_that_was_named_must_be_there_and_the_usual_one_need_not(file: Path) -> None:
    done = enrolled(file, TICKET)
    assert done.exit_code == 2
    assert f"{file}: cannot be read (No such file or directory)" in done.stderr
    words = ["enrol", ticket_text(TICKET), "--no-wait", "--state", str(file.parent / "state")]
    assert CliRunner().invoke(device_app, words).exit_code == 0


def test_a_ticket_that_is_not_there_is_told_in_words(file: Path) -> None:
    done = CliRunner().invoke(device_app, ["enrol", str(file), "--state", str(file.parent)])
    assert done.exit_code == 2
    told = f"{file}: the ticket cannot be read (No such file or directory): name its file, its line, or -"
    assert done.stderr.startswith(told)


def enrolled(file: Path, ticket: Ticket):  # type: ignore[no-untyped-def]  # click's own
    words = [
        "enrol",
        ticket_text(ticket),
        "--no-wait",
        "-c",
        str(file),
        "--state",
        str(file.parent / "state"),
    ]
    return CliRunner().invoke(device_app, words)
