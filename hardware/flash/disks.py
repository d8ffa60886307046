"""Which disks a card may be: found in sysfs, told apart from the system's own. Reads only.

The folders of sysfs and the table of mounts are arguments, so that a test can put others in their place.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hardware.errors import CardRefused

SYSFS: Final = Path("/sys")
MOUNTS: Final = Path("/proc/self/mounts")
SWAPS: Final = Path("/proc/swaps")
SECTOR_BYTES: Final = 512
"""Sizes in sysfs are in 512-byte sectors, whatever the disk's own (Documentation/ABI/stable/sysfs-block)."""
_SYSTEM_FOLDERS: Final = frozenset(
    {"/", "/boot", "/boot/efi", "/boot/firmware", "/home", "/usr", "/var", "[swap]"}
)
_NEVER: Final = re.compile(r"^(loop|ram|zram|dm-|md|sr|fd|nbd|mmcblk\d+boot|mmcblk\d+rpmb)")


@dataclass(frozen=True, slots=True)
class Mount:
    """One thing that is in use: a device and the folder where it is mounted, `[swap]` for swap."""

    device: str
    folder: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole disk.

    Attributes:
        name: as in `/sys/block`: `sdb`, `mmcblk0`.
        size_bytes: 0 where a reader has no card.
        model: as the maker gave it; empty where it did not.
        bus: `usb`, `mmc` or empty.
        is_removable: a card, a stick or a reader.
        is_read_only: the card's lock or its controller forbids writing.
        is_root: the root file system of this machine is on it.
        mounts: what of it is in use, its partitions and what is built on them.
    """

    name: str
    size_bytes: int
    model: str = ""
    bus: str = ""
    is_removable: bool = False
    is_read_only: bool = False
    is_root: bool = False
    mounts: tuple[Mount, ...] = field(default=())

    @property
    def path(self) -> Path:
        """Its device file."""
        return Path("/dev") / self.name

    @property
    def is_system(self) -> bool:
        """Whether the running system lives on it."""
        return self.is_root or any(mount.folder in _SYSTEM_FOLDERS for mount in self.mounts)

    def sentence(self) -> str:
        """Device, size, maker and what is mounted, for people."""
        size = f"{self.size_bytes / 1e9:.1f} GB" if self.size_bytes else "no card"
        return " ".join(filter(None, (str(self.path), size, self.bus, self.model)))


def removable_disks(sysfs: Path = SYSFS, mounts: Path = MOUNTS, swaps: Path = SWAPS) -> list[Disk]:
    """Return the disks that may be a card: never the running system's, never a reader without a card."""
    return [
        disk
        for disk in all_disks(sysfs, mounts, swaps)
        if disk.is_removable and not disk.is_system and disk.size_bytes
    ]


def all_disks(sysfs: Path = SYSFS, mounts: Path = MOUNTS, swaps: Path = SWAPS) -> list[Disk]:
    """Return every disk that is not made of other disks, by name."""
    used = read_mounts(mounts, swaps)
    folders = sorted(folder for folder in (sysfs / "block").iterdir() if not _NEVER.match(folder.name))
    return [_disk(folder, sysfs, used) for folder in folders]


def read_mounts(mounts: Path = MOUNTS, swaps: Path = SWAPS) -> list[Mount]:
    """Return what is mounted or swapped to, as the kernel tells it."""
    rows = [line.split() for line in _text(mounts).splitlines()]
    found = [Mount(_unescaped(row[0]), _unescaped(row[1])) for row in rows if len(row) > 1]
    swapped = [line.split()[0] for line in _text(swaps).splitlines()[1:] if line.split()]
    return found + [Mount(device, "[swap]") for device in swapped]


def refuse_unfit(disk: Disk) -> None:
    """Refuse a disk that must not be overwritten.

    Raises:
        CardRefused: it is the system's, mounted, not removable, empty or write-protected.
    """
    if disk.is_system:
        folders = ", ".join(sorted({mount.folder for mount in disk.mounts})) or "/"
        raise CardRefused(
            disk.path, f"the running system is on it ({folders})", "name the card: pehra flash --list"
        )
    if disk.mounts:
        mount = disk.mounts[0]
        raise CardRefused(
            disk.path,
            f"{mount.device} is mounted on {mount.folder}",
            f"umount {mount.folder}, then try again",
        )
    if not disk.is_removable:
        raise CardRefused(
            disk.path, f"{disk.model or 'it'} is no removable disk", "name the card: pehra flash --list"
        )
    if not disk.size_bytes:
        raise CardRefused(disk.path, "there is no card in the reader", "put one in")
    if disk.is_read_only:
        raise CardRefused(
            disk.path, "the card is write-protected", "slide the lock on its side, or use another"
        )


def disk_of(path: Path, sysfs: Path = SYSFS, mounts: Path = MOUNTS, swaps: Path = SWAPS) -> Disk:
    """Return the disk of a device file.

    Raises:
        CardRefused: it is a partition, or nothing that can be a card.
    """
    name = path.resolve().name
    for disk in all_disks(sysfs, mounts, swaps):
        if disk.name == name:
            return disk
        if (sysfs / "block" / disk.name / name / "partition").exists():
            raise CardRefused(path, "this is a partition", f"name the whole disk: {disk.path}")
    raise CardRefused(path, "this is no disk", "name the card: pehra flash --list")


def _disk(folder: Path, sysfs: Path, used: list[Mount]) -> Disk:
    bus = _bus(folder)
    own = {f"/dev/{name}" for name in _names_on(folder, sysfs)}
    numbers = {
        _text(place) for name in _names_on(folder, sysfs) for place in _number_files(folder, name, sysfs)
    }
    return Disk(
        name=folder.name,
        size_bytes=int(_text(folder / "size") or 0) * SECTOR_BYTES,
        model=" ".join((_text(folder / "device" / "model") or _text(folder / "device" / "name")).split()),
        bus=bus,
        is_removable=_text(folder / "removable") == "1" or bus == "usb" or _is_sd_card(folder),
        is_read_only=_text(folder / "ro") == "1",
        is_root=_root_number() in numbers,
        mounts=tuple(mount for mount in used if mount.device in own),
    )


def _names_on(folder: Path, sysfs: Path) -> set[str]:
    """The disk, its partitions, and what the kernel built on either (LVM, LUKS, RAID), by every name."""
    names = {folder.name} | {part.parent.name for part in folder.glob("*/partition")}
    for holders in (folder / "holders", *folder.glob("*/holders")):
        for holder in holders.iterdir() if holders.is_dir() else ():
            names |= _names_on(sysfs / "block" / holder.name, sysfs)
    mapped = _text(folder / "dm" / "name")
    return names | ({f"mapper/{mapped}"} if mapped else set())


def _number_files(folder: Path, name: str, sysfs: Path) -> tuple[Path, ...]:
    return folder / "dev", folder / name / "dev", sysfs / "block" / name / "dev"


def _root_number() -> str:
    """Major and minor number of what `/` is on: the table of mounts may call it `/dev/root`."""
    device = Path("/").stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def _bus(folder: Path) -> str:
    real = str(folder.resolve())
    return "usb" if "/usb" in real else "mmc" if folder.name.startswith("mmcblk") else ""


def _is_sd_card(folder: Path) -> bool:
    """Of `mmcblk*`, `SD` is a card in a slot and `MMC` is soldered on (Documentation/driver-api/mmc)."""
    return folder.name.startswith("mmcblk") and _text(folder / "device" / "type") == "SD"


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "surrogateescape").strip()
    except OSError:
        return ""


def _unescaped(word: str) -> str:
    """The kernel writes space, tab, newline and backslash as octal (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)
