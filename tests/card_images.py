"""Images as Raspberry Pi OS has them, made with Debian's own tools: a table, a FAT boot, an ext4 root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.conftest import missing

TOOLS = {
    "sfdisk": "fdisk", "mkfs.vfat": "dosfstools", "mke2fs": "e2fsprogs", "mcopy": "mtools",
    "xz": "xz-utils", "zstd": "zstd",
}  # fmt: skip
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_AT = 4 << 20
BOOT_BYTES = 40 << 20
ROOT_BYTES = 12 << 20
CMDLINE = (
    "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 fsck.repair=yes rootwait "
    "quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n"
)
COMMON = {"cmdline.txt": CMDLINE, "config.txt": "[all]\narm_64bit=1\n", "initramfs8": "x" * 5000}
BOOKWORM = COMMON | {"issue.txt": "Raspberry Pi reference 2024-11-19\nGenerated using pi-gen, stage2\n"}
BULLSEYE = COMMON | {"issue.txt": "Raspberry Pi reference 2022-09-22\nGenerated using pi-gen, stage2\n"}
FIRST_TRIXIE = COMMON | {"issue.txt": "Raspberry Pi reference 2025-10-01\nGenerated using pi-gen, stage2\n"}
TRIXIE = COMMON | {
    "issue.txt": "Raspberry Pi reference 2025-12-04\nGenerated using pi-gen, stage2\n",
    "user-data": "#cloud-config\n",
    "meta-data": "dsmode: local\ninstance_id: rpios-image\n",
    "network-config": "network:\n  version: 2\n",
}
UNKNOWN = {"EFI.txt": "some other system\n"}


def need_tools() -> None:
    """Leave the test out, loudly, where a tool is not installed."""
    absent = sorted(package for tool, package in TOOLS.items() if shutil.which(tool, path=_PATH) is None)
    if absent:
        missing(f"to make images: apt install {' '.join(absent)}")


def make_image(path: Path, boot: dict[str, str], *, table: str = "dos", fat_bits: int = 32) -> Path:
    """Make an image of 57 MB whose boot partition holds these files, at 4 MiB."""
    need_tools()
    fat, root = path.with_suffix(".fat"), path.with_suffix(".ext4")
    _sized(fat, BOOT_BYTES)
    _run("mkfs.vfat", "-F", str(fat_bits), "-s", "1" if fat_bits == 32 else "4", "-n", "BOOTFS", str(fat))
    for name, content in boot.items():
        _run("mcopy", "-i", str(fat), "-", f"::/{name}", given=content.encode())
    _sized(root, ROOT_BYTES)
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "rootfs", str(root))
    _sized(path, BOOT_AT + BOOT_BYTES + ROOT_BYTES + (1 << 20))
    kinds = {"dos": ("c", "83"), "gpt": ("U", "L")}[table]
    first, second = BOOT_AT // 512, (BOOT_AT + BOOT_BYTES) // 512
    rows = f"{first},{BOOT_BYTES // 512},{kinds[0]}\n{second},{ROOT_BYTES // 512},{kinds[1]}\n"
    _run("sfdisk", "-q", str(path), given=f"label: {table}\n{rows}".encode())
    with path.open("r+b") as opened:
        opened.seek(BOOT_AT)
        opened.write(fat.read_bytes())
        opened.write(root.read_bytes())
    fat.unlink()
    root.unlink()
    return path


def pack(image: Path, kind: str) -> Path:
    """Pack an image as it is downloaded; the plain one stays."""
    if kind == "img":
        return image
    packed = image.with_name(f"{image.name}.{kind}")
    if packed.exists():
        return packed
    if kind == "xz":
        packed.write_bytes(_run("xz", "-1", "-T0", "--block-size=4MiB", "-c", str(image)))
    elif kind == "zst":
        _run("zstd", "-q", "-1", str(image), "-o", str(packed))
    elif kind == "gz":
        import gzip

        packed.write_bytes(gzip.compress(image.read_bytes(), 1))
    elif kind == "zip":
        import zipfile

        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
            opened.write(image, image.name)
    return packed


def inspect(card: Path, name: str) -> bytes:
    """What is in a file of the boot partition, by mtools and not by our code."""
    return _run("mcopy", "-n", "-i", f"{card}@@{BOOT_AT}", f"::/{name}", "-")


def check_fat(card: Path, folder: Path) -> str:
    """What fsck says of the boot partition; raises where it is damaged (also where both FATs differ)."""
    fat = folder / "to-check.fat"
    with card.open("rb") as opened:
        opened.seek(BOOT_AT)
        fat.write_bytes(opened.read(BOOT_BYTES))
    return _run("fsck.vfat", "-n", "-V", str(fat)).decode()


def _sized(path: Path, size_bytes: int) -> None:
    with path.open("wb") as opened:
        opened.truncate(size_bytes)


def _run(*command: str, given: bytes = b"") -> bytes:
    done = subprocess.run(
        command, input=given, capture_output=True, check=False, timeout=60,
        env={"PATH": _PATH, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"},
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout
