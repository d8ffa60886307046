"""The first-boot files of a card, for both ways in which Raspberry Pi OS is told. Reads its own scripts only.

Nothing is quoted by hand: YAML is written by its library, shell words by `shlex`, TOML strings as JSON's
(TOML 1.0, "String"), and a network's name goes to NetworkManager as bytes.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from hardware.flash.os_format import OsFormat
from hardware.flash.settings import Setup, Wifi

BOOT: Final = "/boot/firmware"
RUN: Final = (
    f"systemd.run={BOOT}/firstrun.sh",
    "systemd.run_success_action=reboot",
    "systemd.unit=kernel-command-line.target",
)
_OURS: Final = ("systemd.run", "systemd.unit=kernel-command-line", "ds=nocloud", "cfg80211.ieee80211_regdom=")
_GROUPS: Final = "users,adm,dialout,audio,netdev,video,plugdev,cdrom,games,input,gpio,spi,i2c,render,sudo"
_DEVICE_TOML: Final = """\
# Written at the first boot. Id, site and broker come with the enrolment; docs/device.md lists every key.
[device]
state = "/var/lib/pehra"

[[camera]]
id = "cam0"
source = "picamera2"
"""


def first_boot_files(setup: Setup, os_format: OsFormat) -> dict[str, bytes | Path]:
    """Return what is put on the boot partition, by path; without what depends on the image or on the hash."""
    made: dict[str, bytes | Path] = {
        "pehra/format": f"{os_format}\n".encode(),
        "pehra/site.toml": site_toml(setup),
        "pehra/device.toml": _DEVICE_TOML.encode(),
        "pehra/first-boot.sh": _shipped("first-boot.sh"),
        "pehra/pehra-setup.service": _shipped("pehra-setup.service"),
    }
    if setup.claim:
        made["pehra/claim.json"] = setup.claim
    if setup.wheelhouse is not None:
        chosen = (one for one in setup.wheelhouse.iterdir() if one.suffix in {".whl", ".deb", ".lock"})
        made |= {f"pehra/wheels/{one.name}": one for one in chosen}
    if os_format is OsFormat.CLOUD_INIT:
        return made | {"user-data": user_data(setup), "network-config": network_config(setup.wifi)}
    made["firstrun.sh"] = firstrun(setup)
    if setup.wifi is not None:
        made["pehra/wifi.nmconnection"] = network_manager(setup.wifi)
    if setup.ssh_keys:
        made["pehra/authorized_keys"] = "".join(f"{key}\n" for key in setup.ssh_keys).encode()
    return made


def image_files(setup: Setup, os_format: OsFormat, cmdline: bytes, sha256: str) -> dict[str, bytes]:
    """Return the files that depend on the image's own command line and on the customisation's hash."""
    words = [
        word for word in cmdline.decode("utf-8", "surrogateescape").split() if not word.startswith(_OURS)
    ]
    if setup.wifi is not None:
        words.append(f"cfg80211.ieee80211_regdom={setup.wifi.country}")
    made: dict[str, bytes] = {}
    if os_format is OsFormat.CLOUD_INIT:
        # Another id makes cloud-init run again on a card that has booted before; here it beats meta-data's.
        instance = f"pehra-{sha256[:16]}"
        words.append(f"ds=nocloud;i={instance}")
        made["meta-data"] = _yaml({"dsmode": "local", "instance-id": instance})
    else:
        words.extend(RUN)
    made["cmdline.txt"] = (" ".join(words) + "\n").encode("utf-8", "surrogateescape")
    return made


def firstrun(setup: Setup) -> bytes:
    """Return the script of Bookworm and of the first Trixie images."""
    values = {
        "hostname": setup.hostname,
        "user": setup.user,
        "country": setup.wifi.country if setup.wifi else "",
        "timezone": setup.timezone,
        "keyboard": setup.keyboard,
        "locale": setup.locale,
    }
    head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    return b"#!/bin/sh\n" + head.encode() + _shipped("firstrun.sh")


def network_manager(wifi: Wifi) -> bytes:
    """Return a NetworkManager connection (nm-settings-keyfile(5)), the name as bytes: no quoting."""
    ssid = "".join(f"{byte};" for byte in wifi.ssid.encode("utf-8"))
    return (
        "[connection]\nid=pehra-wifi\ntype=wifi\n\n"
        f"[wifi]\nmode=infrastructure\nssid={ssid}\nhidden={str(wifi.is_hidden).lower()}\n\n"
        f"[wifi-security]\nkey-mgmt=wpa-psk\npsk={wifi.key_hex}\n\n"
        "[ipv4]\nmethod=auto\n\n[ipv6]\naddr-gen-mode=default\nmethod=auto\n"
    ).encode()


def user_data(setup: Setup) -> bytes:
    """Return cloud-init's `user-data`."""
    said: dict[str, Any] = {}
    if setup.hostname:
        said |= {"hostname": setup.hostname, "manage_etc_hosts": True}
    if setup.timezone:
        said["timezone"] = setup.timezone
    if setup.locale:
        said["locale"] = setup.locale
    if setup.keyboard:
        said["keyboard"] = {"model": "pc105", "layout": setup.keyboard}
    service = "pehra-setup.service"
    commands = [
        ["install", "-m", "644", f"{BOOT}/pehra/{service}", f"/etc/systemd/system/{service}"],
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", service],
        ["systemctl", "start", "--no-block", service],
    ]
    if setup.ssh_keys:
        said["ssh_pwauth"] = False
        said["users"] = [
            {
                "name": setup.user,
                "groups": _GROUPS,
                "shell": "/bin/bash",
                "lock_passwd": True,
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "ssh_authorized_keys": list(setup.ssh_keys),
            }
        ]
        commands.append(["systemctl", "enable", "--now", "ssh"])
    if setup.wifi is not None:
        commands.insert(
            0, ["rfkill", "unblock", "wifi"]
        )  # blocked by the image until somebody says a country
    said["runcmd"] = commands
    return b"#cloud-config\n" + _yaml(said)


def network_config(wifi: Wifi | None) -> bytes:
    """Return cloud-init's `network-config` (netplan, version 2): the cable, and Wi-Fi where there is one."""
    said: dict[str, Any] = {"version": 2, "ethernets": {"eth0": {"dhcp4": True, "optional": True}}}
    if wifi is not None:
        point: dict[str, Any] = {"password": wifi.key_hex} | ({"hidden": True} if wifi.is_hidden else {})
        said["wifis"] = {
            "wlan0": {
                "dhcp4": True,
                "optional": True,
                "regulatory-domain": wifi.country,
                "access-points": {wifi.ssid: point},
            }
        }
    return _yaml({"network": said})


def site_toml(setup: Setup) -> bytes:
    """Return where the device will hang and what it will be called, as far as the flasher was told."""
    values = {"device": setup.device, "site": setup.site, "timezone": setup.timezone}
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items() if value).encode()


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _yaml(said: Mapping[str, Any]) -> bytes:
    import yaml

    # Escaped: what Unicode calls a line break (U+0085) would not come back.
    return bytes(
        yaml.safe_dump(dict(said), allow_unicode=False, sort_keys=False, width=1000, encoding="ascii")
    )


def _shipped(name: str) -> bytes:
    return (files("hardware.flash") / "files" / name).read_bytes()
