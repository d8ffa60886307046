"""The command lines that the documents tell a technician to type, typed: from a ticket to an identity."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from device.firmware.config import load_config
from device.firmware.enrol import Hardware, enrol_once
from device.firmware.identity import read_identity
from ota.enrolment import parse_ticket
from pehra.cli import app
from tests import card_images
from tests.card_images import inspect, make_image, pack
from tests.fleet_server import FleetServer

ROOT = Path(__file__).resolve().parent.parent.parent
BATCH = "--batch"


def flash_lines(document: str) -> list[str]:
    """Every whole `sudo pehra flash ...` of a document, in one line each."""
    text = (ROOT / document).read_text().replace("\\\n", " ")
    found = re.findall(r"^\s*sudo (pehra flash .+)$|`sudo (pehra flash [^`]+)`", text, re.MULTILINE)
    return [" ".join("".join(one).removesuffix("...").split()) for one in found]


def claim_line(document: str) -> str:
    """The first `pehra fleet claim new ...` of a document, without where its ticket goes."""
    (found,) = re.findall(r"`(pehra fleet claim new [^`]+)`", (ROOT / document).read_text())[:1]
    return " ".join(found.partition(">")[0].replace("--home FLEET", "").split())


def typed(line: str, **options: Any) -> Result:
    words = [str(Path(word).expanduser()) if word.startswith("~") else word for word in shlex.split(line)]
    done = CliRunner().invoke(app, words[1:], **options)
    assert done.exit_code == 0, f"{line}\n{done.output}"
    return done


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetServer]:
    server = FleetServer(tmp_path_factory.mktemp("fleet")).start()
    yield server
    server.close()


@pytest.fixture
def desk(fleet: FleetServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all the files that the lines name, but the ticket."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PEHRA_HOME", str(fleet.home.folder))
    monkeypatch.setenv("PEHRA_WIFI_PASSWORD", "correct horse")
    monkeypatch.setenv("HOME", str(tmp_path))
    pack(make_image(tmp_path / "raspios-lite.img", card_images.BOOKWORM), "xz")
    (tmp_path / "wheels").mkdir()
    for name in ("device.lock", "pehra-0.1.0-py3-none-any.whl"):
        (tmp_path / "wheels" / name).touch()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(f"ssh-ed25519 {'A' * 68} tech\n")
    (rows,) = re.findall(r"```\n(id,site,serial\n.*?)```", (ROOT / "docs/flashing.md").read_text(), re.DOTALL)
    (tmp_path / "labels.csv").write_text(rows)
    return tmp_path


def card_of(desk: Path, line: str, name: str) -> Path:
    """Type a line of a document, with a file in the place of the card."""
    assert "--to /dev/sdb" in line
    typed(f"{line} --dry-run")
    typed(line.replace("/dev/sdb", name) + " --yes")
    return desk / name


@pytest.mark.parametrize("document", ["docs/field-guide.md", "README.md"])
def test_the_documented_road_leads_from_a_ticket_to_an_identity(desk: Path, document: str) -> None:
    (line,) = flash_lines(document)
    wanted = dict(re.findall(r"--(id|site) (\S+)", line))
    (desk / "ticket.txt").write_text(typed(claim_line(document)).stdout)
    card = card_of(desk, line, "card.img")
    enrol_once(desk / "state", parse_ticket(inspect(card, "pehra/claim.json")), Hardware())
    identity = read_identity(desk / "state")
    assert identity is not None
    assert (identity.device, identity.site) == (wanted["id"], wanted["site"])


def test_the_documented_batch_is_let_in_card_by_card(desk: Path) -> None:
    one, batch = flash_lines("docs/flashing.md")
    assert BATCH in batch
    assert BATCH not in one
    typed("pehra fleet claim new --site lahore/gulberg --uses 10 --out batch.json")
    card_of(desk, batch, "'card-{id}.img'")
    rows = [line.split(",") for line in (desk / "labels.csv").read_text().splitlines()[1:]]
    for device, site, _ in rows:
        ticket = parse_ticket(inspect(desk / f"card-{device}.img", "pehra/claim.json"))
        assert (ticket.device, ticket.site) == (device, site)
        assert enrol_once(desk / f"board-{device}", ticket, Hardware()).site == site


def test_the_documented_single_card_is_made(desk: Path) -> None:
    line, _ = flash_lines("docs/flashing.md")
    typed("pehra fleet claim new --site lahore/gulberg --out claim.json")
    ticket = parse_ticket(inspect(card_of(desk, line, "card.img"), "pehra/claim.json"))
    assert ticket.site == "lahore/gulberg/liberty-chowk"


@pytest.mark.parametrize("document", ["docs/device.md", "README.md"])
def test_the_documented_road_by_hand_leads_to_a_configuration_that_starts(desk: Path, document: str) -> None:
    assert "device.example.toml` to `/etc/pehra/device.toml`" in (ROOT / document).read_text()
    (line,) = re.findall(
        r"`sudo -u pehra (pehra device enrol - )< ticket.txt`", (ROOT / document).read_text()
    )
    ticket = typed(claim_line("README.md")).stdout
    config = desk / "device.toml"
    example = (ROOT / "device.example.toml").read_text()
    config.write_text(example.replace("/var/lib/pehra", str(desk / "state")))
    typed(f"{line} -c {config}", input=ticket)
    typed(f"pehra device check -c {config} --config-only")
    loaded = load_config(config)
    assert (loaded.device.id, loaded.device.site) == ("gulberg-01", "lahore/gulberg")
    assert (loaded.mqtt.host, loaded.mqtt.port) == ("localhost", 8883)
