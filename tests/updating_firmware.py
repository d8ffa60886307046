"""A board whose program is updated: a launcher that counts starts, programs that are words in a file.

The launcher does what docs/firmware-slots.md lays down, with none of its care for odd files; a program is
`b"VERSION lives"` or `b"VERSION crashes"`, and a wheelhouse holds one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from device.errors import UpdateRefused
from device.firmware.updating.firmware_kind import FirmwareKind, FirmwareSlots
from device.firmware.updating.journal import Journal, JournalFiles
from ota.whole import point, sync_file, sync_folder, write_whole
from tests.updating import Publisher, Unit

PROGRAM = "program"
FIRST = "0.2.0"
FACTORY_START = ("", f"{FIRST} lives")


class FakeBuilder:
    """Takes the program out of the release; its words say whether it stands its check."""

    def __init__(self) -> None:
        self.obstacles = ""
        self.while_building: Callable[[], None] = lambda: None

    def obstacle(self) -> str:
        return self.obstacles

    def build(
        self, archive: Path, slot: Path, notes: Mapping[str, object], is_over: Callable[[], bool]
    ) -> None:
        words = archive.read_bytes().split(b"program: ")[1].split(b"\n")[0]
        (slot / "venv").mkdir()
        (slot / "venv" / PROGRAM).write_bytes(words)
        sync_file(slot / "venv" / PROGRAM)
        self.while_building()
        sync_folder(slot / "venv")
        write_whole(slot / "MANIFEST.ok", msgspec.json.encode(dict(notes)))

    def check(self, slot: Path, version: str, is_over: Callable[[], bool]) -> None:
        said, _, how = (slot / "venv" / PROGRAM).read_text().partition(" ")
        if said != version:
            raise UpdateRefused(f"it says that it is {said}, signed was {version}")
        if how == "fails":
            raise UpdateRefused("self-test: ImportError: no module named numpy")


def wheelhouse(folder: Path, version: str, how: str = "lives") -> Path:
    folder.mkdir(parents=True)
    (folder / f"pehra-{version}-py3-none-any.whl").write_bytes(f"PK program: {version} {how}\n".encode())
    return folder


def launch(folder: Path) -> tuple[str, str]:
    """Return slot and words of the program that is started, as the launcher finds it."""
    link, trial_file = folder / "current", folder / "trial"
    current = link.readlink().name if link.is_symlink() else ""
    trial = json.loads(trial_file.read_bytes()) if trial_file.exists() else None
    if trial is not None and trial["slot"] == current:
        if trial["starts"] >= trial["limit"]:
            reason = f"{trial['starts']} starts without a commit"
            told = {"slot": current, "to": trial["before"], "reason": reason}
            write_whole(folder / "fell-back", json.dumps(told).encode())
            if trial["before"]:
                point(link, trial["before"])
            else:
                link.unlink()
                sync_folder(folder)
            trial_file.unlink()
            sync_folder(folder)
            return launch(folder)
        write_whole(trial_file, json.dumps(trial | {"starts": trial["starts"] + 1}).encode())
    if not current:
        return FACTORY_START
    assert (folder / current / "MANIFEST.ok").exists(), "a slot that is not whole was started"
    return current, (folder / current / "venv" / PROGRAM).read_text()


class Board(Unit):
    """A unit whose firmware is updated; `boot` is what the service manager does."""

    def __init__(self, folder: Path, publisher: Publisher | None = None, **options: Any) -> None:
        super().__init__(folder, publisher, **options)
        self.builder = FakeBuilder()
        self.slot, self.version = "", ""
        self.has_launcher = True
        self.safe_with: dict[str, str] = {}
        self.more_kinds = lambda unit: [self._firmware()]

    def _firmware(self) -> FirmwareKind:
        return FirmwareKind(
            FirmwareSlots(self.state),
            self.builder,
            self.version,
            is_linked=lambda: self.is_linked,
            probation_s=self.config.update.probation_s,
            running_slot=self.slot,
            safe_reason=self.safe_with.get(self.version, ""),
        )

    def launched(self) -> tuple[str, str]:
        """Return slot and words of the program that the launcher starts."""
        return launch(self.state / "slots" / "firmware")

    def boot(self) -> Board:
        """Start until a program lives."""
        self.restarts.clear()
        for _ in range(9):
            self.slot, words = self.launched() if self.has_launcher else FACTORY_START
            self.version, _, how = words.partition(" ")
            if how != "crashes":
                self.start()
                return self
        raise AssertionError("no program lives")

    def live(self, seconds: float = 1.0) -> Board:
        """Let time pass; a restart is followed."""
        for _ in range(max(1, round(seconds))):
            super().live(1)
            if self.restarts:
                self.stop().boot()
        return self

    @property
    def journal(self) -> Journal:
        return JournalFiles(self.state / "journal").read("firmware")
