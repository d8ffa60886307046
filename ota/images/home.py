"""The folder of an image repository, and what it knows of its keys.

```
HOME/
  repository.json   names of keys and where their private halves are; lives of roles; where it was published
  root.json         the first root: what a device is given to trust
  metadata/         N.ROLE.json and timestamp.json, signed: what a client would see
  targets/          the files of the targets, each named with its hash
  staged/ROLE.json  the next version of a role, until it has all its signatures
  keys/             offline keys: move them to safe places
  online/           the keys of snapshot, timestamp and deltas, which the fleet uses by itself
  lock
```
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets, Timestamp

from ota.errors import BadRelease
from ota.whole import sync_folder, write_whole

MODELS: Final = "models"
FIRMWARE: Final = "firmware"
DELTAS: Final = "deltas"
OFFLINE: Final = ("root", "targets", MODELS, FIRMWARE)
ONLINE: Final = ("snapshot", "timestamp", DELTAS)
DELEGATED: Final = (MODELS, FIRMWARE, DELTAS)
ROLES: Final = (*OFFLINE, DELTAS, "snapshot", "timestamp")
LIFE_DAYS: Final = {
    "root": 365.0,
    "targets": 365.0,
    MODELS: 365.0,
    FIRMWARE: 365.0,
    DELTAS: 30.0,
    "snapshot": 7.0,
    "timestamp": 1.0,
}

_LOCK_LOOK_S: Final = 0.05
_Kind = TypeVar("_Kind")
AnyMetadata = Metadata[Any]
"""Of whichever role; `tuf` has no common type for them but this."""


class KeyEntry(msgspec.Struct, frozen=True):
    """Where a key's private half is: `file:NAME` in one of the key folders, or `hsm:...` on a token."""

    name: str
    uri: str


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What `repository.json` holds.

    Attributes:
        keys: By key id.
        life_days: How long a role's signature holds, from when it is signed.
        delta_from: How many older versions deltas are made from.
        published: Folders to which it was published, to be kept fresh.
        not_smaller: Pairs of hashes between which a delta would not be smaller.
    """

    keys: dict[str, KeyEntry] = {}
    life_days: dict[str, float] = msgspec.field(default_factory=lambda: dict(LIFE_DAYS))
    delta_from: int = 3
    published: list[str] = []
    not_smaller: list[str] = []


class Home:
    """Reads and writes an image repository's folder; decides nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"
        self.staged = folder / "staged"
        self.offline_keys = folder / "keys"
        self.online_keys = folder / "online"
        self.first_root = folder / "root.json"
        self._settings = folder / "repository.json"

    def make(self) -> None:
        """Make the folders of a new repository.

        Raises:
            BadRelease: Something is there already, or the disk refuses.
        """
        if self.folder.exists() and any(self.folder.iterdir()):
            raise BadRelease(f"{self.folder} is not empty: name a new folder")
        try:
            for path in (self.metadata, self.targets, self.staged):
                path.mkdir(parents=True, exist_ok=True)
            for path in (self.offline_keys, self.online_keys):
                path.mkdir(mode=0o700)
        except OSError as error:
            raise BadRelease(f"{self.folder}: {error}") from error

    @contextmanager
    def locked(self, wait_s: float = 0.0) -> Iterator[Settings]:
        """Work here alone; settings that were changed are written at the end.

        Args:
            wait_s: How long to wait for another process that works here: a fleet does for a moment, now and
                then.

        Raises:
            BadRelease: There is no repository, or another process works here.
        """
        if not self.folder.is_dir():
            raise BadRelease(
                f"{self.folder}: no image repository; make one with: pehra ota init {self.folder}"
            )
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _lock(handle, wait_s):
                raise BadRelease(f"{self.folder}: another process works here; wait until it is done")
            settings = self.settings()
            before = msgspec.json.encode(settings)
            yield settings
            if msgspec.json.encode(settings) != before:
                self.write_settings(settings)
        finally:
            os.close(handle)

    def settings(self) -> Settings:
        """Return the settings.

        Raises:
            BadRelease: They are not there, or damaged.
        """
        try:
            return msgspec.json.decode(self._settings.read_bytes(), type=Settings)
        except FileNotFoundError as error:
            raise BadRelease(
                f"{self.folder}: no image repository; make one with: pehra ota init {self.folder}"
            ) from error
        except (OSError, msgspec.DecodeError) as error:
            raise BadRelease(f"{self._settings}: {error}; take it from your backup") from error

    def write_settings(self, settings: Settings) -> None:
        """Write the settings.

        Raises:
            BadRelease: The disk refuses.
        """
        self._write(self._settings, msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n")

    def current(self, role: str) -> AnyMetadata | None:
        """Return the newest signed metadata of a role; None where there is none yet."""
        path = self.current_file(role)
        return self._read(path) if path else None

    def current_file(self, role: str) -> Path | None:
        """Return the file of a role's newest signed metadata."""
        if role == Timestamp.type:
            path = self.metadata / "timestamp.json"
            return path if path.exists() else None
        found = [path for path in self.metadata.glob(f"*.{role}.json") if path.name.split(".")[0].isdecimal()]
        return max(found, key=lambda path: int(path.name.split(".")[0]), default=None)

    def root(self) -> Root:
        """Return the newest signed root."""
        return _one(self.current(Root.type), Root, self.folder)

    def targets_role(self, role: str = Targets.type) -> Targets:
        """Return the newest signed metadata of a targets role."""
        return _one(self.current(role), Targets, self.folder)

    def keep(self, role: str, metadata: AnyMetadata) -> None:
        """Write signed metadata; if it was staged, it is not any more."""
        name = "timestamp.json" if role == Timestamp.type else f"{metadata.signed.version}.{role}.json"
        self._write(self.metadata / name, metadata.to_bytes())
        self.unstage(role)

    def stage(self, role: str, metadata: AnyMetadata) -> None:
        """Write metadata that is not signed by all who must."""
        self._write(self.staged / f"{role}.json", metadata.to_bytes())

    def unstage(self, role: str) -> None:
        """Drop what was staged for a role."""
        (self.staged / f"{role}.json").unlink(missing_ok=True)
        sync_folder(self.staged)

    def waiting(self, role: str) -> AnyMetadata | None:
        """Return what is staged for a role; None where nothing is.

        What a cut left staged although it is signed and kept already counts for nothing.
        """
        path = self.staged / f"{role}.json"
        if not path.exists():
            return None
        staged, current = self._read(path), self.current(role)
        return staged if current is None or staged.signed.version > current.signed.version else None

    def next_version(self, role: str) -> AnyMetadata:
        """Return what a change of a role begins from: what is staged, else the newest with a new number."""
        if staged := self.waiting(role):
            staged.signatures.clear()
            return staged
        metadata = self.current(role)
        if metadata is None:
            raise BadRelease(f"{self.folder}: metadata of {role} is missing; take it from your backup")
        metadata.signed.version += 1
        metadata.signatures.clear()
        return metadata

    def _read(self, path: Path) -> AnyMetadata:
        try:
            return Metadata.from_bytes(path.read_bytes())
        except (OSError, RepositoryError) as error:
            raise BadRelease(f"{path}: {error}; take it from your backup") from error

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_whole(path, content)
        except OSError as error:
            raise BadRelease(f"{path}: {error}; free some space") from error


def _lock(handle: int, wait_s: float) -> bool:
    until_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until_s:
                return False
            time.sleep(_LOCK_LOOK_S)
        else:
            return True


def expiry(settings: Settings, role: str, now: datetime) -> datetime:
    """Return until when a signature of a role holds that is made now."""
    return now.replace(microsecond=0) + timedelta(days=settings.life_days[role])


def _one(metadata: AnyMetadata | None, kind: type[_Kind], folder: Path) -> _Kind:
    if metadata is None or not isinstance(metadata.signed, kind):
        raise BadRelease(
            f"{folder}: metadata of {kind.__name__.lower()} is missing; take it from your backup"
        )
    return metadata.signed
