"""Writes Mosquitto's configuration for mutual TLS: who a client is, its certificate alone says.

The folder is whole in itself: certificates and revocation list are copied into it, readable by the broker's
user, so that the home of the fleet stays closed to it. Starts nothing.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from fleet.broker.mosquitto import MESSAGE_MAX_BYTES, acl_text, keeping_lines
from fleet.errors import HomeUnusable
from fleet.identity.home import PRIVATE, PUBLIC, Home, write_file

DEBIAN_USER: Final = "mosquitto"
FOR_GROUP: Final = 0o640
UNITS: Final = ("mosquitto.service.d.conf", "pehra-broker-follow.path", "pehra-broker-follow.service")


def write_secure_config(
    folder: Path,
    home: Home,
    port: int,
    *,
    host: str = "",
    run_as: str = "",
    message_max_bytes: int = MESSAGE_MAX_BYTES,
) -> Path:
    """Write all that Mosquitto needs into a folder; return its configuration.

    Args:
        folder: made where it is absent; also holds the broker's persistent state.
        home: of the fleet.
        port: where it listens.
        host: address to listen on; empty for all.
        run_as: user that Mosquitto changes to when started by root; empty leaves its default.
        message_max_bytes: who sends a larger one, all of its packet counted, is cut off.

    Raises:
        HomeUnusable: a file cannot be read or written.
    """
    place = folder.absolute()
    if any(letter in str(place) for letter in "\n\r\"'"):
        raise HomeUnusable(place, "Mosquitto takes no path with quotes or line breaks")
    state = place / "state"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HomeUnusable(place, f"cannot be made ({error.strerror})") from error
    lines = [
        f"listener {port}{f' {host}' if host else ''}",
        f"cafile {place}/ca.pem",
        f"certfile {place}/broker.pem",
        f"keyfile {place}/broker.pem",
        f"crlfile {place}/crl.pem",
        "tls_version tlsv1.2",  # and newer
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {place}/acl",
        *keeping_lines(state, message_max_bytes, run_as),
    ]
    readers = _readers(place, run_as)
    if readers.user is not None and run_as != "root":
        _check_reach(place, readers.user)
    write_file(place / "acl", acl_text(), readers.mode, readers.owner, readers.group)
    write_file(place / "mosquitto.conf", "\n".join(lines) + "\n", PUBLIC)
    for name in UNITS:
        text = (files("fleet.broker") / "units" / name).read_text("utf-8")
        # systemd reads % as the beginning of a specifier
        write_file(place / "systemd" / name, text.replace("@FOLDER@", str(place).replace("%", "%%")), PUBLIC)
    try:
        if os.geteuid() == 0 and readers.user is not None:
            os.chown(state, readers.user, -1, follow_symlinks=False)
        elif readers.group is not None:
            os.chown(state, -1, readers.group, follow_symlinks=False)
            state.chmod(0o770)
    except OSError as error:
        raise HomeUnusable(state, f"cannot be given to Mosquitto ({error.strerror})") from error
    follow(home, place)
    return place / "mosquitto.conf"


def follow(home: Home, folder: Path) -> None:
    """Copy certificates and revocation list into a broker's folder, where they differ.

    Raises:
        HomeUnusable: a file cannot be read or written.
    """
    try:
        readers = _readers(folder)
        for source, name, mode in (
            (home.authorities, "ca.pem", PUBLIC),
            (home.broker, "broker.pem", readers.mode),
            (home.crl, "crl.pem", PUBLIC),
        ):
            target, text = folder / name, source.read_text()
            if not target.exists() or target.read_bytes() != text.encode():
                write_file(target, text, mode, readers.owner, readers.group)
    except OSError as error:
        raise HomeUnusable(folder, f"{error.filename}: {error.strerror}") from error


def _check_reach(place: Path, owner: int) -> None:
    """Make sure that the broker's user gets to its files once it has given root's rights up.

    Raises:
        HomeUnusable: a folder above is closed to it.
    """
    for folder in (place, *place.parents):
        status = folder.stat()
        if not status.st_mode & (0o100 if status.st_uid == owner else 0o001):
            reason = (
                f"Mosquitto's user cannot get there, {folder} is closed to it: take another folder, such as"
            )
            raise HomeUnusable(place, f"{reason} /var/lib/mosquitto/pehra")


@dataclass(frozen=True, slots=True)
class _Readers:
    """Whose a broker's files are, and who else reads what is private in them."""

    mode: int
    owner: int | None
    group: int | None
    user: int | None


def _readers(folder: Path, run_as: str = "") -> _Readers:
    """Return who is to read a broker's private files: Mosquitto's group, where there is one that we may name.

    The files stay the folder's owner's, so that a fleet manager without root's rights renews them.
    """
    is_root = os.geteuid() == 0
    owner = folder.stat().st_uid if is_root else None
    try:
        known = pwd.getpwnam(run_as or DEBIAN_USER)
    except KeyError:
        return _Readers(PRIVATE, owner, None, None)
    if not (is_root or known.pw_gid in os.getgroups()):
        return _Readers(PRIVATE, owner, None, None)
    return _Readers(FOR_GROUP, owner, known.pw_gid, known.pw_uid)
