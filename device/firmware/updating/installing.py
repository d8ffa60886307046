"""Installs a wheelhouse into a venv at its final place, without a network, running nothing of it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from device.errors import FirmwareUnusable
from device.firmware.updating import child, wheelhouse
from ota.errors import WrongContent
from ota.packing import unpack

VENV: Final = "venv"
_WORK: Final = "work"
_LATER: Final = "it is tried again later"
_RELEASE: Final = "release another one; this board goes on with what it has"


def python_of(slot: Path) -> Path:
    """Return the interpreter of the firmware in a slot."""
    return slot / VENV / "bin" / "python"


def install(
    archive: Path, slot: Path, is_over: Callable[[], bool], *, limit_s: float, most_bytes: int
) -> str:
    """Install a packed wheelhouse into `slot/venv`; return the version of Pehra in it.

    Args:
        archive: verified as a whole.
        slot: an empty folder.
        is_over: asked often; true gives up.
        limit_s: seconds that pip may take.
        most_bytes: of the unpacked wheelhouse.

    Raises:
        FirmwareUnusable: it cannot be installed here.
        OSError: the disk refuses.
    """
    work = slot / _WORK
    try:
        unpack(archive, work / "wheels", most_bytes)
    except WrongContent as error:
        raise FirmwareUnusable(str(error), _RELEASE, is_final=True) from error
    version = wheelhouse.program_version(work / "wheels")
    (work / "install.txt").write_text(wheelhouse.requirements(work / "wheels"), "utf-8")
    (work / "tmp").mkdir()
    venv.EnvBuilder(system_site_packages=True, symlinks=True).create(slot / VENV)
    _pip(slot, is_over, limit_s)
    shutil.rmtree(work)
    return version


def _pip(slot: Path, is_over: Callable[[], bool], limit_s: float) -> None:
    work = slot / _WORK
    options = ["--isolated", "--disable-pip-version-check", "--no-input", "--no-color", "--quiet", "install"]
    options += ["--no-index", "--find-links", str(work / "wheels"), "--no-cache-dir", "--no-deps"]
    # What the system has may be another tomorrow: nothing of it stands in for a wheel.
    options += ["--only-binary", ":all:", "--ignore-installed", "--require-hashes"]
    command = [str(python_of(slot)), "-I", "-c", child.WITH_PARENT, str(pip_runner()), *options]
    environment = {"PATH": os.defpath, "TMPDIR": str(work / "tmp"), "LC_ALL": "C.UTF-8", "HOME": str(work)}
    done = child.run(
        [*command, "--requirement", str(work / "install.txt")],
        limit_s=limit_s,
        is_over=is_over,
        environment=environment,
    )
    if done.code is None or done.code < 0:
        raise FirmwareUnusable(f"installing: {done.words}", _LATER, is_final=False)
    if done.code:
        is_full = "No space left" in done.output
        raise FirmwareUnusable(
            f"installing: {done.words}", _LATER if is_full else _RELEASE, is_final=not is_full
        )


def pip_runner(environment: Mapping[str, str] = os.environ) -> Path:
    """Return what runs a pip in an environment that has none: that of this program, or of the factory's.

    A slot has none of its own, so it is smaller and sooner made.

    Raises:
        FirmwareUnusable: there is no pip on this board.
    """
    homes = []
    if (spec := importlib.util.find_spec("pip")) is not None and spec.origin:
        homes.append(Path(spec.origin).parent)
    factory = Path(environment.get("PEHRA_FACTORY", sys.executable)).parent.parent
    homes += factory.glob("lib/python3.*/site-packages/pip")
    for home in homes:
        if (runner := home / "__pip-runner__.py").is_file():
            return runner
    raise FirmwareUnusable("there is no pip on this board", "sudo apt install python3-pip", is_final=False)
