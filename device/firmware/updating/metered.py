"""Whether the road to the fleet costs by the byte: NetworkManager's word, else the kind of interface."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

Setting = Literal["auto", "yes", "no"]
BY_THE_BYTE: Final = ("wwan", "ppp", "usb", "rmnet", "wwp")
"""How interfaces of modems and of telephones that share their network begin."""
ROUTES: Final = Path("/proc/net/route")
ASK_S: Final = 5
_log = logging.getLogger(__name__)


def is_metered(
    setting: Setting, routes: Path = ROUTES, ask: Callable[[str], str] | None = None, program: str = "nmcli"
) -> bool:
    """Whether the road is metered.

    Args:
        setting: `yes` and `no` are believed; `auto` looks.
        routes: the kernel's table of IPv4 routes.
        ask: what NetworkManager says of an interface; asks its program where absent.
        program: `nmcli`, or the path of one.
    """
    if setting != "auto":
        return setting == "yes"
    interface = default_interface(routes)
    if not interface:
        return False
    said = ask(interface) if ask is not None else ask_network_manager(interface, program)
    word = said.partition(":")[2].strip().split(" ")[0] if ":" in said else said.strip().split(" ")[0]
    if word in ("yes", "no"):  # "yes (guessed)" as well
        return word == "yes"
    return interface.startswith(BY_THE_BYTE)


def default_interface(routes: Path = ROUTES) -> str:
    """Return the interface of the default route with the smallest metric; empty where there is none."""
    try:
        lines = routes.read_text("ascii").splitlines()[1:]
    except (OSError, ValueError):
        return ""
    fields = [line.split() for line in lines]
    defaults = [one for one in fields if len(one) >= 8 and one[1] == one[7] == "00000000"]
    return min(defaults, key=lambda one: int(one[6]))[0] if defaults else ""


def ask_network_manager(interface: str, program: str = "nmcli") -> str:
    """Return what NetworkManager says of an interface, `GENERAL.METERED:yes (guessed)`; empty without it."""
    if shutil.which(program) is None:
        return ""
    command = [program, "-t", "-f", "GENERAL.METERED", "device", "show", interface]
    try:
        done = subprocess.run(  # noqa: S603 (a list of arguments; no shell)
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=ASK_S,
            check=False,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.info("update: NetworkManager does not say whether %s is metered error=%r", interface, str(error))
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
