"""How old an image repository may not be: versions that were trusted once, kept apart from the metadata.

A power cut can empty timestamp, snapshot and targets together; what is left knows nothing of their versions,
and an old repository would be trusted again. So the versions lie in two files written in turns, each with a
sequence number and a checksum: the newest whole one holds.

A floor belongs to the keys that signed: where a newer root has replaced a role's keys, its floor falls, as
the TUF specification has it (1.0, section 5.3.11, recovery from fast-forward attacks).
"""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec

from ota.errors import FolderProblem, RolledBack
from ota.whole import write_whole

FILES = ("floor.a", "floor.b")
MAGIC = b"pehra-floor-1"


class RoleFloor(msgspec.Struct, frozen=True, kw_only=True):
    """The versions that a role's metadata vouched for when it was trusted.

    Attributes:
        signers: Ids of the keys whose signatures were good.
        versions: By file name; a timestamp vouches for itself and the snapshot, a snapshot for targets.
    """

    signers: frozenset[str]
    versions: dict[str, int] = {}


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """The versions below which nothing is trusted.

    Attributes:
        sequence: Counts the writings.
        root: Version of the root.
        roles: What is known of timestamp and snapshot, by the role's name.
    """

    sequence: int = 0
    root: int = 0
    roles: dict[str, RoleFloor] = {}


class RoleKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Whose signatures count for a role, and how many of them it takes."""

    keys: frozenset[str]
    threshold: int


def raised(floor: Floor, seen: Floor, keys: dict[str, RoleKeys]) -> Floor:
    """Return the floor after something has been seen that is to be trusted.

    Args:
        floor: What was trusted before.
        seen: What is to be trusted now; a role that is not there is left as it was.
        keys: Of each role, as the root that is to be trusted now has them.

    Raises:
        RolledBack: What was seen is older.
    """
    if seen.root < floor.root:
        raise RolledBack("root", seen.root, floor.root)
    roles = {}
    for name, before in floor.roles.items():
        if _still_counts(before, keys.get(name)):
            roles[name] = before
            if name in seen.roles:
                _check(seen.roles[name], before)
    return Floor(sequence=floor.sequence, root=seen.root, roles={**roles, **seen.roles})


def _still_counts(before: RoleFloor, keys: RoleKeys | None) -> bool:
    return keys is not None and len(before.signers & keys.keys) >= keys.threshold


def _check(now: RoleFloor, before: RoleFloor) -> None:
    for file, version in before.versions.items():
        if now.versions.get(file, 0) < version:
            raise RolledBack(file.removesuffix(".json"), now.versions.get(file, 0), version)


class FloorFiles:
    """The two files in which a floor lies."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / name for name in FILES]

    def read(self) -> Floor:
        """Return the newest whole floor; an empty one where there is none."""
        return max((_read(file) for file in self._files), key=lambda floor: floor.sequence)

    def write(self, floor: Floor) -> None:
        """Write over the older of the two; nothing is written where nothing has changed.

        Raises:
            FolderProblem: The disk refuses.
        """
        held = [_read(file) for file in self._files]
        newest = max(held, key=lambda one: one.sequence)
        if (newest.root, newest.roles) == (floor.root, floor.roles):
            return
        older = min(range(len(held)), key=lambda index: held[index].sequence)
        fresh = msgspec.structs.replace(floor, sequence=newest.sequence + 1)
        try:
            write_whole(self._files[older], encode(fresh))
        except OSError as error:
            raise FolderProblem(f"{self._files[older]}: {error}; free some space") from error


def encode(floor: Floor) -> bytes:
    """Return a floor as a file's content."""
    body = msgspec.json.encode(floor, order="deterministic")
    return b"%s %08x\n%s\n" % (MAGIC, zlib.crc32(body), body)


def decode(content: bytes) -> Floor | None:
    """Return the floor that a file's content tells, or None where it is not whole."""
    head, _, body = content.partition(b"\n")
    body = body.removesuffix(b"\n")
    if head != b"%s %08x" % (MAGIC, zlib.crc32(body)):
        return None
    try:
        return msgspec.json.decode(body, type=Floor)
    except msgspec.DecodeError:
        return None


def _read(file: Path) -> Floor:
    try:
        return decode(file.read_bytes()) or Floor()
    except OSError:
        return Floor()
