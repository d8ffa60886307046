"""Joining Wi-Fi: what nmcli is given, by a program in its place that writes down what it got."""

from __future__ import annotations

import json
import sys

import pytest

from device.errors import NetworkRefused
from device.firmware.console.network import NetworkManager, derived_key

PROGRAM = """\
#!{python}
import json, sys
args, secret = sys.argv[1:], sys.stdin.read()
with open({notes!r}, "a") as file:
    file.write(json.dumps([args, secret]) + "\\n")
if "general" in args:
    print("connected:full")
if {when!r} in args:
    print({said!r}, file=sys.stderr)
    sys.exit({code})
"""


@pytest.fixture
def nmcli(tmp_path):
    """Makes a program that is called as nmcli is, and fails where it is told to."""

    def make(when="never", said="", code=0):
        notes, program = tmp_path / "notes", tmp_path / "nmcli"
        text = PROGRAM.format(python=sys.executable, notes=str(notes), when=when, said=said, code=code)
        program.write_text(text)
        program.chmod(0o755)
        return NetworkManager(str(program)), lambda: [
            json.loads(line) for line in notes.read_text().splitlines()
        ]

    return make


@pytest.mark.parametrize(
    "ssid", ["Shop 12", 'it\'s "quoted" $(reboot) `x`; rm', "لاہور کیمرے", "--help", "a,b:c\\d"]
)
def test_a_networks_name_is_one_argument_whatever_it_holds(nmcli, ssid):
    manager, notes = nmcli()
    manager.join(ssid, "pass'word\"$HOME", hidden=True)
    (added,) = [args for args, _ in notes() if "add" in args]
    assert added[added.index("ssid") + 1] == ssid
    assert added[added.index("802-11-wireless.hidden") + 1] == "yes"


def test_a_password_stands_in_no_argument_and_only_its_derived_key_is_given(nmcli):
    manager, notes = nmcli()
    manager.join("IEEE", "password", hidden=False)
    said = notes()
    assert "password" not in json.dumps([args for args, _ in said])
    secrets = [secret for _, secret in said if secret]
    key = "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
    assert secrets == [f"802-11-wireless-security.psk:{key}\n"]


def test_keys_are_derived_as_the_standard_has_it():
    # IEEE 802.11, J.4.2, test vectors 1 and 2.
    assert derived_key("IEEE", "password").startswith("f42c6fc52df0ebef9ebb4b90b38a5f90")
    assert derived_key("ThisIsASSID", "ThisIsAPassword").startswith("0dc0d6eb90555ed6419756b9a15ec3e3")
    assert derived_key("x", "AB" * 32) == "ab" * 32


def test_an_open_network_is_given_no_key(nmcli):
    manager, notes = nmcli()
    manager.join("cafe", "", hidden=False)
    assert all(not secret for _, secret in notes())
    assert not any("wpa-psk" in args for args, _ in notes())


def test_a_network_that_is_not_joined_leaves_the_one_before(nmcli):
    manager, notes = nmcli("passwd-file", "Error: Connection activation failed: Secrets were required", 4)
    with pytest.raises(NetworkRefused, match="password is probably wrong"):
        manager.join("home", "wrong-password", hidden=False)
    names = [(args[args.index("connection") + 1], args[-1]) for args, _ in notes()]
    assert names[-2:] == [("delete", "pehra-new"), ("up", "pehra")]
    assert ("delete", "pehra") not in names


@pytest.mark.parametrize(
    ("said", "code", "todo"),
    [
        ("Error: NetworkManager is not running.", 8, "enable --now NetworkManager"),
        ("Error: Failed to add: Not authorized to control networking.", 1, "unit --console --install"),
        ("Error: no network with that name", 10, "capitals count"),
        ("", 3, "nmcli ended with 3"),
    ],
)
def test_what_nmcli_says_becomes_what_to_do(nmcli, said, code, todo):
    manager, _ = nmcli("add", said, code)
    with pytest.raises(NetworkRefused, match=todo):
        manager.join("home", "a-password", hidden=False)


def test_a_board_without_network_manager_says_so():
    with pytest.raises(NetworkRefused, match="no NetworkManager"):
        NetworkManager("nmcli-that-is-not-there").join("home", "a-password", hidden=False)


def test_how_a_board_is_connected_is_said_with_and_without_network_manager(nmcli):
    assert nmcli()[0].state().startswith("connected, internet full")
    assert "connected" not in NetworkManager("nmcli-that-is-not-there").state()
