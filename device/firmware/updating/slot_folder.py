"""Two slots in a folder, and a link to the one that is started; what is whole says so in a file written last.

::

    FOLDER/
      a/  b/       the release's files, and MANIFEST.ok: which release, and the hash of each file
      current      -> a or b; not there: the factory's

A slot without a manifest, or with a file that is not the one it names, is not whole and is wiped before it is
filled again.
"""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
from pathlib import Path
from typing import Final

import msgspec

from device.firmware.updating.kind import FACTORY, SLOTS
from ota.errors import BadRelease
from ota.messages.desired import Target
from ota.packing import pack
from ota.whole import point, sync_folder, write_whole

MANIFEST: Final = "MANIFEST.ok"
CURRENT: Final = "current"
_log = logging.getLogger(__name__)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot holds.

    Attributes:
        target: the release, as it was wanted and signed.
        files: SHA-256 of each file, by its name relative to the slot; none where it is not looked at.
    """

    target: Target
    files: dict[str, str] = {}

    @property
    def content(self) -> str:
        """SHA-256 of the release's file."""
        return self.target.hashes.get("sha256", "")

    @property
    def sec_ver(self) -> int:
        """Security version; 0 where none can be read."""
        found = self.target.custom.get("sec_ver", 0)
        return found if isinstance(found, int) else 0


class SlotFolder:
    """See the module.

    Args:
        folder: made when something is staged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, slot: str) -> Path:
        """Return where a slot's files lie."""
        assert slot in SLOTS, slot
        return self.folder / slot

    def current(self) -> str:
        """Return the slot that the link names; the factory's where it names none."""
        try:
            named = (self.folder / CURRENT).readlink().name
        except OSError:
            return FACTORY
        return named if named in SLOTS else FACTORY

    def other(self) -> str:
        """Return the slot that may be filled: not the current one, and rather one that is not whole."""
        free = [slot for slot in SLOTS if slot != self.current()]
        return next((slot for slot in free if self.manifest(slot) is None), free[0])

    def turn_to(self, slot: str) -> None:
        """Let the next start take a slot, in one step.

        Raises:
            OSError: the disk refuses; the link is as it was.
        """
        link = self.folder / CURRENT
        if slot != FACTORY:
            point(link, slot)
        elif link.is_symlink():
            link.unlink()
            sync_folder(self.folder)

    def manifest(self, slot: str) -> Manifest | None:
        """Return what a slot says that it holds; None where it does not say so."""
        if slot == FACTORY:
            return None
        try:
            return msgspec.json.decode((self.path(slot) / MANIFEST).read_bytes(), type=Manifest)
        except (OSError, msgspec.DecodeError):
            return None

    def fault(self, slot: str) -> str:
        """Return why a slot is not whole, every file hashed anew; empty where it is."""
        manifest = self.manifest(slot)
        if manifest is None:
            return f"slot {slot} has no {MANIFEST}"
        for name, digest in manifest.files.items():
            if digest_of(self.path(slot) / name) != digest:
                return f"slot {slot}: {name} is damaged or gone"
        return ""

    def holds(self, slot: str, target: Target) -> bool:
        """Whether a slot holds a release, whole; a wanted release with other words about it is another."""
        manifest = self.manifest(slot)
        return manifest is not None and manifest.target.hashes == target.hashes and not self.fault(slot)

    def vouches(self, slot: str, target: Target) -> bool:
        """Whether a slot says that it holds this very release, and all that was said of it."""
        manifest = self.manifest(slot)
        return manifest is not None and manifest.target == bare(target)

    def whole_or_factory(self, slot: str) -> str:
        """Return a slot that may be gone back to; the factory's where it is not whole."""
        return slot if slot == FACTORY or not self.fault(slot) else FACTORY

    def wipe(self, slot: str) -> None:
        """Remove what lies in a slot, the manifest first.

        Raises:
            OSError: the disk refuses.
        """
        place = self.path(slot)
        (place / MANIFEST).unlink(missing_ok=True)
        if place.exists():
            sync_folder(place)
            shutil.rmtree(place)
            sync_folder(self.folder)

    def seal(self, slot: str, target: Target) -> None:
        """Say that a slot is whole; its files are on the disk already.

        Raises:
            OSError: the disk refuses.
        """
        place = self.path(slot)
        files = {
            path.relative_to(place).as_posix(): digest_of(path)
            for path in sorted(place.rglob("*"))
            if path.is_file() and path.name != MANIFEST
        }
        sync_folder(self.folder)
        write_whole(place / MANIFEST, msgspec.json.encode(Manifest(target=target, files=files)))


def bare(target: Target) -> Target:
    """Return a release without what belongs to one action."""
    return msgspec.structs.replace(target, action=None, window=None)


def digest_of(file: Path) -> str:
    """Return a file's SHA-256; empty where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""


def packed(folder: Path) -> bytes:
    """Return the file of a release that was unpacked to a folder; empty where it cannot be made again."""
    made = io.BytesIO()
    try:
        pack(folder, made, (MANIFEST,))
    except (OSError, BadRelease) as error:
        _log.info("update: %s cannot be packed again reason=%r", folder, str(error))
        return b""
    return made.getvalue()
