"""The folder in which a device keeps the metadata that it trusts: sets, of which a link names the current.

```
FOLDER/
  current -> sets/7      the set that is trusted
  sets/7/                timestamp.json, snapshot.json, targets.json, ROLE.json, root_history/N.root.json
  floor.a  floor.b       versions below which nothing is trusted (see `ota.trust.floor`)
  lock                   held by the one process that works here
```

A refresh works in a copy; only when all of the copy is on the disk, the link is turned. A cut at any moment
leaves the old set or the new one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ota.errors import FolderProblem
from ota.trust.floor import FloorFiles
from ota.whole import point, sync_file, sync_folder

CURRENT = "current"
SETS = "sets"


class TrustFolder:
    """See the module; made where it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.floor = FloorFiles(folder)

    @property
    def current(self) -> Path:
        """The set that is trusted; not there before the first refresh."""
        return self.folder / CURRENT

    @contextmanager
    def copied(self) -> Iterator[Path]:
        """Give a copy of the current set to work in; it is dropped unless it is turned to (see `turn_to`).

        Raises:
            FolderProblem: The disk refuses, or another process works here.
        """
        with self._locked():
            self._sweep()
            try:
                copy = self._next()
                copy.mkdir(parents=True)
                for file in sorted(self.current.rglob("*.json")) if self.current.is_dir() else []:
                    if file.is_file() and not file.is_symlink():
                        to = copy / file.relative_to(self.current)
                        to.parent.mkdir(exist_ok=True)
                        shutil.copyfile(file, to)
            except OSError as error:
                raise FolderProblem(f"{self.folder}: {error}; free some space") from error
            try:
                yield copy
            finally:
                self._sweep()

    def is_current(self, copy: Path) -> bool:
        """Whether a copy says nothing that the current set does not say: a refresh need not wear the disk."""
        return _contents(copy) == _contents(self.current)

    def turn_to(self, copy: Path) -> None:
        """Trust a copy from now on, in one step.

        Raises:
            FolderProblem: The disk refuses; the set before is still trusted.
        """
        try:
            for folder, _, files in os.walk(copy):
                for name in files:
                    if not (Path(folder) / name).is_symlink():
                        sync_file(Path(folder) / name)
                sync_folder(Path(folder))
            sync_folder(copy.parent)
            point(self.current, f"{SETS}/{copy.name}")
        except OSError as error:
            raise FolderProblem(f"{self.folder}: {error}; free some space") from error

    def _next(self) -> Path:
        sets = self.folder / SETS
        sets.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.name) for path in sets.iterdir() if path.name.isdecimal()]
        return sets / str(max(numbers, default=0) + 1)

    def _sweep(self) -> None:
        """Drop the sets that are not trusted: left by a cut, or gone by."""
        kept = self.current.resolve() if self.current.is_symlink() else None
        sets = self.folder / SETS
        for path in sets.iterdir() if sets.is_dir() else []:
            if path.resolve() != kept:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FolderProblem(f"{self.folder}: {error}; name a folder that can be written") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise FolderProblem(
                f"{self.folder}: another process works here; wait until it is done"
            ) from error
        finally:
            os.close(handle)


def _contents(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.json") if file.is_file()}
