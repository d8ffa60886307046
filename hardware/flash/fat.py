"""Files in a FAT file system inside a disk or an image, without mounting it: Debian's mtools does the work.

Why mtools and no library: docs/adr/0017.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from hardware.errors import NotCustomised, SettingInvalid

_DEADLINE_S: Final = 600.0
_CLUSTER_BYTES: Final = 32 << 10
"""A file takes whole clusters; none of FAT16 or of FAT32 is larger than this on a card of today."""


def require_tools() -> None:
    """Raise `SettingInvalid` where mtools is not installed, before anything is written."""
    if shutil.which("mcopy") is None:
        raise SettingInvalid("first-boot files", "mtools is not installed", "sudo apt install mtools")


class Fat:
    """A FAT file system that begins at an offset of a disk or file."""

    def __init__(self, path: Path, begin_bytes: int) -> None:
        self.path = path
        self._drive = f"{path}@@{begin_bytes}"

    def names(self) -> set[str]:
        """Return the paths of all its files, `pehra/claim.json`."""
        found = self._run("mdir", "-b", "-a", "-/", "::").decode("utf-8", "replace").splitlines()
        return {
            line.removeprefix("::/") for line in found if line.startswith("::/") and not line.endswith("/")
        }

    def read(self, name: str) -> bytes:
        """Return what is in a file.

        Raises:
            NotCustomised: it is not there or cannot be read.
        """
        return self._run("mtype", f"::/{name}")

    def free_bytes(self) -> int:
        """Return how much room is left."""
        said = self._run("mdir", "::").decode("utf-8", "replace")
        found = re.search(r"([0-9][0-9 ]*) bytes free", said)
        if found is None:
            raise NotCustomised(self.path, "mdir does not say how much is free", "see docs/flashing.md")
        return int(found[1].replace(" ", ""))

    def write(self, files: Mapping[str, bytes | Path]) -> None:
        """Write files, in folders that are made for them; those that are there are replaced.

        Raises:
            NotCustomised: there is no room (nothing was written then), or the file system is damaged.
        """
        needed = sum(_room_bytes(content) for content in files.values())
        free = self.free_bytes()
        if needed > free:
            raise NotCustomised(
                self.path,
                f"the boot partition has {free / 1e6:.1f} MB free and the files need {needed / 1e6:.1f} MB",
                "use an image with a larger boot partition, or a smaller --wheelhouse",
            )
        with tempfile.TemporaryDirectory(prefix="pehra-flash-") as folder:
            tops = _laid_out(files, Path(folder))
            self._run("mcopy", "-s", "-o", "-Q", *map(str, tops), "::/")

    def _run(self, tool: str, *arguments: str) -> bytes:
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": os.devnull}
        try:
            done = subprocess.run(  # noqa: S603 (a fixed tool; paths are arguments, no shell)
                [tool, "-i", self._drive, *arguments],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_DEADLINE_S, check=False,
                env=environment,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotCustomised(self.path, f"{tool}: {error}", "flash it anew") from error
        if done.returncode:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())
            raise NotCustomised(self.path, f"{tool}: {said or done.returncode}", "flash it anew")
        return done.stdout


def _room_bytes(content: bytes | Path) -> int:
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    return -(-size // _CLUSTER_BYTES) * _CLUSTER_BYTES


def _laid_out(files: Mapping[str, bytes | Path], folder: Path) -> list[Path]:
    """Lay files out as they shall be on the card, large ones as links; return the top ones."""
    for name, content in files.items():
        place = folder / PurePosixPath(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            place.touch(0o600)
            place.write_bytes(content)
        else:
            place.symlink_to(content.resolve())
    return sorted(folder.iterdir())
