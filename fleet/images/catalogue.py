"""What an image repository offers, seen as a device sees it: verified from its first root.

A folder is never believed for what lies in it.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, TargetFile, Targets

from fleet.rollouts.releases import NewRelease
from ota.errors import NotThere, Untrusted, WrongContent
from ota.images.home import FIRMWARE, MODELS
from ota.trust.download import file_name, is_whole
from ota.trust.folder import TrustFolder
from ota.trust.refresh import refresh
from ota.trust.release import release_of
from ota.trust.sources import FolderSource

ROLES: Final = (MODELS, FIRMWARE)
MODEL_FILE: Final = "model.tflite"
_PIECE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is offered.

    Attributes:
        snapshot: its version: while it is the same, so is all of this.
        expires: until when the repository is known to be up to date.
        targets: the releases.
    """

    snapshot: int
    expires: datetime
    targets: list[TargetFile]


def read_catalogue(trusted: TrustFolder, root: bytes, folder: Path, now: datetime) -> Catalogue:
    """Return what a published folder offers.

    Args:
        trusted: where the verified metadata is kept.
        root: the first root.
        folder: that `pehra ota publish` has written.
        now: the moment.

    Raises:
        Untrusted: it does not stand the check.
        SourceAway: it is not there.
        FolderProblem: our disk refuses.
    """
    # look-ups of nothing, so that each delegated role is read
    seen = refresh(trusted, root, FolderSource(folder), [f"{role}/-" for role in ROLES], now=now)
    found = [target for role in ROLES for target in _targets(trusted.current / f"{role}.json")]
    return Catalogue(seen.versions["snapshot"], seen.expires, found)


def release_from(target: TargetFile, folder: Path) -> NewRelease:
    """Return a target as rollouts know it; of a model, what devices report is looked up in the file itself.

    Raises:
        Untrusted: it is no release that this version knows.
        NotThere: its file is not published.
        WrongContent: its file is not the one that was signed.
    """
    about = release_of(target)
    file = folder / "targets" / file_name(target, prefixes_hash=True)
    return NewRelease(
        kind=about.kind,
        name=about.name,
        version=about.version,
        sha256=target.hashes.get("sha256", ""),
        length=target.length,
        model_sha256=_model_sha256(target, file) if about.kind == "model" else "",
        path=target.path,
        hw=tuple(about.hw),
        sec_ver=about.sec_ver,
        custom=target.custom,
    )


def _targets(file: Path) -> list[TargetFile]:
    """Return the targets of a role whose metadata was verified just before."""
    try:
        return list(Metadata[Targets].from_bytes(file.read_bytes()).signed.targets.values())
    except FileNotFoundError:
        return []
    except (OSError, RepositoryError) as error:
        raise Untrusted(f"{file}: {error}") from error


def _model_sha256(target: TargetFile, file: Path) -> str:
    """Return the digest of the model in a packed folder."""
    if not file.is_file():
        raise NotThere(str(file))
    if not is_whole(target, file):
        raise WrongContent(target.path, "what is published is not what was signed: publish it again")
    digest = hashlib.sha256()
    try:
        with tarfile.open(file, mode="r:") as tar:
            content = tar.extractfile(MODEL_FILE)
            while content is not None and (piece := content.read(_PIECE_BYTES)):
                digest.update(piece)
    except (OSError, KeyError, tarfile.TarError) as error:
        raise WrongContent(target.path, f"holds no {MODEL_FILE} ({error})") from error
    return digest.hexdigest()
