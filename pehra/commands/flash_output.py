"""What `pehra flash` shows: disks, progress with speed and time to go, and what a card was given."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from hardware.flash.customising import planned
from hardware.flash.disks import removable_disks
from hardware.flash.flashing import Flashed
from hardware.flash.image import Image
from hardware.flash.os_format import OsFormat
from pehra.commands.flash_asked import Planned

_WORDS = {"write": "writing", "verify": "reading back"}
_NO_TICKET = "no ticket is on it: give the board one (pehra provision), or it cannot enrol"


def show_disks() -> None:
    """Print the disks that may be a card."""
    table = Table("device", "size", "bus", "model", "", box=None)
    disks = removable_disks()
    for disk in disks:
        note = (
            "write-protected"
            if disk.is_read_only
            else ", ".join(f"{mount.device} is mounted on {mount.folder}" for mount in disk.mounts)
        )
        table.add_row(str(disk.path), f"{disk.size_bytes / 1e9:.1f} GB", disk.bus, disk.model, note)
    Console().print(table if disks else "No removable disk with a card in it. Put one in and try again.")


class Shown:
    """Progress bars on the terminal; where there is none, a line a stage when it is over."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:>16}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True),
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._progress.stop()

    def stage(self, name: str, total_bytes: int | None) -> None:
        """A stage begins; the one before is over."""
        if self._task is not None:
            self._progress.stop_task(self._task)
        if name == "customise":  # small beside the rest, and no bytes that anybody waits for
            self._task = None
            self._progress.console.print("first-boot files ...")
            return
        self._task = self._progress.add_task(_WORDS[name], total=total_bytes)

    def done(self, done_bytes: int) -> None:
        """So much of it is done."""
        if self._task is not None:
            self._progress.update(self._task, completed=done_bytes)


def told_of(card: Planned, flashed: Flashed, where: Path) -> str:
    """Return one line about a card that is ready."""
    name = card.row.device or str(where)
    size = f"{flashed.written.size_bytes / 1e9:.2f} GB written and verified"
    if flashed.customised is None:
        return f"{name}: {size}; the plain image, without first-boot files"
    made = flashed.customised
    told = (
        f"{name}: {size}; {made.os_format}, customisation {made.sha256[:16]}, {len(made.names)} files; ready"
    )
    return told if card.setup is None or card.setup.claim else f"{told}; {_NO_TICKET}"


def show_plan(cards: list[Planned], image: Image, console: Console) -> None:
    """Print what would be written, without any secret."""
    size = "size not told" if image.size_bytes is None else f"{image.size_bytes / 1e9:.2f} GB"
    console.print(f"{image.path}: {image.packed or 'plain'}, {size}")
    for card in cards:
        if card.setup is None:
            console.print("the plain image, without first-boot files")
            continue
        console.print(f"{card.row.device or 'one card'} {card.row.site}".strip())
        if not card.setup.claim:
            console.print(f"  {_NO_TICKET}")
        for os_format in OsFormat:
            files, sha256 = planned(card.setup, os_format, b"")
            console.print(f"  where the image is for {os_format}: customisation {sha256[:16]}")
            for name in sorted(files):
                content = files[name]
                count = len(content) if isinstance(content, bytes) else content.stat().st_size
                console.print(f"    {name} ({count} bytes)", highlight=False)
