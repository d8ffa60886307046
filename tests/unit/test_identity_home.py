"""A home keeps its secrets to itself, and a cut leaves the old file or the new one."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from fleet.errors import HomeUnusable, SettingsError
from fleet.identity.founding import found_fleet
from fleet.identity.home import PRIVATE, PUBLIC, Addresses, Home, write_file
from tests.homes import PASSPHRASE, make_home

WRITING = """
import sys
from pathlib import Path
from fleet.identity.home import write_file
path, number = Path(sys.argv[1]), 0
print("up", flush=True)
while True:
    number += 1
    write_file(path, f"{number}\\n" * 3000, 0o600)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("home") / "fleet")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_whatever_holds_a_key_is_its_owners_alone(home: Home) -> None:
    holders = [
        path for path in home.folder.rglob("*") if path.is_file() and "PRIVATE KEY" in path.read_text()
    ]
    director = set((home.folder / "director").rglob("*.pem"))
    assert len(director) == 3
    keys = {home.root_key, home.issuing_key, home.https, home.broker, home.client}
    assert set(holders) == keys | director
    assert {mode(path) for path in holders} == {PRIVATE}


def test_the_roots_key_is_encrypted_and_its_passphrase_opens_it(home: Home) -> None:
    assert "ENCRYPTED PRIVATE KEY" in home.root_key.read_text()
    assert home.root(PASSPHRASE).certificate == home.certificate(home.root_certificate)
    for wrong in ("", "another passphrase"):
        with pytest.raises(HomeUnusable):
            home.root(wrong)


def test_a_home_without_the_roots_key_still_works(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    home.root_key.unlink()
    assert home.issuing().certificate.issuer == home.certificate(home.root_certificate).subject


def test_a_file_that_is_written_when_the_process_is_killed_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "crl.pem"
    for number in range(8):
        writer = subprocess.Popen([sys.executable, "-c", WRITING, str(file)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"up\n"
        time.sleep(0.004 * number)
        writer.kill()
        writer.communicate()
        if file.exists():
            lines = file.read_text().splitlines()
            assert (len(lines), len(set(lines))) == (3000, 1)
    assert file.exists()


def test_what_an_earlier_cut_left_lends_its_mode_to_nobody(tmp_path: Path) -> None:
    left = tmp_path / "key.pem.new"
    left.touch(0o666)
    left.chmod(0o666)
    write_file(tmp_path / "key.pem", "secret", PRIVATE)
    assert mode(tmp_path / "key.pem") == PRIVATE
    write_file(tmp_path / "crl.pem", "public", PUBLIC)
    assert mode(tmp_path / "crl.pem") == PUBLIC


def test_a_link_that_lies_in_the_way_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "shadow"
    target.write_text("root's")
    for name in ("broker.pem", "broker.pem.new"):
        (tmp_path / name).symlink_to(target)
    write_file(tmp_path / "broker.pem", "key", PRIVATE)
    assert target.read_text() == "root's"
    assert not (tmp_path / "broker.pem").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_belongs_to_its_owner_from_its_first_moment(tmp_path: Path) -> None:
    write_file(tmp_path / "broker.pem", "key", PRIVATE, owner=65534)
    assert (tmp_path / "broker.pem").stat().st_uid == 65534


def test_a_disk_that_refuses_leaves_the_old_file_and_says_which(tmp_path: Path) -> None:
    write_file(tmp_path / "a", "old", PUBLIC)
    (tmp_path / "a.new").mkdir()
    with pytest.raises(HomeUnusable, match="a cannot be written"):
        write_file(tmp_path / "a", "new", PUBLIC)
    assert (tmp_path / "a").read_text() == "old"


def test_a_folder_that_is_no_home_says_how_to_make_one(tmp_path: Path) -> None:
    for content in (None, "{}", "{", '{"name": "", "hosts": []}'):
        if content is not None:
            (tmp_path / "fleet.json").write_text(content)
        with pytest.raises(HomeUnusable, match="pehra fleet init"):
            Home(tmp_path).read_addresses()


def test_keys_and_certificates_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    home, other = make_home(tmp_path / "a"), make_home(tmp_path / "b")
    home.issuing_key.write_bytes(other.issuing_key.read_bytes())
    with pytest.raises(HomeUnusable, match="not the key of"):
        home.issuing()
    home.issuing_certificate.write_text("junk")
    with pytest.raises(HomeUnusable):
        home.issuing()


def test_what_devices_are_told_survives_and_an_ipv6_host_is_bracketed(home: Home) -> None:
    addresses = home.read_addresses()
    assert addresses.url == "https://localhost:8443"
    assert msgspec.structs.replace(addresses, hosts=["::1"]).url == "https://[::1]:8443"


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 60},
        {"hosts": []},
        {"hosts": [""]},
        {"hosts": ["two words"]},
        {"hosts": ["lähör.example"]},
        {"hosts": ["a" * 64 + ".example"]},
        {"hosts": ["fleet.example:8443"]},
        {"https_port": 0},
        {"mqtt_port": 70_000},
        {"device_days": 0.0},
        {"device_days": float("nan")},
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, change: dict[str, object]) -> None:
    addresses = msgspec.structs.replace(Addresses(name="x", hosts=["localhost"]), **change)
    with pytest.raises(SettingsError):
        found_fleet(Home(tmp_path / "new"), addresses, datetime.now(UTC), passphrase=PASSPHRASE)
    assert not (tmp_path / "new").exists()


def test_a_root_key_is_never_written_in_the_clear(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="passphrase"):
        found_fleet(Home(tmp_path), Addresses(name="x", hosts=["a"]), datetime.now(UTC), passphrase="")
    assert list(tmp_path.iterdir()) == []


def test_a_second_fleet_in_the_same_folder_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(HomeUnusable, match="already"):
        make_home(tmp_path)
    home.addresses.unlink()
    with pytest.raises(HomeUnusable, match=r"no fleet\.json"):
        make_home(tmp_path)
    del before[home.addresses]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
