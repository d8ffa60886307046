"""Writes Mosquitto's configuration for the rules of `acl.py`; starts nothing.

The client id is set to the user name by the broker, so that nobody can take over another's session
and the messages that wait in it.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fleet.broker.acl import FLEET, FROM_DEVICE
from ota.messages import ROOT, Topic
from ota.messages.topics import FROM_FLEET

MESSAGE_MAX_BYTES: Final = 256 * 1024
"""Four times what a device of ours may say: who sends more is none, and is cut off before all is read."""
HASH_ROUNDS: Final = 101
"""Mosquitto's own default; our secrets are random, so stretching adds nothing."""


def write_mosquitto_config(
    folder: Path,
    port: int,
    secrets: Mapping[str, str],
    *,
    host: str = "127.0.0.1",
    message_max_bytes: int = MESSAGE_MAX_BYTES,
    run_as: str = "",
) -> Path:
    """Write `mosquitto.conf`, `acl` and `passwords` into a folder; return the first.

    Args:
        folder: must exist; also holds the broker's persistent state.
        port: where it listens.
        host: address to listen on.
        secrets: user (a device id, or `fleet`) -> password.
        message_max_bytes: who sends a larger one, all of its packet counted, is cut off.
        run_as: user that Mosquitto changes to when started by root; empty leaves its default.
    """
    passwords, acl, config = folder / "passwords", folder / "acl", folder / "mosquitto.conf"
    passwords.write_text("".join(f"{user}:{hash_password(secret)}\n" for user, secret in secrets.items()))
    passwords.chmod(0o600)
    acl.write_text(acl_text())
    acl.chmod(0o600)
    lines = [
        f"listener {port} {host}",
        "allow_anonymous false",
        f"password_file {passwords}",
        f"acl_file {acl}",
        *keeping_lines(folder, message_max_bytes, run_as),
    ]
    config.write_text("\n".join(lines) + "\n")
    return config


def keeping_lines(state: Path, message_max_bytes: int, run_as: str) -> list[str]:
    """Return the lines that say how much a broker of ours keeps, where, and what it tells.

    Args:
        state: folder of its persistent state.
        message_max_bytes: who sends a larger one, all of its packet counted, is cut off.
        run_as: user that it changes to when started by root; empty leaves its default.
    """
    return [
        "use_username_as_clientid true",
        f"max_packet_size {message_max_bytes}",
        "max_inflight_messages 1000",
        "max_queued_messages 100000",
        "persistence true",
        f"persistence_location {state}/",
        "autosave_interval 1000",
        "autosave_on_changes true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        *([f"user {run_as}"] if run_as else []),
    ]


def acl_text() -> str:
    """Return the ACL file: `%u` is the client's user name."""
    lines = [f"user {FLEET}", f"topic read {ROOT}/#"]
    lines += [f"topic write {Topic.filter(channel)}" for channel in sorted(FROM_FLEET)]
    lines += ["", *(f"pattern write {_own(Topic.filter(channel))}" for channel in FROM_DEVICE)]
    lines += [f"pattern read {_own(Topic.filter(channel))}" for channel in sorted(FROM_FLEET)]
    return "\n".join(lines) + "\n"


def hash_password(secret: str, salt: bytes | None = None) -> str:
    """Return a line's second half as `mosquitto_passwd` writes it (PBKDF2-SHA512, type 7)."""
    salt = salt or os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, HASH_ROUNDS)
    return f"$7${HASH_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _own(topic_filter: str) -> str:
    return topic_filter.replace(f"{ROOT}/+/", f"{ROOT}/%u/", 1)
