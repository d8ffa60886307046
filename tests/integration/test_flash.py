"""An image like Raspberry Pi OS, made with Debian's tools, goes onto a file; mtools looks after it."""

import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hardware.errors import ImageUnusable, NotCustomised
from hardware.flash.card import HEAD_BYTES, open_file
from hardware.flash.flashing import Flashed, flash
from hardware.flash.image import look_at
from hardware.flash.os_format import OsFormat
from hardware.flash.settings import Setup, wifi
from tests import card_images
from tests.card_images import BOOT_AT, BOOT_BYTES, check_fat, inspect, make_image, pack

SSID = 'Bazar\'s "پہرہ" $(id)'
KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9aQxYqz0Zk3m1m1m1m1m1m1m1m1m1m1m1m1m1m a technician\'s "key"'


class Quiet:
    """Remembers the stages."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.last_bytes = 0

    def stage(self, name: str, total_bytes: int | None) -> None:
        self.stages.append(name)

    def done(self, done_bytes: int) -> None:
        self.last_bytes = done_bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def bookworm(folder):
    return make_image(folder / "bookworm.img", card_images.BOOKWORM)


@pytest.fixture(scope="module")
def trixie(folder):
    return make_image(folder / "trixie.img", card_images.TRIXIE)


@pytest.fixture
def setup(tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "device.lock").write_text("numpy==2.1.0 --hash=sha256:00\n")
    (wheels / "pehra-0.1.0-py3-none-any.whl").write_bytes(b"the program" * 1000)
    long_name = "numpy-2.1.0-cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"
    (wheels / long_name).write_bytes(b"n" * 99)
    return Setup(
        site="lahore/gulberg", device="gulberg-01", claim=b'{"v":1,"claim":"x"}\n', hostname="gulberg-01",
        wifi=wifi(SSID, "correct horse", "PK"), ssh_keys=(KEY,), timezone="Asia/Karachi", wheelhouse=wheels,
    )  # fmt: skip


def flashed(image: Path, card: Path, setup: Setup | None = None, sha256: str = "") -> Flashed:
    opened, descriptor = open_file(card)
    try:
        return flash(look_at(image), opened, setup, sha256, Quiet())
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def boots(card: Path) -> bool:
    with card.open("rb") as opened:
        return any(opened.read(HEAD_BYTES))


@pytest.mark.parametrize("kind", ["img", "xz", "zip", "zst", "gz"])
def test_every_packing_gives_the_same_card_byte_for_byte(bookworm, kind, tmp_path):
    packed = pack(bookworm, kind)
    done = flashed(packed, tmp_path / "card.img", sha256=sha256_of(packed))
    assert (tmp_path / "card.img").read_bytes() == bookworm.read_bytes()
    assert done.written.sha256 == sha256_of(bookworm)
    assert done.written.file_sha256 == sha256_of(packed)
    assert done.customised is None


@pytest.mark.parametrize(("table", "fat_bits"), [("dos", 32), ("dos", 16), ("gpt", 32)])
def test_bookworm_gets_firstrun_and_all_else_stays_as_it_was(table, fat_bits, setup, tmp_path):
    image = make_image(tmp_path / "i.img", card_images.BOOKWORM, table=table, fat_bits=fat_bits)
    card = tmp_path / "card.img"
    done = flashed(image, card, setup)
    assert done.customised
    assert done.customised.os_format is OsFormat.FIRSTRUN
    before, after = image.read_bytes(), card.read_bytes()
    assert after[:BOOT_AT] == before[:BOOT_AT]
    assert after[BOOT_AT + BOOT_BYTES :] == before[BOOT_AT + BOOT_BYTES :]
    words = inspect(card, "cmdline.txt").decode().split()
    assert words[:3] == ["console=serial0,115200", "console=tty1", "root=PARTUUID=4e639091-02"]
    assert words[-4:] == [
        "cfg80211.ieee80211_regdom=PK",
        "systemd.run=/boot/firmware/firstrun.sh",
        "systemd.run_success_action=reboot",
        "systemd.unit=kernel-command-line.target",
    ]
    assert inspect(card, "cmdline.txt").count(b"\n") == 1
    assert inspect(card, "pehra/claim.json") == setup.claim
    assert inspect(card, "config.txt") == card_images.BOOKWORM["config.txt"].encode()
    assert "correct horse" not in after.decode("latin-1")
    said = check_fat(card, tmp_path)
    assert "differ" not in said.lower(), said


def test_first_trixie_images_get_firstrun_too(setup, tmp_path):
    image = make_image(tmp_path / "i.img", card_images.FIRST_TRIXIE)
    done = flashed(image, tmp_path / "card.img", setup)
    assert done.customised
    assert done.customised.os_format is OsFormat.FIRSTRUN


def test_later_trixie_gets_cloud_init(trixie, setup, tmp_path):
    card = tmp_path / "card.img"
    done = flashed(pack(trixie, "xz"), card, setup)
    assert done.customised
    assert done.customised.os_format is OsFormat.CLOUD_INIT
    raw = inspect(card, "user-data")
    assert raw.startswith(b"#cloud-config\n")
    user = yaml.safe_load(raw)
    assert user["hostname"] == "gulberg-01"
    assert user["users"][0]["ssh_authorized_keys"] == [KEY]
    assert user["users"][0]["lock_passwd"] is True
    assert ["systemctl", "enable", "pehra-setup.service"] in user["runcmd"]
    network = yaml.safe_load(inspect(card, "network-config"))["network"]
    assert network["wifis"]["wlan0"]["access-points"] == {SSID: {"password": setup.wifi.key_hex}}
    instance = f"pehra-{done.customised.sha256[:16]}"
    assert yaml.safe_load(inspect(card, "meta-data"))["instance-id"] == instance
    assert inspect(card, "cmdline.txt").decode().split()[-1] == f"ds=nocloud;i={instance}"
    assert b"systemd.run" not in inspect(card, "cmdline.txt")
    check_fat(card, tmp_path)


def test_the_board_can_check_what_it_was_given_with_sha256sum(bookworm, setup, tmp_path):
    card = tmp_path / "card.img"
    done = flashed(bookworm, card, setup)
    boot = tmp_path / "boot"
    boot.mkdir()
    source = f"{card}@@{BOOT_AT}"
    subprocess.run(["mcopy", "-s", "-n", "-i", source, "::/", str(boot)], check=True, capture_output=True)
    checked = ["sha256sum", "--check", "--strict", "--quiet", "pehra/files.sha256"]
    subprocess.run(checked, cwd=boot, check=True, capture_output=True)
    assert done.customised
    assert sha256_of(boot / "pehra/files.sha256") == done.customised.sha256
    assert (boot / "pehra/customisation.sha256").read_text() == f"{done.customised.sha256}\n"


def test_the_same_setup_has_the_same_hash_and_another_has_another(bookworm, setup, tmp_path):
    first = flashed(bookworm, tmp_path / "a.img", setup).customised
    again = flashed(bookworm, tmp_path / "b.img", setup).customised
    other = flashed(
        bookworm, tmp_path / "c.img", Setup(site="lahore/anarkali", device="gulberg-01")
    ).customised
    assert first and again and other
    assert first.sha256 == again.sha256 != other.sha256


def test_a_card_that_was_set_up_before_is_set_up_anew(bookworm, setup, tmp_path):
    card, image = tmp_path / "card.img", tmp_path / "used.img"
    flashed(bookworm, image, setup)
    done = flashed(image, card, setup)
    assert done.customised
    assert inspect(card, "cmdline.txt").count(b"systemd.run=") == 1


def test_a_card_larger_than_the_image_keeps_its_size_and_loses_its_old_table(bookworm, tmp_path):
    card = tmp_path / "card.img"
    card.write_bytes(b"\xee" * (bookworm.stat().st_size + (3 << 20)))
    flashed(bookworm, card)
    found = card.read_bytes()
    assert len(found) == bookworm.stat().st_size + (3 << 20)
    assert found[: bookworm.stat().st_size] == bookworm.read_bytes()
    assert not any(found[-(1 << 20) :])


def test_wrong_hash_leaves_a_card_that_does_not_boot(bookworm, setup, tmp_path):
    with pytest.raises(ImageUnusable, match=r"its SHA-256 is .* and should be 0000"):
        flashed(bookworm, tmp_path / "card.img", setup, sha256="0" * 64)
    assert not boots(tmp_path / "card.img")


def test_image_larger_than_the_card_is_refused_before_anything_is_written(bookworm, tmp_path):
    card = tmp_path / "card.img"
    card.write_bytes(b"\xee" * (8 << 20))
    for kind in ("img", "xz", "zip", "zst"):
        with pytest.raises(ImageUnusable, match="use a larger card"):
            flashed(pack(bookworm, kind), card)
        assert card.read_bytes() == b"\xee" * (8 << 20), kind


def test_image_of_unknown_size_that_is_larger_than_the_card_ends_in_a_clear_error(bookworm, tmp_path):
    card = tmp_path / "card.img"
    card.write_bytes(b"\xee" * (8 << 20))
    with pytest.raises(ImageUnusable, match="use a larger card"):
        flashed(pack(bookworm, "gz"), card)
    assert not boots(card)


def test_image_whose_partitions_reach_beyond_its_end_is_cut_off(bookworm, tmp_path):
    short = tmp_path / "short.img"
    short.write_bytes(bookworm.read_bytes()[: 20 << 20])
    with pytest.raises(ImageUnusable, match="it is cut off: its partitions need"):
        flashed(short, tmp_path / "card.img")
    assert not boots(tmp_path / "card.img")


@pytest.mark.parametrize("kind", ["xz", "zip", "zst", "gz"])
def test_download_that_broke_off_is_refused(bookworm, kind, tmp_path):
    packed = pack(bookworm, kind)
    broken = tmp_path / packed.name
    broken.write_bytes(packed.read_bytes()[: packed.stat().st_size * 2 // 3])
    with pytest.raises(ImageUnusable, match=r"cut off|damaged"):
        flashed(broken, tmp_path / "card.img")
    assert not (tmp_path / "card.img").exists() or not boots(tmp_path / "card.img")


@pytest.mark.parametrize("kind", ["xz", "zip", "zst", "gz"])
def test_packed_image_with_a_damaged_middle_is_refused(bookworm, kind, tmp_path):
    packed = pack(bookworm, kind)
    content = bytearray(packed.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = os.urandom(64)
    (tmp_path / packed.name).write_bytes(content)
    with pytest.raises(ImageUnusable, match=r"cut off|damaged"):
        flashed(tmp_path / packed.name, tmp_path / "card.img")
    assert not boots(tmp_path / "card.img")


def test_no_fat_partition_is_said_and_the_plain_image_stays_usable(setup, tmp_path):
    card_images.need_tools()
    image = tmp_path / "i.img"
    with image.open("wb") as opened:
        opened.truncate(8 << 20)
    subprocess.run(["/usr/sbin/sfdisk", "-q", str(image)], input=b"label: dos\n2048,,83\n", check=True)
    with pytest.raises(NotCustomised, match="no FAT boot partition on it; the card holds the plain image"):
        flashed(image, tmp_path / "card.img", setup)
    assert (tmp_path / "card.img").read_bytes() == image.read_bytes()


@pytest.mark.parametrize(
    ("boot", "said"), [("UNKNOWN", "not that of a Raspberry Pi"), ("BULLSEYE", "older than Bookworm")]
)
def test_unknown_system_is_said_and_the_plain_image_stays_usable(boot, said, setup, tmp_path):
    image = make_image(tmp_path / "i.img", getattr(card_images, boot))
    with pytest.raises(NotCustomised, match=said):
        flashed(image, tmp_path / "card.img", setup)
    assert (tmp_path / "card.img").read_bytes() == image.read_bytes()


def test_full_boot_partition_is_said_before_a_file_is_written(setup, tmp_path):
    image = make_image(tmp_path / "i.img", card_images.BOOKWORM | {"filler": "f" * (39 << 20)})
    with pytest.raises(NotCustomised, match="MB free and the files need"):
        flashed(image, tmp_path / "card.img", setup)
    assert not boots(tmp_path / "card.img")
    assert (tmp_path / "card.img").read_bytes()[HEAD_BYTES:] == image.read_bytes()[HEAD_BYTES:]


def _with_a_limit(limit_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))


def test_card_that_is_full_ends_in_a_clear_error(bookworm, tmp_path):
    """The kernel itself refuses to write on: a file may grow to 24 MiB and no further."""
    card = tmp_path / "card.img"
    code = (
        "import sys, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pehra.cli import main; sys.argv = ['pehra', 'flash', *sys.argv[1:]]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bookworm), "--to", str(card)],
        preexec_fn=lambda: _with_a_limit(24 << 20), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "it is full at 25 MB; it does not boot now: use a larger card" in done.stderr.replace("\n", " ")
    assert not boots(card)
