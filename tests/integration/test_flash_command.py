"""`pehra flash` as a technician calls it, onto files that stand for cards."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from ota.enrolment import Ticket, parse_ticket, ticket_json, ticket_text
from pehra.cli import app
from tests import card_images
from tests.card_images import inspect, make_image

TICKET = Ticket(
    claim="c" * 32, url="https://fleet.example:8443", pin="ab" * 32, made="2026-11-26T12:00:00.000Z"
)
SECRET = "correct horse"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return make_image(tmp_path_factory.mktemp("images") / "raspios.img", card_images.BOOKWORM)


@pytest.fixture
def call(image, tmp_path, monkeypatch):
    monkeypatch.setenv("PEHRA_WIFI_PASSWORD", SECRET)
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str, given: str = "", to: str = "card.img"):
        command = ["flash", str(image), "--to", str(tmp_path / to), *arguments]
        return CliRunner().invoke(app, command, input=given)

    return called


def test_a_card_is_made_with_its_ticket(call, tmp_path):
    (tmp_path / "claim.json").write_bytes(ticket_json(TICKET))
    done = call(
        "--id", "gulberg-01", "--site", "lahore/gulberg", "--wifi", "Market", "--country", "pk",
        "--claim", "claim.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "gulberg-01: 0.06 GB written and verified; firstrun, customisation " in done.output
    kept = parse_ticket(inspect(tmp_path / "card.img", "pehra/claim.json"))
    assert (kept.claim, kept.device, kept.site) == (TICKET.claim, "gulberg-01", "lahore/gulberg")
    assert SECRET not in done.output
    assert TICKET.claim not in done.output


def test_the_password_of_the_wifi_is_asked_for_and_not_shown(call, tmp_path, monkeypatch):
    monkeypatch.delenv("PEHRA_WIFI_PASSWORD")
    done = call("--wifi", "Market", "--country", "PK", given=f"{SECRET}\n")
    assert done.exit_code == 0, done.output
    assert SECRET not in done.output
    expected = hashlib.pbkdf2_hmac("sha1", SECRET.encode(), b"Market", 4096, 32).hex()
    assert f"psk={expected}\n".encode() in inspect(tmp_path / "card.img", "pehra/wifi.nmconnection")


def test_an_existing_file_is_asked_about_once_with_its_size(call, image, tmp_path):
    (tmp_path / "card.img").write_bytes(bytes(image.stat().st_size + 512))
    done = call(given="n\n")
    assert done.exit_code == 2
    assert done.output.count("Overwrite the file") == 1
    assert "(0.06 GB)? All that is on it is lost." in done.output
    assert not any((tmp_path / "card.img").read_bytes())
    assert call("--yes").exit_code == 0


def test_a_card_that_is_too_small_is_refused_and_keeps_what_it_has(call, tmp_path):
    (tmp_path / "card.img").write_bytes(b"mine" * (1 << 20))
    done = call("--yes")
    assert done.exit_code == 2
    assert "use a larger card" in done.output
    assert "does not boot" not in done.output
    assert (tmp_path / "card.img").read_bytes() == b"mine" * (1 << 20)


def test_the_hash_beside_the_image_is_used(call, image):
    beside = image.with_name(image.name + ".sha256")
    try:
        beside.write_text(f"{'0' * 64}  {image.name}\n")
        done = call()
        assert done.exit_code == 1
        assert "should be 000" in done.output
        assert "card.img does not boot now" in done.output
        beside.write_text(f"{hashlib.sha256(image.read_bytes()).hexdigest()} *{image.name}\n")
        done = call("--yes")
        assert done.exit_code == 0
        assert "not checked" not in done.output
        beside.write_text(f"{'0' * 64}  other.img\n")
        assert "there is no SHA-256 of raspios.img in it" in call("--yes").output
    finally:
        beside.unlink()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--claim", "pehra:xxxx"], "claim: "),
        (["--claim", "none.json"], "it cannot be read"),
        (["--claim", "{}"], "claim: "),
        (["--wifi", "x" * 33, "--country", "PK"], "Wi-Fi name"),
        (["--wifi", "x"], "--country"),
        (["--id", "X"], "3 to 40"),
        (["--site", "a b"], "cannot be used"),
        (["--sha256", "abc"], "64 hexadecimal digits"),
        (["--wheelhouse", "."], "no device.lock"),
        (["--ssh-key", "none.pub"], "it cannot be read"),
        (["--batch", "none.csv"], "it cannot be read"),
        (["--labels", "sheet.doc", "--id", "cam-01"], ".pdf or .svg"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(call, tmp_path, arguments, said):
    done = call(*arguments)
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert not (tmp_path / "card.img").exists()


def test_a_ticket_for_another_site_or_device_is_refused(call, tmp_path):
    bound = Ticket(
        claim=TICKET.claim, url=TICKET.url, pin=TICKET.pin, made=TICKET.made, site="karachi", device="cam-77"
    )
    done = call("--claim", ticket_text(bound), "--site", "lahore", "--id", "cam-77")
    assert done.exit_code == 2
    assert "ticket for site karachi: the card shall have lahore" in done.output
    done = call("--claim", ticket_text(bound), "--id", "cam-78")
    assert "ticket for id cam-77: the card shall have cam-78" in done.output
    assert call("--claim", ticket_text(bound)).exit_code == 0
    assert inspect(tmp_path / "card.img", "pehra/site.toml") == b'device = "cam-77"\nsite = "karachi"\n'


@pytest.mark.parametrize("row", ["--id cam-77", "--batch labels.csv"])
def test_a_card_may_hang_below_the_site_of_its_ticket(call, tmp_path, row):
    (tmp_path / "labels.csv").write_text("id,site\ncam-77,lahore/gulberg/north\n")
    options = row.split() + ([] if "--batch" in row else ["--site", "lahore/gulberg/north"])
    bound = Ticket(
        claim=TICKET.claim, url=TICKET.url, pin=TICKET.pin, made=TICKET.made, site="lahore/gulberg"
    )
    done = call("--claim", ticket_text(bound), *options)
    assert done.exit_code == 0, done.output
    assert parse_ticket(inspect(tmp_path / "card.img", "pehra/claim.json")).site == "lahore/gulberg/north"


def test_a_card_without_a_ticket_is_said_to_need_one(call):
    needs = "no ticket is on it: give the board one (pehra provision), or it cannot enrol"
    for more in ([], ["--dry-run"]):
        assert needs in " ".join(call("--id", "cam-01", "--site", "lahore", "--yes", *more).output.split())
    assert needs not in call("--id", "cam-01", "--claim", ticket_text(TICKET), "--yes").output
    assert needs not in call("--yes").output, "the plain image is nobody's camera yet"


def test_without_mtools_it_says_what_to_install_before_anything_is_written(call, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = call("--id", "cam-01")
    assert done.exit_code == 2
    assert "mtools is not installed; sudo apt install mtools" in done.output
    assert not (tmp_path / "card.img").exists()


def test_the_plain_image_needs_no_mtools(call, image, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = call()
    assert done.exit_code == 0, done.output
    assert "the plain image, without first-boot files" in done.output
    assert (tmp_path / "card.img").read_bytes() == image.read_bytes()


def test_the_list_of_disks_needs_no_image(monkeypatch):
    done = CliRunner().invoke(app, ["flash", "--list"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["flash"])
    assert done.exit_code == 2
    assert "pehra flash --list" in done.output


@pytest.mark.parametrize("to", ["/dev/null", "/dev/sdzz", "/dev/disk/by-id/none", "/"])
def test_a_device_that_is_no_disk_is_refused(image, to):
    done = CliRunner().invoke(app, ["flash", str(image), "--to", to, "--yes"])
    assert done.exit_code == 2, done.output


def test_a_dry_run_shows_the_files_and_no_secret_and_writes_nothing(call, tmp_path):
    done = call(
        "--id", "cam-01", "--wifi", "Market", "--country", "PK", "--claim", ticket_text(TICKET), "--dry-run"
    )
    assert done.exit_code == 0, done.output
    for name in ("pehra/claim.json", "user-data", "firstrun.sh", "cmdline.txt"):
        assert name in done.output
    assert SECRET not in done.output
    assert TICKET.claim not in done.output
    assert not (tmp_path / "card.img").exists()


BATCH = "id,site,claim,serial\ncam-01,lahore/a,{0},S1\ncam-02,lahore/b,,S2\ncam-03,lahore/c,,\n"


def test_a_batch_is_made_is_resumed_and_has_labels_without_claims(call, tmp_path):
    own = Ticket(claim="d" * 32, url=TICKET.url, pin=TICKET.pin, made=TICKET.made)
    (tmp_path / "labels.csv").write_text(BATCH.format(ticket_text(own)))
    (tmp_path / "card-cam-02.img").mkdir()  # the second card cannot be written
    options = ("--batch", "labels.csv", "--claim", ticket_text(TICKET), "--labels", "sheet.svg")
    done = call(*options, to="card-{id}.img")
    assert done.exit_code == 2
    assert "cam-01: 0.06 GB written and verified" in done.output
    (tmp_path / "card-cam-02.img").rmdir()
    done = call(*options, to="card-{id}.img")
    assert done.exit_code == 0, done.output
    assert "cam-01: 0.06" not in done.output
    assert "1 were done before" in done.output
    claims = [
        parse_ticket(inspect(tmp_path / f"card-cam-0{number}.img", "pehra/claim.json"))
        for number in (1, 2, 3)
    ]
    assert [one.claim[0] for one in claims] == ["d", "c", "c"]
    assert [one.site for one in claims] == ["lahore/a", "lahore/b", "lahore/c"]
    lines = [json.loads(line) for line in (tmp_path / "labels.csv.done").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["cam-01", "cam-02", "cam-03"]
    sheet = (tmp_path / "sheet.svg").read_text()
    assert "cam-03" in sheet
    assert "c" * 32 not in sheet
    assert ticket_text(own) not in sheet


def test_a_batch_with_a_bad_ticket_in_its_last_row_writes_no_card(call, tmp_path):
    (tmp_path / "labels.csv").write_text("id,site,claim\ncam-01,a,\ncam-02,b,pehra:nonsense\n")
    done = call("--batch", "labels.csv", to="card-{id}.img")
    assert done.exit_code == 2
    assert "claim of cam-02" in done.output
    assert not (tmp_path / "card-cam-01.img").exists()


def test_ctrl_c_says_that_the_card_does_not_boot(image, tmp_path):
    """The image is a pipe's worth of data that does not end before the signal: a large sparse file."""
    big, card = tmp_path / "big.img", tmp_path / "card.img"
    with big.open("wb") as opened:
        opened.write(image.read_bytes()[:4096])
        opened.truncate(16 << 30)
    program = subprocess.Popen(
        [sys.executable, "-m", "pehra", "flash", str(big), "--to", str(card)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    deadline_s = time.monotonic() + 60
    while not card.exists() or card.stat().st_size < 8 << 20:
        assert time.monotonic() < deadline_s
        assert program.poll() is None
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=60)
    assert program.returncode == 130
    assert "does not boot now: flash it anew" in said
    with card.open("rb") as opened:
        assert not any(opened.read(4096))
