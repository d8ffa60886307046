"""What the first boot is told: the values are checked, and reach the board as they were meant."""

import configparser
import subprocess
import tomllib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hardware.errors import NotCustomised, SettingInvalid
from hardware.flash.customising import listing, planned
from hardware.flash.first_boot import (
    firstrun,
    image_files,
    network_config,
    network_manager,
    site_toml,
    user_data,
)
from hardware.flash.os_format import OsFormat, detect
from hardware.flash.settings import Setup, ssh_keys, wifi
from tests import card_images

ODD_SSIDS = [
    "پہرہ گلبرگ",
    'it\'s "free"',
    "$(reboot)`id`;rm",
    "a\nb: c",
    " lead",
    "yes",
    "0x1F",
    "#x",
    "\\;'\t",
]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9aQxYqz0Zk3m1m1m1m1m1m1m1m1m1m1m1m1m1m"


def test_the_key_is_that_of_the_standards_own_example():
    """IEEE 802.11-2020, annex J.4.2, test case 1."""
    assert (
        wifi("IEEE", "password", "US").key_hex
        == "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
    )


def test_a_key_is_taken_as_it_is():
    assert wifi("x", "AB" * 32, "PK").key_hex == "ab" * 32


@pytest.mark.parametrize("ssid", ODD_SSIDS)
def test_any_name_of_a_network_reaches_cloud_init(ssid):
    read = yaml.safe_load(network_config(wifi(ssid, "12345678", "PK")))
    assert list(read["network"]["wifis"]["wlan0"]["access-points"]) == [ssid]


@given(st.text(min_size=1, max_size=8).filter(lambda text: "\0" not in text))
def test_any_name_of_a_network_reaches_both(ssid):
    try:
        network = wifi(ssid, "12345678", "PK")
    except SettingInvalid:
        return
    read = yaml.safe_load(network_config(network))
    assert list(read["network"]["wifis"]["wlan0"]["access-points"]) == [ssid]
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(network_manager(network).decode())
    assert bytes(int(byte) for byte in parser["wifi"]["ssid"].split(";")[:-1]).decode() == ssid


@pytest.mark.parametrize("ssid", ["", "x" * 33, "پ" * 17, "a\0b", "\udcff"])
def test_a_name_that_no_network_has_is_refused(ssid):
    with pytest.raises(SettingInvalid, match="Wi-Fi name"):
        wifi(ssid, "12345678", "PK")


@pytest.mark.parametrize("password", ["", "1234567", "x" * 65, "pässword", "tab\tinside", "zz" * 32])
def test_a_password_that_no_network_has_is_refused_and_not_repeated(password):
    with pytest.raises(SettingInvalid, match="8 to 63 printable") as caught:
        wifi("x", password, "PK")
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize("country", ["", "pk", "PAK", "P1"])
def test_a_country_is_two_capitals(country):
    with pytest.raises(SettingInvalid, match="country"):
        wifi("x", "12345678", country)


@pytest.mark.parametrize(
    "values",
    [
        {"site": "../etc"}, {"site": "Lahore"}, {"device": "x"}, {"device": "a b c"}, {"hostname": "-x"},
        {"hostname": "a.b"}, {"hostname": "x\n"}, {"user": "root"}, {"user": "pehra"}, {"user": "x;y"},
        {"timezone": "$(id)"}, {"keyboard": "u s"}, {"locale": "C"}, {"ssh_keys": ("-----BEGIN OPENSSH",)},
        {"ssh_keys": (f'command="x" {KEY}',)},
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused(values):
    with pytest.raises(SettingInvalid):
        Setup(**values)


def test_a_wheelhouse_needs_its_lock_and_the_program(tmp_path):
    with pytest.raises(SettingInvalid, match=r"no device\.lock"):
        Setup(wheelhouse=tmp_path)
    (tmp_path / "device.lock").touch()
    with pytest.raises(SettingInvalid, match=r"one pehra-\*\.whl"):
        Setup(wheelhouse=tmp_path)


def test_keys_are_read_without_comments():
    assert ssh_keys(f"# mine\n\n{KEY} me\n") == (f"{KEY} me",)


def test_no_password_is_in_any_file_and_no_account_has_one():
    setup = Setup(device="cam-01", wifi=wifi("x", "correct horse", "PK"), ssh_keys=(KEY,))
    for os_format in OsFormat:
        files, _ = planned(setup, os_format, b"console=tty1\n")
        for name, content in files.items():
            assert isinstance(content, bytes), name
            assert b"correct horse" not in content, name
    assert yaml.safe_load(user_data(setup))["users"][0]["lock_passwd"] is True
    assert "passwd:" not in user_data(setup).decode().replace("lock_passwd:", "")


def test_without_a_key_nobody_is_made_a_user():
    assert "users" not in yaml.safe_load(user_data(Setup(device="cam-01")))


def test_the_values_of_firstrun_are_words_of_the_shell():
    setup = Setup(hostname="cam-01", timezone="Asia/Karachi", wifi=wifi("x", "12345678", "PK"))
    head = firstrun(setup).split(b"\nset -u")[0]
    said = subprocess.run(
        ["sh", "-c", head.decode() + '\nprintf "%s|" "$hostname" "$user" "$country" "$timezone" "$keyboard"'],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    assert said == "cam-01|tech|PK|Asia/Karachi||"


def test_the_site_is_good_toml():
    setup = Setup(site="lahore/gulberg", device="cam-01", timezone="Asia/Karachi")
    assert tomllib.loads(site_toml(setup).decode()) == {
        "device": "cam-01", "site": "lahore/gulberg", "timezone": "Asia/Karachi",
    }  # fmt: skip


def test_a_command_line_that_was_used_before_is_cleaned_and_stays_one_line():
    run = b"systemd.run=/boot/firstrun.sh systemd.unit=kernel-command-line.target"
    used = b"a=1 " + run + b" ds=nocloud;i=rpi-imager-1 b=2\n\n"
    made = image_files(Setup(device="cam-01"), OsFormat.CLOUD_INIT, used, "0123456789abcdef" * 4)
    assert made["cmdline.txt"] == b"a=1 b=2 ds=nocloud;i=pehra-0123456789abcdef\n"


def test_the_list_of_files_is_in_order_and_as_sha256sum_writes_it(tmp_path):
    (tmp_path / "x").write_bytes(b"x")
    told = listing({"b": b"", "a/c": tmp_path / "x"}).decode()
    assert told.splitlines()[1] == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b"
    assert told.splitlines()[0].endswith("  a/c")


@pytest.mark.parametrize(
    ("boot", "expected"),
    [("BOOKWORM", "firstrun"), ("FIRST_TRIXIE", "firstrun"), ("TRIXIE", "cloud-init")],
)
def test_the_system_is_told_by_its_files(boot, expected):
    files = getattr(card_images, boot)
    assert detect(set(files), lambda name: files[name].encode()) == expected


def test_a_system_without_a_date_is_known_by_its_first_boot():
    files = card_images.COMMON
    assert detect(set(files), lambda name: files[name].encode()) is OsFormat.FIRSTRUN


@pytest.mark.parametrize("boot", ["UNKNOWN", "BULLSEYE"])
def test_a_system_that_is_not_known_is_not_guessed(boot):
    files = getattr(card_images, boot)
    with pytest.raises(NotCustomised, match="the card holds the plain image"):
        detect(set(files), lambda name: files[name].encode())
