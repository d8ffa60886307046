"""Starts the firmware that `slots/firmware/current` names, or what was there before where that does not live.

systemd starts this file, a copy outside of all slots (`pehra device unit --install`), with the system's own
Python. It uses the standard library alone, counts the starts of a firmware on trial, and then becomes that
firmware (`execve`): process id, notify socket and watchdog stay. It never gives up before it has tried all
that could be started. What it reads and writes is laid down in docs/firmware-slots.md and may only be added
to, because it must understand the firmware of years to come.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

SLOTS: Final = ("a", "b")
FACTORY: Final = ""
"""Stands for the program that the card brought, where a slot's name is expected."""
LIMIT: Final = 3
"""Starts of a firmware on trial whose own record cannot be read."""
EXIT_NOTHING_STARTS: Final = 78
"""sysexits.h, EX_CONFIG; the service manager tries again."""
_MAX_BYTES: Final = 65_536


class Trial(NamedTuple):
    """A firmware that has not shown yet that it lives.

    Attributes:
        slot: that it is in.
        before: slot of the firmware before it; empty: the factory's.
        starts: that it has had.
        limit: of its starts.
    """

    slot: str
    before: str
    starts: int
    limit: int

    @property
    def is_over(self) -> bool:
        """Whether it has had all its starts."""
        return self.starts >= self.limit


class Step(NamedTuple):
    """What is to be done next.

    Attributes:
        do: `start`, `count` (a start of the trial), `leave` (a slot for another) or `forget` (the trial).
        slot: that is started; or that is left.
        to: where `leave` goes.
        reason: why it is left.
    """

    do: str
    slot: str = FACTORY
    to: str = FACTORY
    reason: str = ""


def decide(current: str, trial: Trial | None, broken: dict[str, str]) -> Step | None:
    """Return the next step; None where nothing is left that could be started.

    Args:
        current: slot that is to run; empty: the factory's.
        trial: that is under way.
        broken: slots (and the factory) that cannot be started, with the reason.
    """
    if trial is not None and trial.slot == current:
        if current not in broken and not trial.is_over:
            return Step("count", current)
        reason = broken.get(current, f"{trial.starts} starts without a commit")
        return _left(current, trial.before, reason, broken)
    if trial is not None and trial.is_over:
        return Step("forget")
    if current not in broken:
        return Step("start", current)
    if current != FACTORY:
        other = next(slot for slot in SLOTS if slot != current)
        return _left(current, other, f"INCONSISTENT: {broken[current]}", broken)
    rest = [slot for slot in SLOTS if slot not in broken]
    return _left(FACTORY, rest[0], f"INCONSISTENT: {broken[FACTORY]}", broken) if rest else None


def _left(slot: str, to: str, reason: str, broken: dict[str, str]) -> Step:
    if to not in broken:
        return Step("leave", slot, to, reason)
    words = f"{reason}; nor can {_named(to)} be started ({broken[to]})"
    mark = "" if words.startswith("INCONSISTENT") else "INCONSISTENT: "
    return Step("leave", slot, FACTORY, mark + words)


class Slots:
    """The folder `slots/firmware` and what is in it.

    Args:
        folder: need not be there.
        is_onlooker: true writes nothing: another process counts.
    """

    def __init__(self, folder: Path, *, is_onlooker: bool = False) -> None:
        self.folder = folder
        self._is_onlooker = is_onlooker
        self.current, refused = read_current(folder)
        self.trial = self._read_trial()
        self.broken = {slot: why for slot in SLOTS if (why := fault(folder, slot))}
        if refused:
            before = self.trial.before if self.trial else FACTORY
            self.leave(Step("leave", "", before, f"INCONSISTENT: {refused}"))

    def count(self, slot: str) -> None:
        """Note one more start; a slot whose start cannot be noted is not started: it could fail for ever."""
        assert self.trial is not None
        self.trial = self.trial._replace(starts=self.trial.starts + 1)
        try:
            self._write_trial()
        except OSError as error:
            self.broken[slot] = f"its start cannot be counted ({error.strerror or error})"

    def leave(self, step: Step) -> None:
        """Turn to another slot; what cannot be written down is done all the same."""
        say(f"{_named(step.slot)} is left for {_named(step.to)}: {step.reason}")
        if step.slot:
            self.broken.setdefault(step.slot, step.reason)
        told = {"slot": step.slot, "to": step.to, "reason": step.reason}
        is_return = self.trial is not None and self.trial.slot != step.to
        if is_return or not step.to:
            self._end_trial()
        elif self.trial is None:  # what is turned to in need may never have run
            self.trial = Trial(step.to, FACTORY, 0, LIMIT)
            self._try(self._write_trial)
        self._try(lambda: write_whole(self.folder / "fell-back", told))
        self._try(lambda: point(self.folder / "current", step.to))
        if self.trial is None:
            self._try(lambda: remove(self.folder / "trial"))
        self.current = step.to

    def forget(self) -> None:
        """End a trial of a slot that was left already."""
        self.trial = None
        self._try(lambda: remove(self.folder / "trial"))

    def _end_trial(self) -> None:
        """Let a trial be over before its slot is left, so that a cut in between does not start it again."""
        if self.trial is not None:
            self.trial = self.trial._replace(starts=max(self.trial.starts, self.trial.limit))
            self._try(self._write_trial)
        self.trial = None

    def _read_trial(self) -> Trial | None:
        """The trial; one whose record cannot be read has as many starts as a new one."""
        try:
            return read_trial(self.folder)
        except (OSError, ValueError) as error:
            say(f"the record of the trial cannot be read ({error})")
            return Trial(self.current, FACTORY, 0, LIMIT) if self.current else None

    def _write_trial(self) -> None:
        if self.trial is not None and not self._is_onlooker:
            write_whole(self.folder / "trial", self.trial._asdict())

    def _try(self, act: Callable[[], None]) -> None:
        if self._is_onlooker:
            return
        try:
            act()
        except OSError as error:
            say(f"cannot be written down: {error}")


def launch(slots: Slots, start: Callable[[str], None]) -> None:
    """Start what is to run; come back only where nothing can be started.

    Args:
        slots: as they are.
        start: becomes the firmware of a slot.
    """
    while (step := decide(slots.current, slots.trial, slots.broken)) is not None:
        if step.do == "forget":
            slots.forget()
        elif step.do == "leave":
            slots.leave(step)
        else:
            if step.do == "count":
                slots.count(step.slot)
            if step.slot not in slots.broken:
                _start(slots, step.slot, start)


def _start(slots: Slots, slot: str, start: Callable[[str], None]) -> None:
    try:
        start(slot)
    except OSError as error:
        slots.broken[slot] = f"it cannot be started ({error.strerror or error})"


def read_current(folder: Path) -> tuple[str, str]:
    """Return the slot that `current` names (empty: the factory's), and why it is refused."""
    link = folder / "current"
    try:
        if not link.is_symlink():
            return (FACTORY, "current is no link") if link.exists() else (FACTORY, "")
        to = str(link.readlink())
    except OSError as error:
        return FACTORY, f"current cannot be read ({error.strerror})"
    return (to, "") if to in SLOTS else (FACTORY, f"current leads to {to[:100]!r}")


def read_trial(folder: Path) -> Trial | None:
    """Return the trial that is under way.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not what it must be.
    """
    try:
        told = read_json(folder / "trial")
    except FileNotFoundError:
        return None
    trial = Trial._make(told.get(name) for name in Trial._fields)
    numbers = (trial.starts, trial.limit)
    is_good = (
        trial.slot in SLOTS
        and trial.before in (FACTORY, *SLOTS)
        and trial.before != trial.slot
        and all(type(number) is int and 0 <= number <= 1000 for number in numbers)
    )
    if not is_good:
        raise ValueError(f"it says {told!r:.200}")
    return trial


def fault(folder: Path, slot: str) -> str:
    """Return why the firmware in a slot cannot be started; empty: as far as one sees, it can."""
    try:
        return _missing(folder, folder / slot) or _misfit(folder / slot)
    except OSError as error:
        return f"it cannot be looked at ({error})"


def _missing(folder: Path, place: Path) -> str:
    for part in (place, place / "venv", place / "venv/bin"):
        if part.is_symlink() or not part.is_dir():
            return f"{part.relative_to(folder)} is no folder"
    if not os.access(place / "venv/bin/python", os.X_OK):
        return "its interpreter is missing"
    try:
        read_json(place / "MANIFEST.ok")
    except FileNotFoundError:
        return "it is not whole: it has no MANIFEST.ok"
    except (OSError, ValueError) as error:
        return f"its MANIFEST.ok cannot be read ({error})"
    return ""


def _misfit(place: Path) -> str:
    """Why a whole firmware does not fit the system, which may have been upgraded beneath it."""
    made_for = _made_for(place / "venv/pyvenv.cfg")
    if not made_for:
        return "its venv is not whole"
    mine = "{}.{}".format(*sys.version_info)
    if made_for != mine and (place / "venv/bin/python").resolve() == Path(sys.executable).resolve():
        return f"it was made for Python {made_for}, and the system has {mine} now"
    program = place / f"venv/lib/python{made_for}/site-packages/pehra/__main__.py"
    return "" if program.is_file() and program.stat().st_size else "its program is missing"


def _made_for(config: Path) -> str:
    """The Python, such as 3.11, that a venv was made with; empty where its file is not what `venv` writes."""
    for line in config.read_text("utf-8", "replace").splitlines() if config.is_file() else []:
        key, _, value = line.partition("=")
        if key.strip() == "version":
            return ".".join(value.strip().split(".")[:2])
    return ""


def read_json(path: Path) -> dict[str, Any]:
    """Return a small file's object.

    Raises:
        OSError: it cannot be read, or is a link.
        ValueError: it is no JSON object, or too large.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        told = json.loads(file.read(_MAX_BYTES))
    if not isinstance(told, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 (a wrong value in a file)
    return told


def write_whole(path: Path, told: dict[str, Any]) -> None:
    """Write a small file so that a cut leaves the old one or the new one.

    Raises:
        OSError: the disk refuses.
    """
    fresh = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(fresh, flags, 0o644), "wb") as file:
        file.write(json.dumps(told).encode())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync(path.parent)


def point(link: Path, to: str) -> None:
    """Let `current` name a slot in one step; the factory's has no name.

    Raises:
        OSError: the disk refuses.
    """
    if to == FACTORY:
        remove(link)
        return
    fresh = link.with_name(link.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(to)
    fresh.replace(link)
    _sync(link.parent)


def remove(path: Path) -> None:
    """Remove a file for good.

    Raises:
        OSError: the disk refuses.
    """
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _named(slot: str) -> str:
    return f"slot {slot}" if slot else "the factory's firmware"


def say(words: str) -> None:
    """Write a line to the journal."""
    try:
        sys.stderr.write(f"WARNING launcher {words}\n")
        sys.stderr.flush()
    except OSError:  # a journal that is gone must not keep the firmware from starting
        pass


def main(arguments: list[str]) -> int:
    """Become the firmware that is to run; return only where nothing can be started."""
    parser = argparse.ArgumentParser(description="Starts the firmware that is to run.", allow_abbrev=False)
    parser.add_argument("--state", type=Path, required=True, help="the device's state folder")
    parser.add_argument("--factory", type=Path, required=True, help="Python of the factory's firmware")
    parser.add_argument("--look", action="store_true", help="count nothing: this is not the camera's service")
    parser.add_argument("rest", nargs="+", help="arguments of pehra, after --")
    asked = parser.parse_args(arguments)
    folder = asked.state / "slots" / "firmware"

    def start(slot: str) -> NoReturn:
        python = str(folder / slot / "venv/bin/python" if slot else asked.factory)
        told = {"PEHRA_LAUNCHER": "1", "PEHRA_FACTORY": str(asked.factory)}
        os.execve(python, [python, "-I", "-m", "pehra", *asked.rest], os.environ | told)  # noqa: S606

    try:
        launch(Slots(folder, is_onlooker=asked.look), start)
    except Exception as error:  # noqa: BLE001 (a defect here must not keep the board from starting)
        say(f"a defect of the launcher: {type(error).__name__}: {error}")
        start(FACTORY)
    say("nothing can be started: flash the card anew, or repair the factory's firmware")
    return EXIT_NOTHING_STARTS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
