"""A wheelhouse: which wheels are in it, how much room they take, and what pip is told about them.

Everything in it was verified as a whole, as one signed file. What pip is told names each wheel by version and
hash all the same, so that nothing else can get in.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import IO, Final

from device.errors import FirmwareUnusable

PROGRAM: Final = "pehra"
_WHEEL = re.compile(
    r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[A-Za-z0-9_.!+]+)(-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl"
)
_PIN = re.compile(
    r"[A-Za-z0-9._-]+(\[[A-Za-z0-9._,-]+\])?==[^\s;#@]+(\s*;[^#@]+?)?(\s+--hash=sha256:[0-9a-f]{64})+"
)
_ANOTHER: Final = "release another wheelhouse (docs/firmware-slots.md says what is in one)"


def program_version(folder: Path) -> str:
    """Return the version of the one wheel of Pehra.

    Raises:
        FirmwareUnusable: there is none, or several.
    """
    found = {match["version"] for wheel in _wheels(folder) if (match := _named(wheel))["name"] == PROGRAM}
    if len(found) != 1:
        raise FirmwareUnusable(
            f"the wheelhouse holds {len(found)} versions of {PROGRAM}", _ANOTHER, is_final=True
        )
    return found.pop()


def requirements(folder: Path) -> str:
    """Return what pip is to install: the wheelhouse's lock and Pehra, or, without a lock, all wheels.

    Raises:
        FirmwareUnusable: the lock is none, or there are two versions of one thing.
    """
    locks = sorted(folder.glob("*.lock"))
    if len(locks) > 1:
        names = " and ".join(lock.name for lock in locks)
        raise FirmwareUnusable(f"the wheelhouse has two locks, {names}", _ANOTHER, is_final=True)
    lines = _locked(locks[0]) if locks else []
    pinned = _pinned(folder)
    chosen = {PROGRAM: pinned[PROGRAM]} if locks else pinned
    return "".join(f"{line}\n" for line in [*lines, *chosen.values()])


def _locked(lock: Path) -> list[str]:
    """The lock's lines; anything but a pin with hashes (an index, a URL) could reach for the network."""
    text = re.sub(r"\\\r?\n", " ", lock.read_text("utf-8", "replace"))
    lines = [bare for line in text.splitlines() if (bare := re.sub(r"(^|\s)#.*", "", line).strip())]
    for line in lines:
        if not _PIN.fullmatch(line):
            words = f"{lock.name}: {line[:80]!r} is no version with its hashes"
            raise FirmwareUnusable(words, _ANOTHER, is_final=True)
    return [line for line in lines if not re.match(rf"{PROGRAM}\W", line)]


def _pinned(folder: Path) -> dict[str, str]:
    versions: dict[str, set[str]] = defaultdict(set)
    hashes: dict[str, list[str]] = defaultdict(list)
    for wheel in _wheels(folder):
        match = _named(wheel)
        versions[match["name"]].add(match["version"])
        hashes[match["name"]].append(f"--hash=sha256:{_sha256(wheel)}")
    for name, found in versions.items():
        if len(found) > 1:
            words = f"the wheelhouse holds {name} as {' and as '.join(sorted(found))}"
            raise FirmwareUnusable(words, _ANOTHER, is_final=True)
    return {name: f"{name}=={min(versions[name])} {' '.join(found)}" for name, found in hashes.items()}


def room_for(archive: Path) -> int:
    """Return how many bytes a packed wheelhouse takes, unpacked and installed, with Python's compiled files.

    Raises:
        FirmwareUnusable: it holds what is no wheel.
        OSError: it cannot be read.
    """
    total = 0
    try:
        with tarfile.open(archive, mode="r:") as tar:
            for about in tar:
                total += about.size
                content = tar.extractfile(about) if about.name.endswith(".whl") else None
                total += _installed(content) if content is not None else 0
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise FirmwareUnusable(f"it is no packed wheelhouse ({error})", _ANOTHER, is_final=True) from error
    return total * 11 // 10  # names, folders, and the rest of each block


def _installed(wheel: IO[bytes]) -> int:
    with zipfile.ZipFile(wheel) as opened:
        return sum(
            about.file_size * (2 if about.filename.endswith(".py") else 1) for about in opened.infolist()
        )


def _wheels(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.whl"))


def _named(wheel: Path) -> dict[str, str]:
    match = _WHEEL.fullmatch(wheel.name)
    if match is None:
        raise FirmwareUnusable(f"{wheel.name} is not named as wheels are", _ANOTHER, is_final=True)
    return {"name": re.sub(r"[-_.]+", "-", match["name"]).lower(), "version": match["version"]}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
