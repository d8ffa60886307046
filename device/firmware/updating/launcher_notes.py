"""What launcher and updater leave for each other in `slots/firmware`: a trial, why a slot was left.

The names and meanings are laid down in docs/firmware-slots.md: a card's launcher reads them for years.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from ota.whole import sync_folder, write_whole

TRIAL: Final = "trial"
FELL_BACK: Final = "fell-back"
FACTORY_NOTE: Final = "factory"
STARTS: Final = 3
_log = logging.getLogger(__name__)


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What the launcher reads while a program is tried; it counts only while `current` names its slot.

    Attributes:
        slot: of the program.
        before: slot that is gone back to; empty: the factory's.
        starts: that the program has had.
        limit: of them.
    """

    slot: str
    before: str
    starts: int = 0
    limit: int = STARTS


class FellBack(msgspec.Struct, frozen=True, kw_only=True):
    """What the launcher leaves when it turned to another slot.

    Attributes:
        slot: that was left; empty where the link led to none, or to the factory's.
        reason: why.
    """

    slot: str
    reason: str

    @property
    def words(self) -> str:
        """What is told of it."""
        return f"slot {self.slot} was left: {self.reason}" if self.slot else self.reason


class Factory(msgspec.Struct, frozen=True, kw_only=True):
    """The factory's program, noted when it runs.

    Attributes:
        name: of it.
        version: of it.
    """

    name: str
    version: str


_Note = TypeVar("_Note", Trial, FellBack, Factory)


class LauncherNotes:
    """The notes in a folder; what cannot be read counts as not there.

    Args:
        folder: `slots/firmware`; need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def trial(self) -> Trial | None:
        """Return the trial that is prepared, or under way."""
        return self._read(TRIAL, Trial)

    def fell_back(self) -> FellBack | None:
        """Return what the launcher left last."""
        return self._read(FELL_BACK, FellBack)

    def factory(self) -> Factory | None:
        """Return what is known of the factory's program."""
        return self._read(FACTORY_NOTE, Factory)

    def begin_trial(self, slot: str, before: str) -> None:
        """Have the launcher count the starts of a slot from now on.

        Raises:
            OSError: the disk refuses.
        """
        (self._folder / FELL_BACK).unlink(missing_ok=True)
        self._write(TRIAL, Trial(slot=slot, before=before))

    def take_back_start(self, slot: str) -> None:
        """Let the last start of a slot's program not count.

        Raises:
            OSError: the disk refuses.
        """
        trial = self.trial()
        if trial is not None and trial.slot == slot and trial.starts > 0:
            self._write(TRIAL, msgspec.structs.replace(trial, starts=trial.starts - 1))

    def note_factory(self, version: str) -> None:
        """Remember which version the factory's program is; a disk that refuses is told of in the log."""
        noted = Factory(name="pehra", version=version)
        if self.factory() == noted:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(FACTORY_NOTE, noted)
        except OSError as error:
            _log.warning("update: the factory's version cannot be noted error=%r", str(error))

    def drop(self, *names: str) -> None:
        """Remove notes for good; readable or not, there or not.

        Raises:
            OSError: the disk refuses.
        """
        there = [self._folder / name for name in names if (self._folder / name).exists()]
        for file in there:
            file.unlink(missing_ok=True)
        if there:
            sync_folder(self._folder)

    def _write(self, name: str, note: Trial | Factory) -> None:
        write_whole(self._folder / name, msgspec.json.encode(note))

    def _read(self, name: str, kind: type[_Note]) -> _Note | None:
        try:
            return msgspec.json.decode((self._folder / name).read_bytes(), type=kind)
        except (OSError, msgspec.DecodeError):
            return None
