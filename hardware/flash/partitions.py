"""Where the boot partition begins, read from a disk's partition table. Pure.

MBR and its partition types; UEFI 2.10, section 5.3 (GPT).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SECTOR_BYTES: Final = 512
_FAT_TYPES: Final = frozenset({0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E, 0xEF})
_PROTECTIVE: Final = 0xEE
_GPT_FAT_TYPES: Final = frozenset(
    {
        bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b"),  # EFI system partition
        bytes.fromhex("a2a0d0ebe5b9334487c068b6b72699c7"),  # basic data
    }
)

ReadAt = Callable[[int, int], bytes]
"""Returns so many bytes from an offset."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; in bytes."""

    begin_bytes: int
    size_bytes: int
    may_be_fat: bool

    @property
    def end_bytes(self) -> int:
        """Where the next may begin."""
        return self.begin_bytes + self.size_bytes


def partitions(read_at: ReadAt) -> list[Partition]:
    """Return the partitions of a disk in the order of its table; empty where it has none."""
    first = read_at(0, SECTOR_BYTES)
    if len(first) < SECTOR_BYTES or first[510:] != b"\x55\xaa":
        return []
    found = []
    for number in range(4):
        kind, begin, count = struct.unpack_from("<4xB3xII", first, 446 + 16 * number)
        if kind == _PROTECTIVE:
            return _gpt(read_at)
        if kind and count:
            found.append(Partition(begin * SECTOR_BYTES, count * SECTOR_BYTES, kind in _FAT_TYPES))
    return found


def boot_partition(read_at: ReadAt) -> Partition | None:
    """Return the first partition with a FAT file system."""
    for one in partitions(read_at):
        if one.may_be_fat and _is_fat(read_at(one.begin_bytes, SECTOR_BYTES)):
            return one
    return None


def _gpt(read_at: ReadAt) -> list[Partition]:
    header = read_at(SECTOR_BYTES, SECTOR_BYTES)
    if header[:8] != b"EFI PART":
        return []
    at, count, entry_bytes = struct.unpack_from("<QII", header, 72)
    if not 128 <= entry_bytes <= 4096 or count > 1024:
        return []
    table = read_at(at * SECTOR_BYTES, count * entry_bytes)
    found = []
    for place in range(0, len(table) - entry_bytes + 1, entry_bytes):
        kind, begin, last = struct.unpack_from("<16s16xQQ", table, place)
        if any(kind) and last >= begin:
            size_bytes = (last - begin + 1) * SECTOR_BYTES
            found.append(Partition(begin * SECTOR_BYTES, size_bytes, kind in _GPT_FAT_TYPES))
    return found


def _is_fat(boot_sector: bytes) -> bool:
    """Whether a sector begins FAT16 or FAT32 (Microsoft FAT specification 1.03, section 3)."""
    return (
        len(boot_sector) == SECTOR_BYTES
        and boot_sector[510:] == b"\x55\xaa"
        and (boot_sector[54:57] == b"FAT" or boot_sector[82:87] == b"FAT32")
    )
