"""The updater at work: hears documents, and does for each kind what `course.py` says, one action at a time.

`hear`, `say_again` and `complaints` may be called by any thread; the rest belongs to the one that runs `run`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from device.errors import UpdateHindered, UpdateRefused
from device.firmware.updating.acts import Acts
from device.firmware.updating.course import Deed, Facts, next_deed
from device.firmware.updating.fetching import Fetcher
from device.firmware.updating.finding import Moment, find_facts
from device.firmware.updating.hearing import Hearing
from device.firmware.updating.journal import (
    BEFORE_ARMED,
    FIRST_STARTS,
    REASON_CHARS,
    Journal,
    JournalFiles,
    moved,
)
from device.firmware.updating.kind import Kind, KindName
from device.firmware.updating.ledger import LedgerFiles
from device.firmware.updating.pausing import LONGEST_PAUSE_S, Pauses
from device.firmware.updating.taking import followed, taken
from device.firmware.updating.telling import Teller
from device.firmware.updating.watching import mind_watch
from device.firmware.updating.ways import Ways
from device.firmware.updating.wishes import Wish
from ota.errors import FolderProblem
from ota.messages import Desired

_log = logging.getLogger(__name__)

ROUND_S: Final = 1.0
SAMPLE_S: Final = 2.0
AT_ONCE: Final = ("cancel", "fail", "go-back")
"""Deeds that no pause keeps waiting: they say how it ends."""
MOST_DEEDS: Final = 40


class Updater:
    """See the module.

    Args:
        folder: where journals and ledger lie.
        incoming: where what is fetched gathers.
        kinds: what can be updated, in the order in which it is.
        fetcher: brings releases.
        teller: says where an action stands.
        ways: to the daemon around.
        hang_up: ends what is being fetched, from another thread.
        now: Unix seconds.
        mono: monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        incoming: Path,
        kinds: Sequence[Kind],
        fetcher: Fetcher,
        teller: Teller,
        ways: Ways,
        *,
        hang_up: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = JournalFiles(folder)
        self._ledger = LedgerFiles(folder)
        self._kinds = {kind.name: kind for kind in kinds}
        self._teller = teller
        self._ways = ways
        self._hang_up = hang_up
        self._now = now
        self._mono = mono
        self._stop = threading.Event()
        self._is_ending = False
        self._began_s = mono()
        self._pauses = Pauses(ways.surroundings)
        self._hearing = Hearing(self._ledger, on_refused=self._say_refused, on_news=self._pauses.end)
        self._fault = ""
        self._tried_since_s: dict[KindName, float] = {}
        self._switched_here: set[KindName] = set()
        self._complaints: dict[str, str] = {}
        self.journals = {name: self._files.read(name) for name in self._kinds}
        for name, journal in self.journals.items():
            teller.remember(name, journal)
            self._note_inconsistent(name, journal)
        self._acts = Acts(
            incoming,
            self._ledger,
            fetcher,
            teller,
            ways,
            keep=self._keep,
            restart=self._restart,
            pause=self._pause,
            is_over=self._is_over,
            mono=mono,
            now=now,
        )

    def hear(self, document: Desired) -> None:
        """Take a document in that is for us, fresh, and to be believed; only the newest counts."""
        self._hearing.hear(document)

    def say_again(self) -> None:
        """Say where the actions stand once more: the broker may have forgotten."""
        self._teller.say_again()

    def complaints(self) -> list[tuple[str, str]]:
        """Return what is wrong with what is installed, as place and reason."""
        return sorted(dict(self._complaints).items())  # another thread may change them

    def complain(self, place: str, reason: str) -> None:
        """Remember something that is wrong with what is installed; an empty reason: it is not any more."""
        if reason:
            self._complaints[place] = reason
        else:
            self._complaints.pop(place, None)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`."""
        self._stop = stop
        sampled_s = 0.0
        while not stop.wait(ROUND_S):
            try:
                if self._mono() - sampled_s >= SAMPLE_S:
                    sampled_s = self._mono()
                    self._ways.sample(sampled_s, self._now())
                self.round()
                self._fault = ""
            except OSError as error:
                self._note_fault("the disk refuses", error)
            except Exception as error:  # noqa: BLE001 (one odd release must not end the road to the next)
                self._note_fault("a defect of ours", error)
        self._ways.keep(self._mono())

    def _note_fault(self, words: str, error: Exception) -> None:
        """Say once why nothing is done, and go on trying."""
        if self._fault != repr(error):
            _log.error("update: nothing is done, %s error=%r", words, str(error), exc_info=error)
        self._fault = repr(error)

    def wake(self) -> None:
        """Free the working thread from what it waits for on the network."""
        self._hang_up()

    def end_in_order(self, *, is_process_over: bool) -> None:
        """Take back that this start was counted: it ended as it should.

        Args:
            is_process_over: the process ends, too, and with it what a launcher has counted.
        """
        try:
            for kind in self._kinds.values() if is_process_over else ():
                kind.end_in_order(self._mono() - self._began_s)
            for name, journal in self.journals.items():
                if journal.state in FIRST_STARTS and journal.starts:
                    self._files.write(name, msgspec.structs.replace(journal, starts=journal.starts - 1))
        except OSError as error:
            _log.warning("update: the start stays counted error=%r", str(error))

    def round(self) -> None:
        """Do what is due."""
        self._hearing.consider()
        self._pauses.look_around(self._mono())
        for name in self._order():
            kind = self._kinds[name]
            if self.journals[name].is_under_way:
                self._keep(kind, followed(self.journals[name], self._hearing.wish(name), self._now()))
            else:
                self._begin(kind)
            self._tend(kind)
            for _ in range(MOST_DEEDS):
                if self._is_over() or not self._do_next(kind):
                    break
            if self.journals[name].is_under_way or self._is_ending:
                break
        self._mind_watches()

    def _order(self) -> list[KindName]:
        """Kinds with those first that change what runs, then those under way: one thing changes at a time."""
        return sorted(
            self._kinds,
            key=lambda name: (not self.journals[name].is_changing, not self.journals[name].is_under_way),
        )

    def _say_refused(self, wish: Wish, reason: str) -> None:
        self._teller.refuse(wish.action, wish.target.path, reason)

    def _begin(self, kind: Kind) -> None:
        """Take in a wish that is new."""
        journal = self.journals[kind.name]
        fresh = taken(
            kind, journal, self._hearing.wish(kind.name), self._ledger.read, self._ways, self._now()
        )
        if fresh is None:
            return
        if journal.under_watch and not fresh.under_watch:
            kind.end_watch()
        self._keep(kind, fresh)

    def _do_next(self, kind: Kind) -> bool:
        """Do one deed; return whether another may follow at once."""
        before = self.journals[kind.name]
        deed = next_deed(before, self._facts(kind, before))
        if deed.word == "rest":
            self._note_waiting(kind, before, deed.reason)
            return False
        if deed.word not in AT_ONCE and not self._pauses.is_over(kind.name, self._mono()):
            return False
        try:
            self._do(kind, before, deed)
        except UpdateRefused as error:
            self._refuse(kind, error)
        except UpdateHindered as error:
            self._put_off(kind, error.reason)
        except (FolderProblem, OSError) as error:
            self._disk_refuses(kind, str(error))
        except Exception as error:  # noqa: BLE001 (it is put off, and told, like any other hindrance)
            _log.exception("update: kind=%s a defect of ours", kind.name)
            self._put_off(kind, f"a defect of ours: {type(error).__name__}: {error}")
        return self.journals[kind.name].state != before.state

    def _do(self, kind: Kind, journal: Journal, deed: Deed) -> None:
        acts = self._acts
        simple = {
            "obtain": acts.obtain,
            "stage": acts.stage,
            "arm": acts.arm,
            "commit": acts.commit,
            "report": acts.report,
            "clean": acts.clean,
            "return": acts.turn_back,
        }
        if deed.word in simple:
            simple[deed.word](kind, journal)
        elif deed.word in ("cancel", "fail"):
            acts.end(kind, journal, deed.word, deed.reason)
        elif deed.word == "switch":
            self._switched_here.add(kind.name)
            acts.switch(kind, journal)
        elif deed.word == "try-out":
            self._try_out(kind, journal)
        else:
            acts.go_back(kind, journal, deed.reason)

    def _try_out(self, kind: Kind, journal: Journal) -> None:
        self._keep(kind, moved(journal, "probation"))
        self._begin_probation(kind, journal)

    def _begin_probation(self, kind: Kind, journal: Journal) -> None:
        is_switched_now = kind.name in self._switched_here
        kind.begin_probation(is_switched_now=is_switched_now, was_linked=journal.was_linked)
        self._tried_since_s[kind.name] = self._mono()

    def _facts(self, kind: Kind, journal: Journal) -> Facts:
        if journal.state == "probation" and kind.name not in self._tried_since_s:
            self._begin_probation(kind, journal)
        now_mono_s = self._mono()
        moment = Moment(self._now(), now_mono_s - self._tried_since_s.get(kind.name, now_mono_s))
        is_there = self._acts.archive(kind).exists
        return find_facts(kind, journal, self._hearing.wishes, self._ways, moment, is_there)

    def _note_waiting(self, kind: Kind, journal: Journal, reason: str) -> None:
        if journal.is_under_way and reason != journal.reason and journal.state != "rolling-back":
            self._keep(kind, msgspec.structs.replace(journal, reason=reason[:REASON_CHARS]))

    def _put_off(self, kind: Kind, reason: str) -> None:
        """Try again later, and later and later; why it goes back is told on."""
        journal = self.journals[kind.name]
        if self._is_over():
            return
        pause_s = self._pauses.put_off(kind.name, self._mono())
        _log.warning(
            "update: kind=%s state=%s tried again in_s=%.0f reason=%r",
            kind.name,
            journal.state,
            pause_s,
            reason,
        )
        if journal.state != "rolling-back":
            self._tell_why(kind, msgspec.structs.replace(journal, reason=reason[:REASON_CHARS]))

    def _tell_why(self, kind: Kind, journal: Journal) -> None:
        try:
            self._keep(kind, journal)
        except OSError:  # it is told all the same: the disk may be the reason
            self._teller.tell(kind.name, journal)

    def _refuse(self, kind: Kind, error: UpdateRefused) -> None:
        journal = self.journals[kind.name]
        if journal.state in BEFORE_ARMED:
            self._acts.refuse(kind, journal, error)
        else:
            self._put_off(kind, error.reason)

    def _restart(self, name: KindName) -> None:
        self._is_ending = True
        self._ways.restart(name)

    def _disk_refuses(self, kind: Kind, reason: str) -> None:
        """End an action for which there is no room; one that touches what runs goes on trying."""
        journal, words = self.journals[kind.name], f"the disk refuses: {reason}"
        if journal.state not in BEFORE_ARMED:
            self._put_off(kind, words)
            return
        self._pauses.put_off(kind.name, self._mono(), LONGEST_PAUSE_S)
        self._acts.end(kind, journal, "fail", words)

    def _tend(self, kind: Kind) -> None:
        """Look after what runs while nothing is being changed."""
        if self.journals[kind.name].state in (*FIRST_STARTS, "rolling-back"):
            return
        try:
            words = kind.tend(self._mono() - self._began_s)
        except OSError as error:
            words = f"the disk refuses: {error}"
        if words:
            self.complain(f"slots/{kind.name}", words)

    def _mind_watches(self) -> None:
        """Look after what was committed, for as long as it is watched over, while nothing else changes."""
        if any(journal.is_changing for journal in self.journals.values()):
            return
        for kind in self._kinds.values():
            mind_watch(self._acts, kind, self.journals[kind.name], self.complain)

    def _keep(self, kind: Kind, journal: Journal) -> Journal:
        before = self.journals[kind.name]
        if journal != before:
            self._files.write(kind.name, journal)
            self.journals[kind.name] = journal
        if journal.state != before.state:
            path = journal.target.path if journal.target else ""
            _log.info(
                "update: kind=%s %s target=%s reason=%r", kind.name, journal.state, path, journal.reason
            )
            self._note_inconsistent(kind.name, journal)
        self._teller.tell(kind.name, journal)
        return journal

    def _note_inconsistent(self, name: KindName, journal: Journal) -> None:
        if journal.is_inconsistent:
            self.complain(f"slots/{name}", f"INCONSISTENT: {journal.reason}")
        elif journal.state == "committed":
            self.complain(f"slots/{name}", "")

    def _is_over(self) -> bool:
        return self._stop.is_set() or self._is_ending or self._hearing.has_news

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise UpdateHindered("broken off")
