"""Releases of kind `os`: an image in the folder, and the row that names it."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlmodel import Session, select

from fleet.access.caller import Caller
from fleet.errors import BadInput, Conflict, DiskRefuses, FleetError
from fleet.hawkbit.images import Digests, ImageFolder, Receiving
from fleet.rollouts.releases import NewRelease, add_release
from fleet.rollouts.tell import OS
from fleet.store.tables_os import OsAction, OsImage
from fleet.store.tables_rollouts import Release

FILE_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,119}"
_SUMS: Final = ".md5sum"


@dataclass(frozen=True, slots=True)
class NewImage:
    """What is told of an image.

    Attributes:
        file: name under which devices download it; SWUpdate wants one that ends with `.swu`.
        hw: boards that it is for; empty for all.
    """

    name: str
    version: str
    file: str
    hw: tuple[str, ...] = ()
    sec_ver: int = 0

    def check(self) -> None:
        """Check what can be checked before the image is there.

        Raises:
            BadInput: something of it makes no sense.
        """
        if re.fullmatch(FILE_PATTERN, self.file, re.ASCII) is None or self.file.lower().endswith(_SUMS):
            raise BadInput("file: letters, digits and . _ + - (and no name of a sum), at most 120")
        self.as_release(Digests("0" * 64, "", "", 1)).check()

    def as_release(self, digests: Digests) -> NewRelease:
        """Return the release that it is."""
        return NewRelease(
            OS, self.name, self.version, digests.sha256, digests.length, hw=self.hw, sec_ver=self.sec_ver
        )


def keep_image(
    session: Session,
    folder: ImageFolder,
    received: Receiving,
    new: NewImage,
    by: Caller | str,
    now_ms: int,
) -> Release:
    """Make a release of an image that is wholly written; the same again is the same release.

    Raises:
        BadInput: it is empty.
        Conflict: this name and version stand for something else already.
        DiskRefuses: the disk does not take it.
    """
    digests = received.keep()
    try:
        release = add_release(session, new.as_release(digests), by, now_ms)
    except FleetError:
        _drop_unused(session, folder, digests.sha256)
        raise
    known = session.get(OsImage, release.id)
    if known is not None and known.file != new.file:
        raise Conflict(f"{new.name} {new.version} is there already, as {known.file}")
    if known is None:
        row = OsImage(
            release=release.id,
            file=new.file,
            sha256=digests.sha256,
            sha1=digests.sha1,
            md5=digests.md5,
            length=digests.length,
            made_ms=now_ms,
        )
        session.add(row)
        session.commit()
        session.refresh(release)
    return release


def find_image(session: Session, action: OsAction) -> tuple[Release, OsImage] | None:
    """Return what an action installs; None where no image of it was ever brought here."""
    release, image = session.get(Release, action.release), session.get(OsImage, action.release)
    return (release, image) if release is not None and image is not None else None


def _drop_unused(session: Session, folder: ImageFolder, sha256: str) -> None:
    session.rollback()
    if session.exec(select(OsImage.release).where(OsImage.sha256 == sha256)).first() is None:
        with suppress(DiskRefuses):
            folder.drop(sha256)
