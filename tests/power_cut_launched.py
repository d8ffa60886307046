"""A board whose power is cut while its firmware is updated: real launcher, builder, pip, updater, processes.

Small firmwares that live, crash in several ways, or end: each that lives has the real updater in it
(`updating_alone.py`). What holds in every round: the board always starts; what starts is the old or the new
firmware; one that does not live has at most three starts; what is told in the end is what runs, and stays.
"""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from device.firmware.updating.firmware_slot import build
from ota.messages import Desired
from ota.whole import write_whole
from tests.brokers import wait_until
from tests.launched_board import LaunchedBoard
from tests.project_wheels import ROOT, libraries
from tests.small_wheels import firmware, wheel
from tests.small_wheels import packed as packed_wheels
from tests.updating import Publisher, document
from tests.updating_alone import CUT, ROOT_FILE, SAID, WANTED

FACTORY = "1.0"
SAYS = """
    from pathlib import Path
    state = Path(words[words.index("--state") + 1])
    with (state / "started").open("a") as file:
        file.write(version("pehra") + "\\n")
"""
LIVES = SAYS + "    from tests.updating_alone import live\n    sys.exit(live(state))"
KINDS = {
    "lives": LIVES,
    "crashes at once": SAYS + "    raise ValueError('a defect')",
    "dies by a signal": SAYS + "    time.sleep(0.05); os.kill(os.getpid(), 11)",
    "does not even begin": "    import what_is_not_there",
    "ends in order": SAYS,
}
ROUND_S = 120.0


@dataclass
class Round:
    """One release that is brought to a board.

    Attributes:
        number: of the round; the release is version number + 1.
        kind: of `KINDS`.
        cuts: seconds after which everything is killed; counted from the round's begin.
        cut_at: step of the journal at which the program ends itself; 0 for none.
    """

    number: int
    kind: str
    cuts: tuple[float, ...] = ()
    cut_at: int = 0

    @property
    def version(self) -> str:
        return f"{self.number + 1}.0"


class Street:
    """Where the board hangs: an image repository, and a board that is brought one release after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.publisher = Publisher(folder)
        self.publisher.publish()
        (folder / ROOT_FILE).write_bytes(self.publisher.root)
        build(packed_wheels(self._wheels(FACTORY, LIVES)), folder / "opt")
        state = folder / "state"
        state.mkdir()
        words = ["device", "run", "--state", str(state)]
        self.board = LaunchedBoard(state, folder / "opt/venv/bin/python", words, folder / "log")
        self.hits = 0

    def _wheels(self, version: str, runs: str) -> Path:
        place = firmware(self.folder / version, version, runs)
        wheel(place, "borrowed", {"borrowed.pth": f"{ROOT}\n{libraries()}\n"})
        return place

    def bring(self, one: Round) -> float:
        """Bring a release, cut as planned, and check what came of it; return the seconds that it took."""
        board, old = self.board, self.board.version(FACTORY)
        wheels = self._wheels(one.version, KINDS[one.kind])
        wanted = document(self.publisher.add(wheels), seq=one.number)
        shutil.rmtree(wheels)
        (board.state / "started").unlink(missing_ok=True)
        if one.cut_at:
            (self.folder / CUT).write_text(str(one.cut_at))
        write_whole(self.folder / WANTED, msgspec.json.encode(wanted))
        hits = self.hits
        took_s = self._let_be(wanted, list(one.cuts))
        if one.cut_at:
            self.hits += not (self.folder / CUT).exists()
            (self.folder / CUT).unlink(missing_ok=True)
        self._check(one, wanted, old, cuts=self.hits - hits)
        return took_s

    def _let_be(self, wanted: Desired, cuts: list[float]) -> float:
        """Let the board run, and cut it, until the action has ended."""
        begin_s = time.monotonic()
        while self.ended(wanted) == "" or cuts:
            self.board.keep_going()
            lived_s = time.monotonic() - begin_s
            assert lived_s < ROUND_S, f"it does not come to an end: {self.board.journal}\n{self.log()}"
            if cuts and lived_s > cuts[0]:
                self.hits += self.ended(wanted) == ""
                cuts.pop(0)
                self.board.end()
            time.sleep(0.005)
        return time.monotonic() - begin_s

    def ended(self, wanted: Desired) -> str:
        """How an action has ended; empty while it has not."""
        journal = self.board.journal
        is_it = journal.action == wanted.action and not journal.is_under_way
        return journal.state if is_it else ""

    def _check(self, one: Round, wanted: Desired, old: str, *, cuts: int) -> None:
        board, new = self.board, one.version
        runs = board.version(FACTORY)
        assert set(self.started()) <= {old, new}, self.started()
        assert self.started().count(new) <= 3 or runs == new, self.started()
        board.end()
        said = len(self.said())
        starts = len(self.started())
        self._wait(lambda: len(self.started()) > starts and len(self.said()) > said)
        assert self.started()[-1] == runs, "and after the next start"
        action, word, reason = self.said()[-1].split(" ", 2)
        assert (action, word) == (wanted.action, "committed" if runs == new else "rolled-back"), reason
        if one.kind == "lives":
            assert runs == new or (cuts >= 3 and "3 starts" in reason), (reason, cuts, self.started())
        else:
            assert runs == old, "a bad one was kept"
        self._wait(lambda: not (board.slots / "trial").exists() and not (board.slots / "fell-back").exists())
        assert board.process is not None
        assert board.process.poll() is None, "what runs in the end does not live"

    def _wait(self, is_so: object) -> None:
        wait_until(lambda: self.board.keep_going() or is_so(), self.log, 60.0)  # type: ignore[operator]

    def started(self) -> list[str]:
        file = self.board.state / "started"
        return file.read_text().split() if file.exists() else []

    def said(self) -> list[str]:
        file = self.board.state / SAID
        return file.read_text().splitlines() if file.exists() else []

    def log(self) -> str:
        return "\n".join(self.board.log.read_text().splitlines()[-30:])


def cut_launched(
    folder: Path, rounds: int, dice: random.Random, *, first: int, stride: int
) -> tuple[int, int]:
    """Cut a board at each step of its journal, and at random moments; return how many of each there were."""
    street = Street(folder)
    try:
        number, steps = 0, 0
        for kind in ("lives", "crashes at once"):
            at, hits = first, -1
            while hits != street.hits:
                number, hits = number + 1, street.hits
                took_s = street.bring(Round(number, kind, cut_at=at))
                at += stride
            steps += at - stride - 1
        hits = street.hits
        for index in range(rounds):
            number += 1
            kind = "lives" if index % 2 == 0 else dice.choice(list(KINDS)[1:])
            cuts = sorted(dice.uniform(0.0, 1.1 * took_s) for _ in range(dice.choice((1, 1, 1, 2, 3))))
            street.bring(Round(number, kind, tuple(cuts)))
        return steps, street.hits - hits
    finally:
        street.board.end()
