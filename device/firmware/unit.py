"""The systemd units of a device, with the paths of the machine on which it is to run; writes nothing."""

from __future__ import annotations

import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

UNIT_NAME: Final = "pehra-device.service"
CONSOLE_UNIT: Final = "pehra-console.service"
CONSOLE_RULE: Final = "50-pehra-console.rules"
"""Lets the console's user join networks and start the camera's service anew, and nothing else (polkit(8))."""
RULE_FOLDER: Final = Path("/etc/polkit-1/rules.d")
UNIT_FOLDER: Final = Path("/etc/systemd/system")
STATE: Final = "/var/lib/pehra"
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 (not used: hidden)
"""What `ProtectHome` and `PrivateTmp` keep from the service."""


def unit_text(
    config: Path, *, user: str = "pehra", state: str = STATE, program: list[str] | None = None
) -> str:
    """Return the shipped unit for this machine.

    Args:
        config: the device's configuration.
        user: whom it runs as.
        state: the folder of `[device] state`; another than systemd makes by itself is opened for writing.
        program: what to start; this `pehra` where absent.
    """
    command = [*(program or this_program()), "device", "run", "--config", str(config.absolute())]
    return _fitted(UNIT_NAME, command, user, state)


def console_unit_text(
    config: Path,
    port: str,
    baud: int,
    *,
    user: str = "pehra",
    state: str = STATE,
    program: list[str] | None = None,
) -> str:
    """Return the shipped unit of the serial console for this machine.

    Args:
        config: the device's configuration.
        port: that the cable is in, such as `/dev/ttyGS0`.
        baud: its symbols a second.
        user: whom it runs as: the device's.
        state: as in `unit_text`.
        program: as in `unit_text`.
    """
    command = [*(program or this_program()), "device", "serve-console", "--config", str(config.absolute())]
    text = _fitted(CONSOLE_UNIT, [*command, "--port", port, "--baud", str(baud)], user, state)
    return _replaced(text, "Conflicts", f"serial-getty@{Path(port).resolve().name}.service")


def console_rule_text(user: str = "pehra") -> str:
    """Return polkit's rule for the console's user."""
    text = (files("hardware.systemd") / CONSOLE_RULE).read_text("utf-8")
    return text.replace('"pehra"', json.dumps(user))


def _fitted(name: str, command: list[str], user: str, state: str) -> str:
    text = (files("hardware.systemd") / name).read_text("utf-8")
    text = _replaced(text, "ExecStart", " ".join(map(_quoted, command)))
    text = _replaced(text, "User", user)
    text = _replaced(text, "Group", user)
    if state != STATE:
        text = text.replace(
            "StateDirectoryMode=0700\n", f"ReadWritePaths={_quoted(str(Path(state).absolute()))}\n"
        )
        text = text.replace("StateDirectory=pehra\n", "")
    return text


def this_program() -> list[str]:
    """The `pehra` beside the running Python, or the module where there is none."""
    script = Path(sys.executable).parent / "pehra"
    return [str(script)] if script.exists() else [sys.executable, "-m", "pehra"]


def hidden_paths(paths: list[Path]) -> list[Path]:
    """Those of the paths that the service will not see: homes are hidden, temporary folders its own."""
    return [path for path in paths if any(path.absolute().is_relative_to(folder) for folder in _HIDDEN)]


def _replaced(text: str, key: str, value: str) -> str:
    replaced, count = re.subn(rf"(?m)^{key}=.*$", lambda _: f"{key}={value}", text)
    assert count == 1, key
    return replaced


def _quoted(word: str) -> str:
    """A word of a unit's value: `%` and `$` mean something there (systemd.service(5), "Command lines")."""
    plain = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{plain}"' if re.search(r"[\s\"';]", word) else plain
