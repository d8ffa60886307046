"""Downloads a target: resumed where it was cut, bounded in length, time and rate, checked at the end.

What comes lies beside its destination as `NAME.part` until its length and hashes are the signed ones; only
then it gets its name. Nothing is trusted for having been checked before a power cut: what is resumed is
checked whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import TargetFile

from ota.errors import FolderProblem, NotThere, SourceAway, TooSlow, WrongContent
from ota.trust.limits import Limits
from ota.trust.sources import Incoming, Source
from ota.whole import sync_folder, write_whole


@dataclass(frozen=True, slots=True)
class Passage:
    """How a download goes along.

    Attributes:
        clock: Monotonic, seconds.
        pause: Waits for so many seconds; keeps to the bandwidth. May raise to stop a download for now.
        progress: Is told how many bytes are there.
    """

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    progress: Callable[[int], None] = lambda _: None


class _Begun(msgspec.Struct, frozen=True):
    """What is known of a part: for which target it is, and what the source called the file."""

    hashes: dict[str, str]
    mark: str


def file_name(target: TargetFile, *, prefixes_hash: bool) -> str:
    """Return the path of a target's file below a source's targets (TUF 1.0, section 3.2.1)."""
    if not prefixes_hash:
        return target.path
    folder, slash, name = target.path.rpartition("/")
    return f"{folder}{slash}{next(iter(target.hashes.values()))}.{name}"


def is_whole(target: TargetFile, file: Path) -> bool:
    """Whether a file is a target's content, by length and hashes."""
    try:
        with file.open("rb") as content:
            target.verify_length_and_hashes(content)
    except (OSError, LengthOrHashMismatchError):
        return False
    return True


def download(
    source: Source,
    target: TargetFile,
    destination: Path,
    *,
    prefixes_hash: bool = True,
    limits: Limits | None = None,
    passage: Passage | None = None,
) -> None:
    """Bring a target's content to `destination`; nothing is fetched where it is there already.

    Raises:
        WrongContent: What came is not the signed content; the part is dropped.
        SourceAway: The source does not answer, or cuts off: the part is kept and gone on with next time.
        FolderProblem: Our disk refuses; the part is dropped where the disk may be full.
    """
    part = _Part(target, destination)
    if is_whole(target, destination):
        part.drop()
        return
    name = file_name(target, prefixes_hash=prefixes_hash)
    taking = _Taking(limits or Limits(), passage or Passage())
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if _bring(source, name, part, taking) and not part.is_good():
            # the file may have changed between the ranges: once more, from its first byte
            part.drop()
            _bring(source, name, part, taking)
        part.finish()
    except WrongContent:
        part.drop()
        raise
    except OSError as error:
        part.drop()
        raise FolderProblem(f"{destination}: {error}; free some space, then try again") from error


def _bring(source: Source, name: str, part: _Part, taking: _Taking) -> bool:
    """Fetch until as many bytes are there as were signed; return whether they came in several pieces."""
    is_pieced = False
    for _ in range(taking.limits.tries):
        before = part.usable()
        if before and before == part.target.length:
            return True
        try:
            with source.target(name, before, part.mark()) as incoming:
                is_pieced = incoming.start > 0
                taking.take(incoming, part)
        except (NotThere, TooSlow):
            raise
        except SourceAway:
            # a cut: go on at once, as long as each connection brings something
            if part.usable() <= before:
                raise
        else:
            return is_pieced
    raise SourceAway(f"{name}: cut off {taking.limits.tries} times; try later")


class _Part:
    """The file in which a target gathers."""

    def __init__(self, target: TargetFile, destination: Path) -> None:
        self.target = target
        self._destination = destination
        self._file = destination.with_name(f".{destination.name}.part")
        self._note = destination.with_name(f".{destination.name}.note")

    def usable(self) -> int:
        """Return how many bytes are there that may be gone on with."""
        if not self.mark() or not self._file.exists():
            return 0
        size = self._file.stat().st_size
        return size if size <= self.target.length else 0

    def mark(self) -> str:
        """Return what the source called the file whose first bytes are there; empty if they are of no use."""
        try:
            begun = msgspec.json.decode(self._note.read_bytes(), type=_Begun)
        except (OSError, msgspec.DecodeError):
            return ""
        return begun.mark if begun.hashes == self.target.hashes else ""

    def open_at(self, start: int, mark: str) -> BinaryIO:
        """Open the file to write on from `start`."""
        if start == 0:
            write_whole(self._note, msgspec.json.encode(_Begun(dict(self.target.hashes), mark)))
        file = self._file.open("r+b" if start else "wb")
        file.seek(start)
        file.truncate()
        return file

    def is_good(self) -> bool:
        """Whether all of the target is there."""
        return is_whole(self.target, self._file)

    def finish(self) -> None:
        """Give it its name.

        Raises:
            WrongContent: It is not the target.
        """
        if not self.is_good():
            raise WrongContent(self.target.path, "its hash is not the signed one; ask another source")
        self._file.replace(self._destination)
        sync_folder(self._destination.parent)
        self.drop()

    def drop(self) -> None:
        """Leave nothing."""
        for path in (self._file, self._note, self._note.with_name(self._note.name + ".new")):
            path.unlink(missing_ok=True)


class _Taking:
    """Takes what comes, within limits."""

    def __init__(self, limits: Limits, passage: Passage) -> None:
        self.limits = limits
        self._passage = passage

    def take(self, incoming: Incoming, part: _Part) -> None:
        """Write what comes to a part, and have it on the disk.

        Raises:
            WrongContent: It is longer than what was signed, or says that it will be.
            TooSlow: It comes more slowly than is allowed.
        """
        target = part.target
        if incoming.length is not None and incoming.length != target.length:
            raise WrongContent(target.path, _length_words(incoming.length, target.length))
        there = incoming.start
        with part.open_at(there, incoming.mark) as file:
            pace = _Pace(self.limits, self._passage)
            try:
                for chunk in incoming.chunks:
                    there += len(chunk)
                    if there > target.length:
                        raise WrongContent(target.path, _length_words(there, target.length))
                    file.write(chunk)
                    pace.count(len(chunk), str(target.path))
                    self._passage.progress(there)
            finally:
                file.flush()
                os.fsync(file.fileno())
        if there < target.length and incoming.length is None:
            raise WrongContent(target.path, _length_words(there, target.length))
        if there < target.length:
            raise SourceAway(f"{target.path}: ended after {there} of {target.length} bytes")


class _Pace:
    """Looks at the rate of a download: not below the least, not above the most."""

    def __init__(self, limits: Limits, passage: Passage) -> None:
        self._limits = limits
        self._passage = passage
        self._began = self._window_began = passage.clock()
        self._bytes = self._window_bytes = 0

    def count(self, number: int, path: str) -> None:
        """Account for bytes that came; wait where they came too fast.

        Raises:
            TooSlow: They come too slowly.
        """
        self._bytes += number
        self._window_bytes += number
        self._look_back(path)
        most = self._limits.most_bytes_per_s
        if most:
            ahead_s = self._began + self._bytes / most - self._passage.clock()
            if ahead_s > 0:
                self._passage.pause(ahead_s)

    def _look_back(self, path: str) -> None:
        span_s = self._passage.clock() - self._window_began
        if span_s < self._limits.slow_window_s:
            return
        rate = self._window_bytes / span_s
        if rate < self._limits.least_bytes_per_s:
            raise TooSlow(f"{path}: {rate:.0f} bytes/s, given up below {self._limits.least_bytes_per_s:g}")
        self._window_began += span_s
        self._window_bytes = 0


def _length_words(served: int, signed: int) -> str:
    return f"{served} bytes or more where {signed} were signed; ask another source"
