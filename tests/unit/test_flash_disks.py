"""Which disks may be a card is read from sysfs; here a folder stands for it."""

from pathlib import Path

import pytest

from hardware.errors import CardRefused
from hardware.flash.disks import all_disks, disk_of, read_mounts, refuse_unfit, removable_disks

GB = 1_000_000_000


class Machine:
    """A folder like `/sys` and a table like `/proc/self/mounts`."""

    def __init__(self, folder: Path) -> None:
        self.sysfs = folder / "sys"
        self.mounts = folder / "mounts"
        self.swaps = folder / "swaps"
        (self.sysfs / "block").mkdir(parents=True)
        self.mounts.write_text("")
        self.swaps.write_text("Filename Type Size Used Priority\n")

    def add(
        self, name: str, size_bytes: int, *, bus: str = "", parts: tuple[str, ...] = (), **files: str
    ) -> Path:
        real = self.sysfs / "devices" / (bus or "pci0") / name
        (real / "device").mkdir(parents=True)
        (real / "size").write_text(f"{size_bytes // 512}\n")
        for key, value in ({"removable": "0", "ro": "0"} | files).items():
            (real / key.replace("__", "/")).write_text(f"{value}\n")
        for part in parts:
            (real / part).mkdir()
            (real / part / "partition").write_text("1\n")
        (self.sysfs / "block" / name).symlink_to(real)
        return real

    def mount(self, device: str, folder: str) -> None:
        with self.mounts.open("a") as opened:
            opened.write(f"{device} {folder} ext4 rw 0 0\n")

    def disk(self, name: str):
        return disk_of(Path("/dev") / name, self.sysfs, self.mounts, self.swaps)

    def names(self) -> list[str]:
        return [disk.name for disk in removable_disks(self.sysfs, self.mounts, self.swaps)]


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    made.add("nvme0n1", 512 * GB, parts=("nvme0n1p1", "nvme0n1p2"))
    made.mount("/dev/nvme0n1p2", "/")
    made.mount("/dev/nvme0n1p1", "/boot/efi")
    return made


def test_only_removable_disks_with_a_card_are_listed(machine):
    machine.add("sda", 4000 * GB)
    machine.add("sdb", 32 * GB, bus="usb1", device__model="STORAGE DEVICE  ")
    machine.add("sdc", 0, bus="usb1", removable="1")
    machine.add("sdd", 16 * GB, removable="1")
    machine.add("mmcblk0", 64 * GB, device__type="SD", device__name="SC64G")
    machine.add("mmcblk1", 8 * GB, device__type="MMC")
    machine.add("loop0", GB, removable="1")
    machine.add("sr0", GB, removable="1")
    assert machine.names() == ["mmcblk0", "sdb", "sdd"]
    assert machine.disk("sdb").sentence() == "/dev/sdb 32.0 GB usb STORAGE DEVICE"
    assert machine.disk("mmcblk0").sentence() == "/dev/mmcblk0 64.0 GB mmc SC64G"


def test_system_disk_is_refused_even_where_it_is_removable(machine):
    machine.add("mmcblk0", 32 * GB, device__type="SD", parts=("mmcblk0p1", "mmcblk0p2"))
    machine.mounts.write_text("")
    machine.mount("/dev/mmcblk0p2", "/")
    assert machine.names() == []
    with pytest.raises(CardRefused, match=r"the running system is on it \(/\)"):
        refuse_unfit(machine.disk("mmcblk0"))


def test_disk_whose_mapped_partition_is_the_root_is_the_systems(machine):
    """LUKS and LVM: the mounted device is built on a partition."""
    real = machine.add("sdb", 500 * GB, bus="usb1", parts=("sdb1",))
    (real / "sdb1" / "holders").mkdir()
    (real / "sdb1" / "holders" / "dm-0").touch()
    machine.add("dm-0", 500 * GB)
    (machine.sysfs / "block/dm-0/dm").mkdir()
    (machine.sysfs / "block/dm-0/dm/name").write_text("vg-root\n")
    machine.mounts.write_text("/dev/mapper/vg-root / ext4 rw 0 0\n")
    with pytest.raises(CardRefused, match="the running system is on it"):
        refuse_unfit(machine.disk("sdb"))


def test_disk_with_the_number_of_the_root_is_the_systems_whatever_the_table_calls_it(machine):
    import os

    device = Path("/").stat().st_dev
    real = machine.add("sdb", 32 * GB, bus="usb1", parts=("sdb2",))
    (real / "sdb2" / "dev").write_text(f"{os.major(device)}:{os.minor(device)}\n")
    machine.mounts.write_text("/dev/root / ext4 rw 0 0\n")
    with pytest.raises(CardRefused, match="the running system is on it"):
        refuse_unfit(machine.disk("sdb"))


def test_disk_that_holds_swap_is_the_systems(machine):
    machine.add("sdb", 32 * GB, bus="usb1", parts=("sdb1",))
    machine.swaps.write_text("Filename Type Size Used Priority\n/dev/sdb1 partition 1 0 -2\n")
    with pytest.raises(CardRefused, match="the running system is on it"):
        refuse_unfit(machine.disk("sdb"))


def test_mounted_card_is_refused_and_the_mount_is_named(machine):
    machine.add("sdb", 32 * GB, bus="usb1", parts=("sdb1",))
    machine.mount("/dev/sdb1", r"/media/tech/boot\040fs")
    assert machine.names() == ["sdb"]
    with pytest.raises(CardRefused, match=r"/dev/sdb1 is mounted on /media/tech/boot fs; umount"):
        refuse_unfit(machine.disk("sdb"))


def test_write_protected_card_is_refused(machine):
    machine.add("sdb", 32 * GB, bus="usb1", ro="1")
    with pytest.raises(CardRefused, match="the card is write-protected; slide the lock"):
        refuse_unfit(machine.disk("sdb"))


def test_reader_without_a_card_is_refused(machine):
    machine.add("sdb", 0, bus="usb1", removable="1")
    with pytest.raises(CardRefused, match="no card in the reader"):
        refuse_unfit(machine.disk("sdb"))


def test_fixed_disk_is_refused_though_nothing_of_it_is_mounted(machine):
    machine.add("sda", 4000 * GB, device__model="BIG DISK")
    with pytest.raises(CardRefused, match="BIG DISK is no removable disk"):
        refuse_unfit(machine.disk("sda"))


def test_partition_is_refused_and_its_disk_is_named(machine):
    machine.add("sdb", 32 * GB, bus="usb1", parts=("sdb1",))
    with pytest.raises(CardRefused, match="this is a partition; name the whole disk: /dev/sdb"):
        machine.disk("sdb1")


@pytest.mark.parametrize("name", ["sdz", "null", "loop0"])
def test_what_is_no_disk_is_refused(machine, name):
    with pytest.raises(CardRefused, match="this is no disk"):
        machine.disk(name)


def test_this_machines_own_tables_can_be_read():
    assert isinstance(all_disks(), list)
    assert any(mount.folder == "/" for mount in read_mounts())
