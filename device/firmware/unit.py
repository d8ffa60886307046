"""The systemd unit of a device, with the paths of the machine on which it is to run; writes nothing."""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

UNIT_NAME: Final = "pehra-device.service"
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
    text = (files("hardware.systemd") / UNIT_NAME).read_text("utf-8")
    command = [*(program or this_program()), "device", "run", "--config", str(config.absolute())]
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
