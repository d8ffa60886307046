"""Commands from the fleet: each is carried out once, before its deadline, or refused with the reason.

A command's id is remembered until its deadline, also across a restart, so that a repeat gives the first
answer and not a second deed. What is remembered is bounded: while it is full of commands whose deadlines
lie ahead, new ones are refused. Which deeds there are is said by whoever makes `Commands`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from ota.errors import BadMessage
from ota.messages import Command, parse_ts

_log = logging.getLogger(__name__)

REMEMBERED: Final = 200
LONGEST_S: Final = 86_400.0
"""A deadline lies at most this far after the command's own stamp: so long must its id be remembered."""
KEY: Final = "commands"


class Memory(Protocol):
    """What `Commands` needs of the outbox."""

    def load(self, key: str) -> bytes | None:
        """Return what was saved."""
        ...

    def save(self, key: str, value: bytes) -> None:
        """Keep a small value with the next group write."""
        ...

    def flush(self) -> bool:
        """Write now; return whether the disk took it."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to: `reason` says why it was not done; `lines` is what there is to read."""

    reason: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that can be asked of the device.

    Attributes:
        args: struct that the arguments must fill.
        do: carries it out with them.
        usage: what the arguments are, for the refusal.
        is_reading: it changes nothing, so a repeat may simply be answered again.
    """

    args: type[msgspec.Struct]
    do: Callable[[Any], Answer]
    usage: str
    is_reading: bool = False


class _Done(msgspec.Struct):
    """A command that was carried out: its answer, and until when it is remembered (Unix seconds)."""

    id: str
    reason: str
    until_s: float


class Commands:
    """Obeys; any thread may call.

    Args:
        deeds: name of the command -> what it does.
        memory: where done commands are kept.
        now: wall clock, Unix seconds.
        mono: monotonic clock, seconds.
    """

    def __init__(
        self,
        deeds: dict[str, Deed],
        memory: Memory,
        *,
        now: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deeds = deeds
        self._memory = memory
        self._now = now
        self._mono = mono
        self._lock = threading.Lock()
        self._done: dict[str, tuple[str, float]] = {}
        """Id -> reason, and until when by the monotonic clock: a jump of the wall clock forgets nothing."""
        saved = memory.load(KEY)
        for done in msgspec.json.decode(saved, type=list[_Done]) if saved else []:
            left_s = min(max(0.0, done.until_s - now()), LONGEST_S)
            self._done[done.id] = (done.reason, mono() + left_s)

    def obey(self, name: str, command: Command) -> Answer:
        """Carry a command out, or say why not."""
        with self._lock:
            self._forget()
            deed = self._deeds.get(name)
            try:
                refusal = self._refusal(name, command)
                life_s = parse_ts(command.deadline) - parse_ts(command.ts)
            except BadMessage as error:
                return Answer(str(error)[:200])
            if refusal or deed is None:
                return Answer(refusal[:200])
            if command.id in self._done:
                return Answer(self._done[command.id][0])
            return self._carry_out(name, deed, command, life_s)

    def _refusal(self, name: str, command: Command) -> str:
        """Return why a command must not be carried out whatever its arguments; empty when it may."""
        if parse_ts(command.deadline) < self._now():
            return f"the deadline {command.deadline} has passed"
        if name not in self._deeds:
            return f"this firmware has no command {name!r}; it has {', '.join(sorted(self._deeds))}"
        if parse_ts(command.deadline) - parse_ts(command.ts) > LONGEST_S:
            return "the deadline lies more than a day after ts"
        if command.id not in self._done and len(self._done) >= REMEMBERED:
            return f"{REMEMBERED} commands wait for their deadlines to pass; try again later"
        return ""

    def _carry_out(self, name: str, deed: Deed, command: Command, life_s: float) -> Answer:
        try:
            args = msgspec.convert(command.args, deed.args)
        except msgspec.ValidationError as error:
            return Answer(f"{error}; {name} needs {deed.usage}"[:200])
        if deed.is_reading:
            return self._do(name, deed, args)
        # Remembered before it is done: a restart in the middle must not make it happen twice.
        self._done[command.id] = ("", self._mono() + life_s)
        self._keep()
        answer = self._do(name, deed, args)
        if answer.reason:
            self._done[command.id] = (answer.reason, self._mono() + life_s)
            self._keep()
        return answer

    def _do(self, name: str, deed: Deed, args: msgspec.Struct) -> Answer:
        _log.info("command name=%s", name)
        try:
            return deed.do(args)
        except Exception:  # noqa: BLE001 (whoever asked must hear that it was not done)
            _log.exception("command failed name=%s", name)
            return Answer("a fault of ours while doing it; the device's log says more")

    def _forget(self) -> None:
        mono_s = self._mono()
        for command in [command for command, (_, until_s) in self._done.items() if until_s <= mono_s]:
            del self._done[command]

    def _keep(self) -> None:
        shift_s = self._now() - self._mono()
        done = [
            _Done(command, reason, until_s + shift_s) for command, (reason, until_s) in self._done.items()
        ]
        self._memory.save(KEY, msgspec.json.encode(done))
        self._memory.flush()
