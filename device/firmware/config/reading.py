"""Reads and checks a configuration file; every mistake is told with file, line and path."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from device.errors import ConfigError, StateUnavailable
from device.firmware.config.device import DeviceSection
from device.firmware.config.rule import KINDS
from device.firmware.config.tree import Config, config_faults
from device.firmware.identity import read_identity, with_identity
from device.firmware.toml_lines import line_of

MAX_CONFIG_BYTES: Final = 256 * 1024
_IN_WORDS: Final = (
    ("[0-9A-Fa-f:]+", "a host is a name such as fleet.example.org, or an IP address"),
    ("{2,39}", "an id is 3 to 40 of a-z, 0-9 and '-', and does not start with '-'"),
    ("{0,39}", "a name is 1 to 40 of a-z, 0-9 and '-', and does not start with '-'"),
    ("(/[a-z0-9-]+)*", "a site is a path of a-z, 0-9 and '-', such as lahore/gulberg/liberty-chowk"),
)
"""Regular expressions of msgspec's errors, said for people."""
_NOT_ENROLLED: Final = (
    "Object missing required field `mqtt`",
    "Object missing required field `device`",
    "Object missing required field `id`",
)
_STATE: Final = str(DeviceSection(id="any").state)
_TLS_ADVICE: Final = {
    "ca": "copy ca.pem from your administrator, or delete the line for a broker without TLS",
    "cert": "copy it from your administrator, or delete cert and key where the broker asks for a password",
    "key": "copy it from your administrator, readable by the service's user, or delete cert and key",
}


def load_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: with file, line and path; unreadable, too large, not TOML, or a value is not allowed.
    """
    text = read_text(path)
    config = _with_identity(text, path)
    for key, file in (("ca", config.mqtt.ca), ("cert", config.mqtt.cert), ("key", config.mqtt.key)):
        if file and not os.access(file, os.R_OK):
            where = f"mqtt.{key}"
            reason = f"{file} is not there or cannot be read: {_TLS_ADVICE[key]}"
            raise ConfigError(path, line_of(text, where), where, reason)
    return config


def read_text(path: Path) -> str:
    """Return what a configuration file says, unchecked.

    Raises:
        ConfigError: unreadable, too large, or not UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise ConfigError(path, None, "", f"{size} bytes; a configuration has at most {MAX_CONFIG_BYTES}")
        return path.read_text("utf-8")
    except OSError as error:
        reason = f"cannot be read ({error.strerror}); see device.example.toml for a start"
        raise ConfigError(path, None, "", reason) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, None, "", "not UTF-8 text") from error


def _with_identity(text: str, path: Path) -> Config:
    """Check a file whose gaps are filled by what the board was told when it enrolled.

    Raises:
        ConfigError: a value is not allowed, or contradicts the board's certificate.
    """
    table = read_table(text, path)
    device = table.get("device")
    said = device.get("state") if isinstance(device, dict) else None
    state = Path(said if isinstance(said, str) and said else _STATE)
    try:
        identity = read_identity(state)
        table = with_identity(table, state)
    except StateUnavailable as error:
        raise ConfigError(path, None, "device.state", str(error)) from error
    config = config_of(table, text, path)
    if identity is not None and config.device.id != identity.device:
        reason = f"the certificate in {state} is {identity.device}'s: delete the line, or enrol anew"
        raise ConfigError(path, line_of(text, "device.id"), "device.id", reason)
    return config


def parse_config(text: str, path: Path) -> Config:
    """Check the text of a configuration; `path` only names it in errors.

    Raises:
        ConfigError: not TOML, or a value is not allowed.
    """
    return config_of(read_table(text, path), text, path)


def read_table(text: str, path: Path | None) -> dict[str, Any]:
    """Return what a TOML text says, whatever it is.

    Raises:
        ConfigError: not TOML, or nested too deeply to be read.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(path, None, "", "not TOML: nested too deeply") from error
    except ValueError as error:  # also for a number with too many digits
        found = re.search(r"at line (\d+)", str(error))
        raise ConfigError(path, int(found[1]) if found else None, "", f"not TOML: {error}") from error


def config_of(table: dict[str, Any], text: str, path: Path | None) -> Config:
    """Check a table; `text` is where the lines of mistakes are looked up, `path` only names it in errors.

    Raises:
        ConfigError: a value is not allowed.
    """
    try:
        config = msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        reason = next((words for mark, words in _IN_WORDS if mark in reason), reason)
        key = where.rstrip("`").lstrip(".")
        unknown = re.search(r"unknown field `(.+?)`", reason)
        if reason in _NOT_ENROLLED:
            reason += "; write it, or enrol the board: its identity says it then (docs/field-guide.md)"
        reason = _with_words(reason, key)
        full = ".".join(part for part in (key, unknown[1] if unknown else "") if part)
        raise ConfigError(path, line_of(text, full), full, reason) from error
    for key, reason in config_faults(config):
        raise ConfigError(path, line_of(text, key), key, reason)
    return config


def _with_words(reason: str, key: str) -> str:
    """Add the allowed words to an error about a word."""
    allowed = {"sev": "low, medium, high", "kind": ", ".join(KINDS)}.get(key.rpartition(".")[2], "")
    return f"{reason}; there are {allowed}" if allowed and "enum" in reason else reason
