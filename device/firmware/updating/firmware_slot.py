"""Makes a firmware of a verified wheelhouse in a slot, and looks whether it starts; turns to nothing.

A slot is whole when it has its `MANIFEST.ok`, which is written last, after everything else is on the disk.
Nothing here ever reaches for the network. The layout is laid down in docs/firmware-slots.md.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from device.errors import FirmwareUnusable
from device.firmware import launcher
from device.firmware.updating import child, wheelhouse
from device.firmware.updating.installing import install, python_of
from ota.whole import sync_folder, write_whole

MANIFEST: Final = "MANIFEST.ok"
_MB: Final = 1_000_000
_LATER: Final = "it is tried again later"
_RELEASE: Final = "mend the release; this board goes on with what it has"


@dataclass(frozen=True, slots=True)
class Limits:
    """What building and looking may take.

    Attributes:
        build_s: seconds of pip; a slow card takes minutes.
        sync_s: seconds until everything is on the disk.
        check_s: seconds of each of the new firmware's own answers.
        spare_bytes: that stay free for the outbox and the journal.
        most_bytes: of an unpacked wheelhouse.
    """

    build_s: float = 1800.0
    sync_s: float = 600.0
    check_s: float = 180.0
    spare_bytes: int = 64 * _MB
    most_bytes: int = 1000 * _MB


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Says that a slot is whole, and what is in it.

    Attributes:
        name: of the release.
        version: of it.
        sha256: of the archive that it was made of.
    """

    name: str = wheelhouse.PROGRAM
    version: str
    sha256: str


class _Signed(msgspec.Struct, frozen=True):
    custom: dict[str, object] = {}
    hashes: dict[str, str] = {}


def build(
    archive: Path,
    slot: Path,
    *,
    notes: Mapping[str, object] | None = None,
    is_over: Callable[[], bool] = lambda: False,
    limits: Limits | None = None,
) -> Manifest:
    """Make a firmware of a packed wheelhouse; what was in the slot goes.

    Args:
        archive: verified as a whole.
        slot: `slots/firmware/a` or `b`, not the one that runs. Its place is final.
        notes: stand in its manifest beside what `Manifest` has.
        is_over: asked often; true gives up.
        limits: of time and room.

    Raises:
        FirmwareUnusable: it cannot be made here; the slot is not whole.
    """
    limits = limits or Limits()
    _check_free(slot)
    try:
        clear(slot)
        _check_room(archive, slot, limits)
        version = install(archive, slot, is_over, limit_s=limits.build_s, most_bytes=limits.most_bytes)
        manifest = Manifest(version=version, sha256=_sha256(archive))
        _sync(slot, is_over, limits)
        write_whole(slot / MANIFEST, msgspec.json.encode({**(notes or {}), **msgspec.to_builtins(manifest)}))
    except OSError as error:
        words = f"the disk refuses ({error})"
        raise FirmwareUnusable(words, f"{_LATER}; look at the card", is_final=False) from error
    return manifest


def clear(slot: Path) -> None:
    """Empty a slot; from the first moment on it is not whole.

    Raises:
        OSError: the disk refuses.
    """
    slot.mkdir(parents=True, exist_ok=True)
    (slot / MANIFEST).unlink(missing_ok=True)
    sync_folder(slot)
    for path in slot.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def read_manifest(slot: Path) -> Manifest | None:
    """Return what a slot holds; None where it is not whole.

    A manifest may name the release by the target that was signed (`slot_folder.py`), or by itself.
    """
    try:
        told = launcher.read_json(slot / MANIFEST)
        signed = msgspec.convert(told.get("target", {}), type=_Signed)
        said = {"version": signed.custom.get("version"), "sha256": signed.hashes.get("sha256")}
        return msgspec.convert(said | told, type=Manifest)
    except (OSError, ValueError):
        return None


def check_launched(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse where no launcher started us: a new firmware would never be started, or never be left.

    Raises:
        FirmwareUnusable: the service starts a fixed program.
    """
    if not environment.get("PEHRA_LAUNCHER"):
        raise FirmwareUnusable(
            "this board's service starts without the launcher",
            "on the board: sudo pehra device unit --install, systemctl daemon-reload, restart pehra-device",
            is_final=False,
        )


def _check_free(slot: Path) -> None:
    current, _ = launcher.read_current(slot.parent)
    if current == slot.name or Path(sys.prefix).is_relative_to(slot.resolve()):
        raise FirmwareUnusable(f"slot {slot.name} is the one that runs", "build in the other", is_final=False)
    try:
        trial = launcher.read_trial(slot.parent)
    except (OSError, ValueError):
        return
    if trial is not None and trial.before == slot.name and trial.slot == current:
        words = f"slot {slot.name} is what the trial of slot {current} would go back to"
        raise FirmwareUnusable(words, "wait for its end", is_final=False)


def _check_room(archive: Path, slot: Path, limits: Limits) -> None:
    needed = wheelhouse.room_for(archive) + limits.spare_bytes
    free = shutil.disk_usage(slot).free
    if free < needed:
        words = f"it needs {needed / _MB:.0f} MB and {free / _MB:.0f} MB are free"
        raise FirmwareUnusable(words, f"free some room; {_LATER}", is_final=False)


def _sync(slot: Path, is_over: Callable[[], bool], limits: Limits) -> None:
    """Have everything on the disk; by a program, because a slow card can keep a thread for minutes."""
    done = child.run(["sync", "-f", str(slot)], limit_s=limits.sync_s, is_over=is_over)
    if done.code:
        raise FirmwareUnusable(f"the disk refuses: {done.words}", "look at the card", is_final=False)
    if done.code is None:
        raise FirmwareUnusable(f"writing to the disk: {done.words}", _LATER, is_final=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(
    slot: Path,
    version: str = "",
    *,
    config: Path | None = None,
    is_over: Callable[[], bool] = lambda: False,
    limits: Limits | None = None,
) -> Manifest:
    """Let the firmware in a slot say who it is and whether it could work here, by its own interpreter.

    Args:
        slot: that was built.
        version: that it must be, as was signed; empty: as its manifest says.
        config: this device's configuration, which it must understand; None leaves it out.
        is_over: asked often; true gives up.
        limits: of time.

    Raises:
        FirmwareUnusable: it is not whole, another one, or does not work on this board.
    """
    limits = limits or Limits()
    manifest = read_manifest(slot)
    if manifest is None:
        raise FirmwareUnusable(f"slot {slot.name} is not whole", "it is built again", is_final=False)
    wanted = version or manifest.version
    said = _ask(slot, ["--version"], is_over, limits).strip().rpartition(" ")[2]
    if wanted != manifest.version or said != wanted:
        words = f"it says that it is {said[:40]!r}, its manifest says {manifest.version}, signed was {wanted}"
        raise FirmwareUnusable(words, _RELEASE, is_final=True)
    _ask(slot, ["device", "self-test", *(["--config", str(config)] if config else [])], is_over, limits)
    return manifest


def _ask(slot: Path, words: list[str], is_over: Callable[[], bool], limits: Limits) -> str:
    command = [str(python_of(slot)), "-I", "-m", "pehra", *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    asked = f"pehra {' '.join(words[:2])}"
    try:
        done = child.run(command, limit_s=limits.check_s, is_over=is_over, environment=environment)
    except OSError as error:
        reason = f"{asked}: it cannot be started ({error.strerror})"
        raise FirmwareUnusable(reason, _RELEASE, is_final=True) from error
    if done.code:
        raise FirmwareUnusable(f"{asked}: {done.words}", _RELEASE, is_final=done.code != -signal.SIGKILL)
    if done.code is None:
        raise FirmwareUnusable(f"{asked}: {done.words}", _LATER, is_final=done.is_late)
    return done.output
