"""Brings the trusted metadata up to date: the client workflow of TUF 1.0 (section 5), done by `tuf.ngclient`.

What `ngclient` leaves out is done around it: it works in a copy that is synced and turned to in one step,
whatever is older than the floor is refused, and the source is read within limits. What was verified is kept
also when a later part fails: a new root counts even if there is no timestamp for it yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from ota.errors import FolderProblem, NotThere, OutOfDate, SourceAway, Untrusted, WrongContent
from ota.trust.floor import Floor, RoleFloor, RoleKeys, raised
from ota.trust.folder import TrustFolder
from ota.trust.limits import Limits
from ota.trust.sources import Source

METADATA_URL = "metadata:///"
"""What `ngclient` is told; only what follows it reaches a source."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is trusted after a refresh.

    Attributes:
        targets: The targets that were asked for, by path; None where nobody vouches for one.
        prefixes_hash: Whether a target's file name begins with its hash (consistent snapshots).
        expires: When the timestamp expires, UTC: until then the source is known to be up to date.
        versions: Of root, timestamp and snapshot.
    """

    targets: dict[str, TargetFile | None]
    prefixes_hash: bool
    expires: datetime
    versions: dict[str, int]


def refresh(
    folder: TrustFolder,
    bootstrap: bytes,
    source: Source,
    wanted: Sequence[str] = (),
    *,
    also: Sequence[str] = (),
    limits: Limits | None = None,
    now: datetime | None = None,
) -> Catalogue:
    """Bring what is trusted up to date, and look targets up in it.

    Args:
        folder: Where the trusted metadata lies.
        bootstrap: A root's metadata that is trusted from the beginning, from a read-only place.
        source: Where to ask.
        wanted: Paths of targets to look up.
        also: Paths of targets that would be of use: nobody vouches for one whose role cannot be had.
        limits: What the source may do.
        now: The moment for which expiry is judged; our clock where it is not given.

    Raises:
        Untrusted: What was served does not stand the check.
        SourceAway: The source does not answer.
        FolderProblem: Our disk refuses.
    """
    limits = limits or Limits()
    with folder.copied() as copy, _our_words():
        updater = _updater(copy, bootstrap, source, limits, now)
        try:
            updater.refresh()
            found = {path: updater.get_targetinfo(path) for path in wanted}
            found |= {path: _if_to_be_had(updater, path) for path in also}
        finally:
            # also after an error: ngclient has written only what it has verified
            _keep(folder, copy)
        return _catalogue(copy, found)


def verify_root(content: bytes) -> int:
    """Return the version of a root's metadata that may be the first to be trusted.

    Raises:
        Untrusted: It is not a root, or is not signed by its own keys.
    """
    with _our_words():
        metadata = Metadata[Root].from_bytes(content)
        if metadata.signed.type != Root.type:
            raise Untrusted(
                f"this is metadata of {metadata.signed.type}, not of a root: give the root's file"
            )
        metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
        return metadata.signed.version


def _updater(copy: Path, bootstrap: bytes, source: Source, limits: Limits, now: datetime | None) -> Updater:
    updater = Updater(
        str(copy),
        METADATA_URL,
        fetcher=_Fetcher(source),
        config=UpdaterConfig(
            max_root_rotations=limits.max_root_rotations,
            max_delegations=limits.max_delegations,
            root_max_length=limits.max_root_bytes,
            timestamp_max_length=limits.max_timestamp_bytes,
            snapshot_max_length=limits.max_snapshot_bytes,
            targets_max_length=limits.max_targets_bytes,
        ),
        bootstrap=bootstrap,
    )
    if now is not None:
        # the one private name that we touch: ngclient takes its own clock's word only
        updater._trusted_set.reference_time = now
    return updater


def _if_to_be_had(updater: Updater, path: str) -> TargetFile | None:
    try:
        return updater.get_targetinfo(path)
    except (tuf_errors.RepositoryError, tuf_errors.DownloadError, SourceAway):
        return None


class _Fetcher(FetcherInterface):
    """Gives `ngclient` what a source has."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return one metadata file."""
        name = url.removeprefix(METADATA_URL)
        try:
            content = self._source.metadata(name, max_length)
        except NotThere as error:
            raise tuf_errors.DownloadHTTPError(str(error), error.status) from error
        if len(content) > max_length:
            raise tuf_errors.DownloadLengthMismatchError(f"{name}: more than {max_length} bytes")
        return content

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise tuf_errors.DownloadError(f"{url}: targets are not fetched here")


def _keep(folder: TrustFolder, copy: Path) -> None:
    """Raise the floor to what a copy holds, and turn to it.

    Raises:
        RolledBack: The copy is older than the floor: it is dropped.
    """
    root = _newest_root(copy)
    if root is None:
        return
    seen, keys = _seen(copy, root)
    floor = raised(folder.floor.read(), seen, keys)
    # the floor goes first: ahead of the set it only asks for more, behind it it would let a cut undo both
    folder.floor.write(floor)
    if not folder.is_current(copy):
        folder.turn_to(copy)


def _newest_root(copy: Path) -> Root | None:
    path = copy / "root.json"
    return Metadata[Root].from_bytes(path.read_bytes()).signed if path.exists() else None


def _seen(copy: Path, root: Root) -> tuple[Floor, dict[str, RoleKeys]]:
    roles = {}
    for name in (Timestamp.type, Snapshot.type):
        found = _role_floor(copy / f"{name}.json", name, root)
        if found is not None:
            roles[name] = found
    keys = {
        name: RoleKeys(keys=frozenset(role.keyids), threshold=role.threshold)
        for name, role in root.roles.items()
    }
    return Floor(root=root.version, roles=roles), keys


def _role_floor(path: Path, name: str, root: Root) -> RoleFloor | None:
    """Return what a role's file says, if the root's keys have signed it."""
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
        result = root.get_verification_result(name, metadata.signed_bytes, metadata.signatures)
    except (OSError, tuf_errors.RepositoryError):
        return None
    if not result.verified or metadata.signed.type != name:
        return None
    signed: Timestamp | Snapshot = metadata.signed
    if isinstance(signed, Timestamp):
        versions = {"timestamp.json": signed.version, "snapshot.json": signed.snapshot_meta.version}
    else:
        versions = {file: about.version for file, about in signed.meta.items()}
    return RoleFloor(signers=frozenset(result.signed), versions=versions)


def _catalogue(copy: Path, found: dict[str, TargetFile | None]) -> Catalogue:
    root = Metadata[Root].from_bytes((copy / "root.json").read_bytes()).signed
    timestamp = Metadata[Timestamp].from_bytes((copy / "timestamp.json").read_bytes()).signed
    return Catalogue(
        targets=found,
        prefixes_hash=bool(root.consistent_snapshot),
        expires=timestamp.expires.replace(tzinfo=UTC),
        versions={
            "root": root.version,
            "timestamp": timestamp.version,
            "snapshot": timestamp.snapshot_meta.version,
        },
    )


@contextmanager
def _our_words() -> Iterator[None]:
    """Turn the errors of `tuf` and of the disk into ours."""
    try:
        yield
    except tuf_errors.ExpiredMetadataError as error:
        raise OutOfDate(
            f"{error}: the source is asleep or frozen by an attacker, or our clock is wrong; "
            "check the clock, then ask another source"
        ) from error
    except (tuf_errors.LengthOrHashMismatchError, tuf_errors.DownloadLengthMismatchError) as error:
        raise WrongContent("metadata", f"{error}; ask another source") from error
    except tuf_errors.RepositoryError as error:
        raise Untrusted(f"{error}; ask another source") from error
    except tuf_errors.DownloadError as error:
        raise SourceAway(str(error)) from error
    except OSError as error:
        raise FolderProblem(f"{error}; free some space") from error
    except ValueError as error:
        raise Untrusted(f"metadata that cannot be read ({error}); ask another source") from error
