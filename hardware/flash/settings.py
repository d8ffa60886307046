"""What a card is told about its first boot; every value is checked before anything is written.

A Wi-Fi password is turned into its key at once and never kept.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hardware.errors import SettingInvalid

DEVICE_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{2,39}")
SITE: Final = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")
_HOSTNAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER: Final = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_TIMEZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")
_KEYBOARD: Final = re.compile(r"[a-z]{2,10}")
_LOCALE: Final = re.compile(r"[a-z]{2,3}_[A-Z]{2}\.UTF-8")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_SSH_KEY: Final = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" [A-Za-z0-9+/]{40,}={0,2}( [^\r\n]*)?"
)
_KEY_HEX: Final = re.compile(r"[0-9A-Fa-f]{64}")
_TAKEN_USERS: Final = frozenset(
    {"root", "pehra", "daemon", "nobody", "sshd", "bin", "sys", "mail", "www-data"}
)


@dataclass(frozen=True, slots=True)
class Wifi:
    """A network with a key (WPA2, or WPA3 in its transition mode).

    Attributes:
        ssid: its name.
        key_hex: 256 bits, derived from the password.
        country: two letters, ISO 3166: which channels the radio may use.
        is_hidden: it does not tell its name.
    """

    ssid: str
    key_hex: str
    country: str
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    """What the first boot makes of a card; what is empty is left as the image has it.

    Attributes:
        site: where the device will hang.
        device: the id that it will have.
        claim: the file `claim.json`.
        wifi: which network it joins; None for the cable alone.
        hostname: of the board.
        user: who may log in with `ssh_keys`; nobody can with a password.
        ssh_keys: lines of `authorized_keys`.
        timezone: IANA name.
        keyboard: layout of a keyboard, `us`.
        locale: `en_GB.UTF-8`.
        wheelhouse: folder of wheels and their `device.lock`; None where Pehra is installed later.
    """

    site: str = ""
    device: str = ""
    claim: bytes = b""
    wifi: Wifi | None = None
    hostname: str = ""
    user: str = "tech"
    ssh_keys: tuple[str, ...] = ()
    timezone: str = ""
    keyboard: str = ""
    locale: str = ""
    wheelhouse: Path | None = None

    def __post_init__(self) -> None:
        """Raises `SettingInvalid` where a value cannot be used."""
        _check(SITE, self.site, "site", "lower-case words with slashes: lahore/gulberg/liberty-chowk")
        _check(DEVICE_ID, self.device, "id", "3 to 40 of a-z, 0-9 and '-'")
        _check(_HOSTNAME, self.hostname, "hostname", "1 to 63 of a-z, 0-9 and '-'")
        _check(_USER, self.user, "user", "begin with a letter; a-z, 0-9, '_' and '-'")
        _check(_TIMEZONE, self.timezone, "timezone", "an IANA name: Asia/Karachi")
        _check(_KEYBOARD, self.keyboard, "keyboard", "a layout: us, gb, de, pk")
        _check(_LOCALE, self.locale, "locale", "for example en_GB.UTF-8")
        if self.user in _TAKEN_USERS:
            raise SettingInvalid(
                f"user {self.user!r}", "this account has another purpose", "choose another name"
            )
        for key in self.ssh_keys:
            if not _SSH_KEY.fullmatch(key):
                raise SettingInvalid(
                    "SSH key", f"{key[:40]!r} is no public key", "name the file that ends in .pub"
                )
        if self.wheelhouse is not None:
            _check_wheelhouse(self.wheelhouse)


def wifi(ssid: str, password: str, country: str, *, is_hidden: bool = False) -> Wifi:
    """Return a network with the key that its password makes (IEEE 802.11-2020, annex J.4).

    Args:
        ssid: 1 to 32 bytes of UTF-8.
        password: 8 to 63 printable ASCII characters, or the key itself as 64 hexadecimal digits.
        country: two letters.
        is_hidden: the network does not tell its name.

    Raises:
        SettingInvalid: one of them cannot be.
    """
    try:
        name = ssid.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SettingInvalid("Wi-Fi name", "it is no UTF-8", "write it as the access point does") from error
    if not 1 <= len(name) <= 32 or "\0" in ssid:
        raise SettingInvalid(
            "Wi-Fi name", f"{len(name)} bytes, it has 1 to 32", "write it as the access point does"
        )
    if not _COUNTRY.fullmatch(country):
        raise SettingInvalid(f"country {country!r}", "no two capital letters", "for example --country PK")
    if _KEY_HEX.fullmatch(password):
        return Wifi(ssid, password.lower(), country, is_hidden)
    if not 8 <= len(password) <= 63 or not all(" " <= character <= "~" for character in password):
        raise SettingInvalid(
            "Wi-Fi password", "it is not 8 to 63 printable ASCII characters", "look at the access point again"
        )
    key = hashlib.pbkdf2_hmac("sha1", password.encode("ascii"), name, 4096, 32)
    return Wifi(ssid, key.hex(), country, is_hidden)


def ssh_keys(text: str) -> tuple[str, ...]:
    """Return the keys of a `.pub` or `authorized_keys` file, without comments and empty lines."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _check(pattern: re.Pattern[str], value: str, name: str, what_to_do: str) -> None:
    if value and not pattern.fullmatch(value):
        raise SettingInvalid(f"{name} {value!r}", "it cannot be used", what_to_do)


def _check_wheelhouse(folder: Path) -> None:
    if not (folder / "device.lock").is_file():
        raise SettingInvalid(folder, "there is no device.lock in it", "copy requirements/device.lock there")
    if len(list(folder.glob("pehra-*.whl"))) != 1:
        raise SettingInvalid(
            folder, "there must be one pehra-*.whl in it", "see docs/flashing.md, Wheelhouse"
        )
