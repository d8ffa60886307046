"""Publishes a repository as static files: for a web server, a CDN, a USB stick.

What clients are led by comes last: files under new names first, then roots, then the timestamp. So a client
that asks in between, or after a cut, sees the repository as it was; and what no client would accept is not
published.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tuf.api.metadata import TargetFile

from ota.errors import BadRelease, TrustError
from ota.images.deltas import refresh_deltas
from ota.images.fresh import freshen
from ota.images.home import DELEGATED, Home, Settings
from ota.images.keys import AskSecret
from ota.images.signing import Signers
from ota.trust.download import file_name, is_whole
from ota.trust.folder import TrustFolder
from ota.trust.refresh import refresh
from ota.trust.sources import USB_FOLDER, FolderSource
from ota.whole import sync_folder


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did.

    Attributes:
        folder: Where to.
        files: How many files are new or changed there.
        signed: Online roles that were signed for it.
        deltas: Deltas that were made for it.
    """

    folder: Path
    files: int
    signed: tuple[str, ...]
    deltas: tuple[TargetFile, ...] = ()


def publish(home: Home, settings: Settings, folder: Path, ask: AskSecret, now: datetime) -> Published:
    """Make deltas, sign what the online keys sign, and write everything to a folder.

    Raises:
        BadRelease: No client would accept it, or the folder cannot be written.
        KeyProblem: An online key is not here.
    """
    deltas = refresh_deltas(home, settings, Signers(home, settings, ask), now)
    signed = freshen(home, settings, ask, now)
    check(home, now)
    files = write_out(home, folder)
    place = str(folder.absolute())
    if place not in settings.published:
        settings.published.append(place)
    return Published(folder, files, tuple(signed), tuple(deltas))


def keep_fresh(home: Home, settings: Settings, ask: AskSecret, now: datetime) -> list[Published]:
    """Sign snapshot and timestamp again where it is time, and write them to wherever was published before.

    This is what a fleet calls by itself every few minutes. A folder that is not there is passed over.

    Raises:
        BadRelease: No client would accept it, or a folder cannot be written.
        KeyProblem: An online key is not here.
    """
    signed = freshen(home, settings, ask, now)
    if signed:
        check(home, now)
    # what is signed may name targets that nobody has published yet: never a name without its file
    write = write_out if signed else write_metadata
    places = [Path(place) for place in settings.published if Path(place).is_dir()]
    return [Published(place, write(home, place), tuple(signed)) for place in places]


def export(
    home: Home, settings: Settings, stick: Path, ask: AskSecret, now: datetime, life: timedelta
) -> list[Published]:
    """Write a repository to a stick, signed so that it holds for as long as it travels.

    The longer-lived timestamp is published too: a device that was fed from the stick must not find the
    server's older than that.

    Raises:
        BadRelease: No client would accept it, or the stick cannot be written.
        KeyProblem: An online key is not here.
    """
    if not stick.is_dir():
        raise BadRelease(f"{stick}: not there; put the stick in and mount it")
    signed = tuple(freshen(home, settings, ask, now, life=life))
    check(home, now)
    places = [Path(place) for place in settings.published if Path(place).is_dir()]
    return [Published(place, write_out(home, place), signed) for place in [stick / USB_FOLDER, *places]]


def check(home: Home, now: datetime) -> None:
    """Look at a repository as a client would that has only the first root.

    Raises:
        BadRelease: It would not accept it.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            refresh(
                TrustFolder(Path(folder)),
                (home.metadata / "1.root.json").read_bytes(),
                FolderSource(home.folder),
                # look-ups of nothing, so that each delegated role is read
                [f"{role}/-" for role in DELEGATED],
                now=now,
            )
        except (TrustError, OSError) as error:
            raise BadRelease(f"no device would accept this repository: {error}") from error


def write_out(home: Home, folder: Path) -> int:
    """Write a repository to a folder; return how many files are new or changed.

    Raises:
        BadRelease: The folder cannot be written.
    """
    written = 0
    with _saying(folder):
        for target in _targets(home):
            name = file_name(target, prefixes_hash=True)
            file = folder / "targets" / name
            if not is_whole(target, file):
                _copy(home.targets / name, file)
                written += 1
    return written + write_metadata(home, folder)


def write_metadata(home: Home, folder: Path) -> int:
    """Write a repository's metadata to a folder that has its targets; return how many files are new.

    Raises:
        BadRelease: The folder cannot be written.
    """
    written = 0
    with _saying(folder):
        for file in sorted(home.metadata.glob("*.json"), key=_turn):
            to = folder / "metadata" / file.name
            if not to.exists() or to.read_bytes() != file.read_bytes():
                _copy(file, to)
                written += 1
    return written


@contextmanager
def _saying(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadRelease(f"{folder}: {error}; free some space, then publish again") from error


def _targets(home: Home) -> Iterable[TargetFile]:
    for role in DELEGATED:
        yield from home.targets_role(role).targets.values()


def _turn(file: Path) -> tuple[int, str]:
    """Sort metadata so that what leads to others comes after them."""
    if file.name == "timestamp.json":
        return 2, file.name
    return (1, file.name.zfill(20)) if file.name.endswith(".root.json") else (0, file.name)


def _copy(file: Path, to: Path) -> None:
    """Copy a file so that it is there whole or not at all."""
    to.parent.mkdir(parents=True, exist_ok=True)
    fresh = to.with_name(f".{to.name}.new")
    with file.open("rb") as source, fresh.open("wb") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
    fresh.replace(to)
    sync_folder(to.parent)
