"""Remembers the starts that did not live, and tells a crash loop from a bad day.

Decisions are pure and of values; `StartLog` keeps them in one small file, written anew, synced and renamed.
Times are monotonic and belong to one boot, because a board's wall clock is often wrong just after a start.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from ota.whole import write_private

_log = logging.getLogger(__name__)

STARTS_FILE: Final = "starts.json"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Limits:
    """When starts become a crash loop, and how long safe mode waits; all times in seconds.

    Attributes:
        most: this many starts that did not live are a loop,
        window_s: within so long.
        stable_s: a start that lives so long was a good one; all before it are forgotten.
        first_wait_s: safe mode's first wait before the next try; each failed try doubles it.
        longest_wait_s: no wait is longer.
    """

    most: int = 5
    window_s: float = 900.0
    stable_s: float = 120.0
    first_wait_s: float = 600.0
    longest_wait_s: float = 4 * 3600.0


class Attempt(msgspec.Struct, frozen=True):
    """A start that has not lived yet.

    Attributes:
        boot: id of the boot in which it was made.
        at_s: monotonic seconds of that boot.
        part: what died; empty: it ended without a word.
        error: its last words.
    """

    boot: str
    at_s: float
    part: str = ""
    error: str = ""


class Record(msgspec.Struct, frozen=True):
    """What is remembered.

    Attributes:
        config: digest of the configuration with which the starts were made, and of which firmware.
        attempts: those that did not live, oldest first.
        tries: how often safe mode has tried again since the last good start.
    """

    config: str = ""
    attempts: tuple[Attempt, ...] = ()
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """Now.

    Attributes:
        boot: id of this boot.
        mono_s: monotonic seconds, which begin with the boot.
    """

    boot: str
    mono_s: float


def begun(record: Record, config: str, now: Moment, limits: Limits) -> Record:
    """A start is made: it counts as failed until it has lived."""
    kept = recent(record, now, limits) if record.config == config else ()
    tries = record.tries if record.config == config else 0
    return Record(config, (*kept, Attempt(now.boot, now.mono_s))[-limits.most :], tries)


def failed(record: Record, part: str, error: str) -> Record:
    """The latest start ended by itself, and said why."""
    *before, last = record.attempts
    last = msgspec.structs.replace(last, part=part[:60], error=error[:200])
    return msgspec.structs.replace(record, attempts=(*before, last))


def withdrawn(record: Record) -> Record:
    """The latest start ended in order: it is not counted."""
    return msgspec.structs.replace(record, attempts=record.attempts[:-1])


def tried_again(record: Record) -> Record:
    """Safe mode tries a normal start: one failure is enough to be back."""
    return msgspec.structs.replace(record, attempts=(), tries=record.tries + 1)


def recent(record: Record, now: Moment, limits: Limits) -> tuple[Attempt, ...]:
    """Those starts that still count; one of an earlier boot counts as made when this one began."""
    return tuple(
        attempt
        for attempt in record.attempts
        if now.mono_s - (attempt.at_s if attempt.boot == now.boot else 0.0) < limits.window_s
    )


def is_loop(record: Record, config: str, now: Moment, limits: Limits) -> bool:
    """Whether the next start should be one in safe mode; never with another configuration or firmware."""
    if record.config != config:
        return False
    return len(recent(record, now, limits)) >= (1 if record.tries else limits.most)


def wait_s(record: Record, limits: Limits) -> float:
    """How long safe mode waits before it tries again."""
    return float(min(limits.longest_wait_s, limits.first_wait_s * 2 ** min(record.tries, 20)))


def reason(record: Record) -> str:
    """Why the device is in safe mode, for people."""
    count, last = len(record.attempts), record.attempts[-1]
    what = f"{count} start{'s' if count > 1 else ''} failed"
    if record.tries:
        what = f"failed again after {record.tries} tr{'ies' if record.tries > 1 else 'y'}"
    if not last.part:
        return f"{what}, the last without a word (killed, out of memory, or the power)"
    return f"{what}, the last in {last.part}: {last.error}"


class StartLog:
    """The record in the state folder. A disk that refuses is told of, and the device starts all the same.

    Args:
        folder: the state folder.
        config: digest of the configuration, and which firmware this is.
        limits: when starts become a loop.
        now: monotonic seconds.
        boot: id of this boot; the system's where absent.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        limits: Limits | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        boot: str | None = None,
    ) -> None:
        self._file = folder / STARTS_FILE
        self._config = config
        self._limits = limits or Limits()
        self._now = now
        self._boot = _boot_id() if boot is None else boot
        self._begun_s = now()
        self._has_lived = False
        self.record = self._read()

    @property
    def is_loop(self) -> bool:
        """Whether the next start should be one in safe mode."""
        return is_loop(self.record, self._config, self._moment(), self._limits)

    @property
    def reason(self) -> str:
        """Why, for people."""
        return reason(self.record)

    @property
    def wait_s(self) -> float:
        """How long safe mode waits before it tries again."""
        return wait_s(self.record, self._limits)

    def begin(self) -> None:
        """A normal start is made."""
        self._begun_s, self._has_lived = self._now(), False
        self._write(begun(self.record, self._config, self._moment(), self._limits))

    def note_alive(self) -> None:
        """The start lives; long enough, and all is forgotten."""
        if not self._has_lived and self._now() - self._begun_s >= self._limits.stable_s:
            self._has_lived = True
            self._write(Record(self._config))

    def fail(self, part: str, error: str) -> None:
        """The start ended by itself."""
        if not self._has_lived:
            self._write(failed(self.record, part, error))

    def withdraw(self) -> None:
        """The start ended in order."""
        if not self._has_lived:
            self._write(withdrawn(self.record))

    def try_again(self) -> None:
        """Safe mode has waited long enough."""
        self._write(tried_again(self.record))

    def forget(self) -> None:
        """Something has changed: begin with a clean sheet."""
        self._write(Record(self._config))

    def _moment(self) -> Moment:
        return Moment(self._boot, self._now())

    def _read(self) -> Record:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Record)
        except FileNotFoundError:
            return Record()
        except (OSError, ValueError) as error:
            _log.warning("the record of starts cannot be read, a new one begins error=%r", str(error))
            return Record()

    def _write(self, record: Record) -> None:
        self.record = record
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_private(self._file, msgspec.json.encode(record))
        except OSError as error:
            _log.warning("the record of starts cannot be written error=%r", str(error))


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
