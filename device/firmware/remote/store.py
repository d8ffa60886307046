"""What a device keeps of the fleet's configuration: the last good overlay, one on trial, the last verdict.

Each lies in a file of its own, written anew beside it, synced, renamed over it, and the folder synced: a
cut at any line leaves the old or the new. A file carries its digest, so a torn one counts as absent. Which
of them holds follows from the files alone: a trial whose number the good one has already is over.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from ota.whole import sync_folder, write_whole

_log = logging.getLogger(__name__)

GOOD: Final = "good.json"
TRIAL: Final = "trial.json"
VERDICT: Final = "verdict.json"
HEARD: Final = "heard.json"
FILES: Final = (GOOD, TRIAL, VERDICT)
"""All that decides which overlay holds."""


class Kept(msgspec.Struct, frozen=True):
    """An overlay and the document it came with.

    Attributes:
        seq: number of the document.
        action: its id.
        sha256: digest of `text`.
        text: the overlay, TOML.
        lost: cameras that gave no pictures already when it was taken in.
        starts: how often the device was started with it while it was on trial.
    """

    seq: int
    action: str
    sha256: str
    text: str
    lost: list[str] = []
    starts: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """A document that does not hold, and why: path and reason of each fault."""

    seq: int
    action: str
    sha256: str
    outcome: Literal["refused", "rolled-back"]
    faults: list[tuple[str, str]]


class Heard(msgspec.Struct, frozen=True):
    """The last document that was read; nothing older is read again, whatever it says.

    Attributes:
        seq: its number.
        action: its id.
        digest: of what it says: the same may be told again.
        config: digest of the overlay in it; empty without one.
    """

    seq: int
    action: str
    digest: str
    config: str = ""


_Value = TypeVar("_Value", Kept, Verdict, Heard)


class ConfigStore:
    """The folder that holds them; every method that writes is durable when it returns.

    Raises:
        OSError: from the methods that write, when the disk refuses; then the old still holds.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def good(self) -> Kept | None:
        """The last overlay that was confirmed."""
        return self._read(GOOD, Kept)

    @property
    def trial(self) -> Kept | None:
        """The overlay that is being tried, if one is."""
        trial, good, verdict = self._read(TRIAL, Kept), self.good, self.verdict
        if trial is None or (good is not None and good.seq >= trial.seq):
            return None
        return None if verdict is not None and verdict.seq == trial.seq else trial

    @property
    def verdict(self) -> Verdict | None:
        """What was refused or rolled back last."""
        return self._read(VERDICT, Verdict)

    @property
    def heard(self) -> Heard | None:
        """The last document that was read."""
        return self._read(HEARD, Heard)

    def note_heard(self, heard: Heard) -> None:
        """Read nothing older any more."""
        if heard != self.heard:
            self._write(HEARD, heard)

    def begin_trial(self, kept: Kept) -> None:
        """Let the next start run with an overlay."""
        self._write(TRIAL, kept)

    def confirm(self, kept: Kept) -> None:
        """Make an overlay the one that holds."""
        self._write(GOOD, msgspec.structs.replace(kept, lost=[], starts=0))
        self._remove(TRIAL)

    def condemn(self, verdict: Verdict) -> None:
        """Note why a document does not hold; a trial of its number is over."""
        self._write(VERDICT, verdict)
        trial = self._read(TRIAL, Kept)
        if trial is not None and trial.seq == verdict.seq:
            self._remove(TRIAL)

    def _write(self, name: str, value: Kept | Verdict | Heard) -> None:
        body = msgspec.json.encode(value)
        content = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / name, content)

    def _remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        sync_folder(self._folder)

    def _read(self, name: str, kind: type[_Value]) -> _Value | None:
        try:
            digest, _, body = (self._folder / name).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.error("remote: a kept configuration cannot be read file=%s error=%r", name, str(error))
            return None
        try:
            if hashlib.sha256(body).hexdigest().encode() == digest:
                return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError:
            pass
        _log.error("remote: a kept configuration is damaged and not used file=%s", name)
        return None
