"""Joins a Wi-Fi network through NetworkManager; what is kept of a password is the key derived from it.

nmcli gets arguments, never a shell's line, and the key on its standard input: no list of processes shows it.
A network that cannot be joined leaves the one before as it was.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
from typing import Final, Protocol

from device.errors import NetworkRefused

KEPT: Final = "pehra"
"""Name of the connection that is kept."""
TRIED: Final = "pehra-new"
JOIN_S: Final = 45
ASK_S: Final = 15
_KEY: Final = re.compile(r"[0-9A-Fa-f]{64}")
_NOT_RUNNING: Final = 8
"""nmcli(1), "EXIT STATUS": NetworkManager is not running."""


class Network(Protocol):
    """What the console needs of a board's network."""

    def join(self, ssid: str, password: str, *, hidden: bool) -> None:
        """Join a Wi-Fi network, and again after each start.

        Raises:
            NetworkRefused: it did not work; the network before is as it was.
        """

    def state(self) -> str:
        """Say in a few words how the board is connected."""


class NetworkManager:
    """NetworkManager, by its program.

    Args:
        program: `nmcli`, or the path of one.
    """

    def __init__(self, program: str = "nmcli") -> None:
        self._program = program

    def join(self, ssid: str, password: str, *, hidden: bool) -> None:
        """See `Network`."""
        self._run("connection", "delete", "id", TRIED)
        profile = ["type", "wifi", "con-name", TRIED, "ifname", "*", "ssid", ssid]
        if hidden:
            profile += ["802-11-wireless.hidden", "yes"]
        if password:
            profile += ["802-11-wireless-security.key-mgmt", "wpa-psk"]
        _judge(self._run("connection", "add", *profile), ssid)
        secret = f"802-11-wireless-security.psk:{derived_key(ssid, password)}\n" if password else ""
        up = ["--wait", str(JOIN_S), "connection", "up", "id", TRIED]
        came_up = self._run(*up, "passwd-file", "/dev/stdin", secret=secret, limit_s=JOIN_S + ASK_S)
        if came_up.returncode:
            self._run("connection", "delete", "id", TRIED)
            self._run("--wait", "0", "connection", "up", "id", KEPT)
            _judge(came_up, ssid)
        self._run("connection", "delete", "id", KEPT)
        _judge(self._run("connection", "modify", "id", TRIED, "connection.id", KEPT), ssid)

    def state(self) -> str:
        """See `Network`."""
        try:
            done = self._run("-t", "-f", "STATE,CONNECTIVITY", "general")
            said = done.stdout.strip().replace(":", ", internet ") if not done.returncode else ""
        except NetworkRefused:
            said = ""
        return ", ".join(part for part in (said, *addresses()) if part)

    def _run(
        self, *arguments: str, secret: str = "", limit_s: float = ASK_S
    ) -> subprocess.CompletedProcess[str]:
        if shutil.which(self._program) is None:
            todo = "use a cable for the network, or install the package network-manager"
            raise NetworkRefused("this board has no NetworkManager (nmcli)", todo)
        try:
            return subprocess.run(  # noqa: S603 (a list of arguments; no shell)
                [self._program, *arguments],
                input=secret,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=limit_s,
                check=False,
                env=os.environ | {"LC_ALL": "C.UTF-8"},
            )
        except subprocess.TimeoutExpired as error:
            reason = f"NetworkManager did not answer within {limit_s:g} s"
            raise NetworkRefused(reason, "try again; then restart the board") from error
        except OSError as error:
            raise NetworkRefused(
                f"nmcli cannot be run ({error.strerror})", "look at its installation"
            ) from error


def derived_key(ssid: str, password: str) -> str:
    """Return the key of a WPA network (IEEE 802.11, J.4.1: PBKDF2-SHA1, 4096 rounds), 64 hexadecimal digits.

    One that is a key already is returned as it is.
    """
    if _KEY.fullmatch(password):
        return password.lower()
    return hashlib.pbkdf2_hmac("sha1", password.encode(), ssid.encode(), 4096, 32).hex()


def addresses() -> list[str]:
    """Return the board's IPv4 addresses as `wlan0 192.168.1.7`, the loopback aside."""
    import psutil

    return [
        f"{name} {address.address}"
        for name, its in psutil.net_if_addrs().items()
        for address in its
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ][:4]


def _judge(done: subprocess.CompletedProcess[str], ssid: str) -> None:
    if not done.returncode:
        return
    said = " ".join((done.stderr or done.stdout).split())[:200] or f"nmcli ended with {done.returncode}"
    if done.returncode == _NOT_RUNNING:
        raise NetworkRefused(f"NetworkManager does not run ({said})", "systemctl enable --now NetworkManager")
    lower = said.lower()
    if "secrets" in lower or "psk" in lower:
        raise NetworkRefused(f"{ssid!r} was not joined: {said}", "the password is probably wrong: try again")
    if "not authorized" in lower or "insufficient" in lower:
        todo = "install the console's unit with its rule: pehra device unit --console --install"
        raise NetworkRefused(f"{ssid!r} was not joined: {said}", todo)
    todo = "look whether the network is in reach of the board and its name is right (capitals count)"
    raise NetworkRefused(f"{ssid!r} was not joined: {said}", todo)
