"""Updates a board's firmware again and again, and kills everything at random moments, as a power cut does.

`python -m tests.firmware_rounds --rounds 300 --seed 1 FOLDER`. Real processes: the launcher, started again as
systemd does it; small firmwares that live or crash; and, in the updater's place, one process that builds,
looks, puts on trial and turns, and goes on where it was cut. What holds in every round: the board always
starts, what starts is the old or the new firmware, one that crashes has at most three starts, and what is
told in the end is what runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from device.firmware import launcher
from device.firmware.updating.firmware_slot import build, check, read_manifest
from ota.whole import point, write_whole
from tests.small_wheels import firmware, packed

ROOT = Path(__file__).resolve().parent.parent
SAYS = """
    state = words[words.index("--state") + 1]
    with open(state + "/started", "a") as file:
        file.write(version("pehra") + "\\n")
"""
LIVES = (
    SAYS
    + """
    trial = state + "/slots/firmware/trial"
    time.sleep(0.05)
    if os.path.exists(trial) and f"/{json.load(open(trial))['slot']}/" in sys.prefix + "/":
        os.unlink(trial)
    time.sleep(300)
"""
)
KINDS = {
    "lives": LIVES,
    "crashes at once": SAYS + "    raise ValueError('a defect')",
    "dies by a signal": SAYS + "    time.sleep(0.05); os.kill(os.getpid(), 11)",
    "does not even begin": "    import what_is_not_there",
    "ends in order": SAYS,
}
BOOT_S, ROUND_S = 20.0, 120.0


@dataclass
class Board:
    """A board whose power may be cut."""

    folder: Path
    factory: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def slots(self) -> Path:
        return self.folder / "slots" / "firmware"

    @property
    def current(self) -> str:
        return launcher.read_current(self.slots)[0]

    def version(self) -> str:
        """What the next start takes."""
        manifest = read_manifest(self.slots / self.current) if self.current else None
        return manifest.version if manifest else "1.0"

    def started(self) -> list[str]:
        file = self.folder / "started"
        return file.read_text().split() if file.exists() else []

    def keep_going(self, archive: Path) -> None:
        """What systemd does: what has ended is started again."""
        self._keep("service", [*LAUNCH, "--state", self.folder, "--factory", self.factory, "--", *self._run])
        if not self.is_settled(archive):
            self._keep(
                "updater", [sys.executable, "-m", "tests.firmware_rounds", "--update", archive, self.folder]
            )

    @property
    def _run(self) -> list[str]:
        return ["device", "run", "--state", str(self.folder)]

    def is_settled(self, archive: Path) -> bool:
        """Whether the release was kept, or left and told."""
        if (self.folder / "refused").exists():
            return True
        wanted = archive.stem
        return not (self.slots / "trial").exists() and (
            self.version() == wanted or (self.slots / "fell-back").exists()
        )

    def _keep(self, name: str, command: list[object]) -> None:
        process = self.processes.get(name)
        if process is None or process.poll() is not None:
            self.processes[name] = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
                stderr=(self.folder / f"{name}.log").open("ab"),
            )

    def cut(self) -> None:
        """Everything ends at one moment."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()


LAUNCH = [sys.executable, "-I", "-S", launcher.__file__]


def update(archive: Path, folder: Path) -> None:
    """Do what an updater does for a release, from where it was cut."""
    board = Board(folder, folder)
    if board.is_settled(archive):
        return
    trial = launcher.read_trial(board.slots)
    if trial is None:
        slot = "b" if board.current == "a" else "a"
        build(archive, board.slots / slot)
        check(board.slots / slot, archive.stem)
        told = {"slot": slot, "before": board.current, "starts": 0, "limit": 3}
        write_whole(board.slots / "trial", json.dumps(told).encode())
        trial = launcher.Trial(**told)
    if board.current != trial.slot and not (board.slots / "fell-back").exists():
        point(board.slots / "current", trial.slot)
        (board.folder / "restart").touch()


def one_round(board: Board, archive: Path, kind: str, chance: random.Random) -> str:
    """Bring one release to a board; return how it ended."""
    old, new, cuts = board.version(), archive.stem, 0
    for name in ("started", "restart", "slots/firmware/fell-back"):
        (board.folder / name).unlink(missing_ok=True)
    plan = sorted(chance.uniform(0.0, 1.8) for _ in range(chance.choice([0, 1, 1, 2, 3])))
    begin_s = time.monotonic()
    while not board.is_settled(archive) or plan:
        assert time.monotonic() - begin_s < ROUND_S, "it does not come to an end"
        board.keep_going(archive)
        if (board.folder / "restart").exists():
            (board.folder / "restart").unlink()
            board.processes["service"].terminate()
        if plan and time.monotonic() - begin_s > plan[0]:
            plan.pop(0)
            cuts += 1
            board.cut()
        time.sleep(0.01)
    board.cut()
    lives(board, archive)
    told = (board.slots / "fell-back").exists()
    assert set(board.started()) <= {old, new}, board.started()
    assert board.started()[-1] == board.version()
    if kind == "lives":
        assert board.version() == new or (told and cuts), "a good one was left"
    else:
        assert (board.version(), told) == (old, True), "a bad one was kept"
        assert board.started().count(new) <= 3
    return "kept" if board.version() == new else "left"


def lives(board: Board, archive: Path) -> None:
    """The board starts, and what it starts stays."""
    (board.folder / "started").unlink(missing_ok=True) if not board.started() else None
    before = len(board.started())
    wait_for(lambda: board.keep_going(archive) or len(board.started()) > before, "it does not start")
    service = board.processes["service"]
    time.sleep(0.1)
    assert service.poll() is None, "what runs in the end does not live"


def wait_for(condition: Callable[[], object], words: str) -> None:
    end_s = time.monotonic() + BOOT_S
    while not condition():
        assert time.monotonic() < end_s, words
        time.sleep(0.01)


def run(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Do so many rounds; return how they ended."""
    chance, ends = random.Random(seed), {"kept": 0, "left": 0}
    build(packed(firmware(folder / "1.0", "1.0", LIVES)), folder / "opt")
    board = Board(folder / "state", folder / "opt/venv/bin/python")
    board.folder.mkdir()
    try:
        for number in range(rounds):
            kind = "lives" if number % 2 == 0 else chance.choice(list(KINDS)[1:])
            archive = packed(firmware(folder / f"{number + 2}.0", f"{number + 2}.0", KINDS[kind]))
            ends[one_round(board, archive, kind, chance)] += 1
    finally:
        board.cut()
    return ends


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--update", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    if asked.update:
        update(asked.update, asked.folder)
    else:
        sys.stdout.write(json.dumps(run(asked.folder, asked.rounds, asked.seed)) + "\n")


if __name__ == "__main__":
    main()
