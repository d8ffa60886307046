"""Cuts the power of a device while it updates itself: always boots, always old or new, always says which.

`python -m tests.power_cut_updates` cuts every scenario at each of its steps on the disk, and at `--rounds`
random moments, up to three times in a row. A cut is a SIGKILL that empties what was not synced
(`tests/power_cuts.py`); random moments are a SIGKILL alone, wherever the program is. In `SCENARIOS` the real
updater runs in one process, with programs that are words; `firmware_launched` has real ones, with launcher,
builder and pip, and is cut at each writing of its journal (`power_cut_launched.py`).
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ota.trust.delta import delta_path, make_delta
from tests.power_cut_launched import cut_launched
from tests.power_cuts import cut_everywhere
from tests.updating import Publisher, Unit, digest, document, packed, tiny_model
from tests.updating_firmware import FIRST, Board, wheelhouse

QUICK = "[update]\nprobation_s = 3\n"
SETTLED_S = 200
"""Simulated seconds in which every action has come to its end."""


@dataclass(frozen=True)
class Scenario:
    """One update and what may be left of it.

    Attributes:
        before: folder of a device before it hears of the release.
        boot: starts what lies in a folder, as its service manager does, and lets it hear what is wanted.
        runs: tells what runs.
        old: what ran before.
        new: what is wanted.
        ends: states in which it may end.
    """

    before: Path
    boot: Callable[[Path], Unit]
    runs: Callable[[Unit], str]
    old: str
    new: str
    ends: tuple[str, ...]

    def act(self, place: Path) -> None:
        """Boot, and live until all is done; whoever cuts does it meanwhile."""
        self.settle(self.boot(place))

    def settle(self, unit: Unit) -> None:
        """Let it come to its end."""
        for _ in range(SETTLED_S):
            unit.live(1)
            if unit.journal.action and not unit.journal.is_under_way:
                return

    def check(self, place: Path) -> None:
        """What is left must boot, be old or new, and come to a true end."""
        unit = self.boot(place)
        assert self.runs(unit) in (self.old, self.new), self.runs(unit)
        self.settle(unit)
        unit.live(1)
        unit.updater.say_again()  # as at each connection
        state, reason = unit.last
        assert state in self.ends, (state, reason)
        wanted = self.new if state == "committed" else self.old
        assert self.runs(unit) == wanted, (state, reason, self.runs(unit))
        again = self.boot(place)
        assert self.runs(again) == wanted, "and after the next start"
        again.live(3)
        assert again.journal.state in ("clean", "rolled-back")


def model_first(folder: Path) -> Scenario:
    """The first model from the fleet on a new device."""
    publisher = Publisher(folder)
    new = tiny_model(folder / "new", "1.0")
    wanted = document(publisher.add(new, sec_ver=1))
    before = folder / "before"
    Unit(before, publisher)

    def boot(place: Path) -> Unit:
        return Unit(place, publisher, rest=QUICK).start().hear(wanted)

    factory = digest(before / "factory")
    return Scenario(before, boot, _model, factory, digest(new), ("committed", "rolled-back"))


def model_next(folder: Path) -> Scenario:
    """Another one, made from a delta, beside one that was committed."""
    return _second_model(folder, is_slow=False, ends=("committed", "rolled-back"))


def model_bad(folder: Path) -> Scenario:
    """One that turns out to be too slow."""
    return _second_model(folder, is_slow=True, ends=("rolled-back",))


def _second_model(folder: Path, *, is_slow: bool, ends: tuple[str, ...]) -> Scenario:
    publisher = Publisher(folder)
    old, new = tiny_model(folder / "old", "1.0"), tiny_model(folder / "new", "2.0")
    before = folder / "before"
    Unit(before, publisher, rest=QUICK).start().hear(document(publisher.add(old))).live(9)
    target = publisher.add(new)
    hashes = [_sha256(packed(one)) for one in (old, new)]
    publisher.put(delta_path(*hashes), make_delta(packed(old), packed(new)), {}, "deltas")
    wanted = document(target, seq=2)

    class Slow(Unit):
        def live(self, seconds: float = 1.0) -> Unit:
            for _ in range(round(seconds)):
                super().live(1)
                if is_slow and self.runs.version == "2.0":
                    self.looking.invoke_ms.extend([500.0] * 30)
            return self

    def boot(place: Path) -> Unit:
        return Slow(place, publisher, rest=QUICK).start().hear(wanted)

    return Scenario(before, boot, _model, digest(old), digest(new), ends)


def firmware_good(folder: Path) -> Scenario:
    """A program that lives."""
    return _firmware(folder, "lives", ("committed", "rolled-back"))


def firmware_bad(folder: Path) -> Scenario:
    """A program that crashes at each of its starts."""
    return _firmware(folder, "crashes", ("rolled-back",))


def _firmware(folder: Path, how: str, ends: tuple[str, ...]) -> Scenario:
    publisher = Publisher(folder)
    first = publisher.add(wheelhouse(folder / "old", "0.3.0"))
    before = folder / "before"
    Board(before, publisher, rest=QUICK).boot().hear(document(first)).live(12)
    wanted = document(publisher.add(wheelhouse(folder / "new", "0.4.0", how)), seq=2)

    class Hearing(Board):
        def boot(self) -> Board:
            super().boot().hear(wanted)
            return self

    def boot(place: Path) -> Unit:
        return Hearing(place, publisher, rest=QUICK).boot()

    assert FIRST not in ("0.3.0", "0.4.0")
    return Scenario(before, boot, lambda board: board.version, "0.3.0", "0.4.0", ends)


LAUNCHED = "firmware_launched"
SCENARIOS = {one.__name__: one for one in (model_first, model_next, model_bad, firmware_good, firmware_bad)}


def _model(unit: Unit) -> str:
    return str(unit.runs.sha256)


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()


def cut_at_random(scenario: Scenario, work: Path, rounds: int, dice: random.Random) -> int:
    """Kill at random moments, up to three times in a row, and check; return how many kills hit.

    A round in which no kill hits, because all was done before, is checked and does not count.
    """
    took_s = _time(scenario, work)
    done = hits = 0
    while done < rounds:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(scenario.before, work, symlinks=True)
        cuts = [dice.uniform(0.0, 1.1 * took_s) for _ in range(dice.choice((1, 1, 1, 2, 3)))]
        hit = sum(_kill_after(scenario, work, after_s) for after_s in cuts)
        scenario.check(work)
        hits, done = hits + hit, done + bool(hit)
    return hits


def _time(scenario: Scenario, work: Path) -> float:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(scenario.before, work, symlinks=True)
    began_s = time.monotonic()
    assert not _kill_after(scenario, work, 60.0)
    return time.monotonic() - began_s


def _kill_after(scenario: Scenario, work: Path, seconds: float) -> bool:
    """Do it in a child, and kill that after so long; return whether it was still at it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            scenario.act(work)
            code = 0
        finally:
            os._exit(code)
    ended = next(_waited(child, seconds), None)
    if ended is not None:
        assert os.waitstatus_to_exitcode(ended) == 0
        return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _waited(child: int, seconds: float) -> Iterator[int]:
    """Give the status of a child that ends within so long."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            yield status
            return
        time.sleep(0.001)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=300, help="random moments of each scenario")
    words.add_argument("--first", type=int, default=1, help="first step on the disk that is cut")
    words.add_argument("--stride", type=int, default=1, help="cut every so many steps")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--only", choices=[*SCENARIOS, LAUNCHED], action="append")
    asked = words.parse_args()
    for name in asked.only or [*SCENARIOS, LAUNCHED]:
        with tempfile.TemporaryDirectory(prefix="pehra-cuts-") as place:
            steps, hits = _cut(name, Path(place), asked)
        sys.stdout.write(f"{name}: {steps} steps, {hits} kills in {asked.rounds} rounds\n")
        sys.stdout.flush()


def _cut(name: str, place: Path, asked: argparse.Namespace) -> tuple[int, int]:
    """Cut one scenario everywhere that is asked; return how many steps it has, and how many kills hit."""
    dice = random.Random(asked.seed)
    if name == LAUNCHED:
        return cut_launched(place, asked.rounds, dice, first=asked.first, stride=asked.stride)
    scenario, work = SCENARIOS[name](place), place / "work"
    steps = cut_everywhere(
        scenario.before, work, scenario.act, scenario.check, first=asked.first, stride=asked.stride
    )
    return steps, cut_at_random(scenario, work, asked.rounds, dice)


if __name__ == "__main__":
    main()
