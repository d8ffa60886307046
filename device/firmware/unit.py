"""The systemd units of a device, with the paths of the machine on which it is to run; writes nothing.

Both start the launcher, which chooses the firmware (docs/firmware-slots.md). It is a file of its own, run by
the system's Python, so that neither a release nor a damaged factory's firmware takes it away.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

from device.firmware import launcher

UNIT_NAME: Final = "pehra-device.service"
CONSOLE_UNIT: Final = "pehra-console.service"
CONSOLE_RULE: Final = "50-pehra-console.rules"
"""Lets the console's user join networks and start the camera's service anew, and nothing else (polkit(8))."""
RULE_FOLDER: Final = Path("/etc/polkit-1/rules.d")
UNIT_FOLDER: Final = Path("/etc/systemd/system")
LAUNCHER: Final = Path("/usr/local/lib/pehra/pehra-launch")
STATE: Final = "/var/lib/pehra"
_HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 (not used: hidden)
"""What `ProtectHome` and `PrivateTmp` keep from the service."""


def unit_text(config: Path, *, user: str = "pehra", state: str = STATE, factory: str = "") -> str:
    """Return the shipped unit for this machine.

    Args:
        config: the device's configuration.
        user: whom it runs as.
        state: the folder of `[device] state`; another than systemd makes by itself is opened for writing.
        factory: Python of the factory's firmware; the one that runs this where absent.
    """
    command = [*_launched(state, factory), "--", "device", "run", "--config", str(config.absolute())]
    return _fitted(UNIT_NAME, command, user, state)


def console_unit_text(
    config: Path,
    port: str,
    baud: int,
    *,
    user: str = "pehra",
    state: str = STATE,
    factory: str = "",
) -> str:
    """Return the shipped unit of the serial console for this machine.

    Args:
        config: the device's configuration.
        port: that the cable is in, such as `/dev/ttyGS0`.
        baud: its symbols a second.
        user: whom it runs as: the device's.
        state: as in `unit_text`.
        factory: as in `unit_text`.
    """
    command = [*_launched(state, factory), "--look", "--", "device", "serve-console"]
    command += ["--config", str(config.absolute())]
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


def launcher_text() -> str:
    """Return the program of the launcher, which is to lie outside of every firmware."""
    return Path(launcher.__file__).read_text("utf-8")


def system_python(usual: Path = Path("/usr/bin/python3")) -> str:
    """The Python that the running one's environment was made of, by the name that outlives an upgrade."""
    base = Path(getattr(sys, "_base_executable", "") or sys.executable)
    return str(usual if usual.resolve() == base.resolve() else base)


def _launched(state: str, factory: str) -> list[str]:
    # -I -S: no environment, no site-packages; the standard library alone.
    command = [system_python(), "-I", "-S", str(LAUNCHER)]
    return [*command, "--state", str(Path(state).absolute()), "--factory", factory or sys.executable]


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
