"""What a small firmware does in the power-cut rounds: the real updater, with firmware as its only kind.

`live` is called by the program in a slot (`power_cut_launched.py` makes it), which has no cameras and no
broker: what is wanted lies in a file, and what is told is written to one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from device.firmware.updating.admission import Situation
from device.firmware.updating.engine import Updater
from device.firmware.updating.fetching import Fetcher
from device.firmware.updating.firmware_builder import FirmwareBuilder
from device.firmware.updating.firmware_kind import FirmwareKind, FirmwareSlots
from device.firmware.updating.journal import Journal, JournalFiles
from device.firmware.updating.ledger import Ledger
from device.firmware.updating.places import Place
from device.firmware.updating.standing import running_slot
from device.firmware.updating.telling import Teller
from device.firmware.updating.ways import Ways
from ota.messages import Desired, Update
from ota.trust.limits import Limits
from ota.trust.sources import FolderSource

PROBATION_S = 0.3
WANTED, ROOT_FILE, WWW, SAID, CUT = "wanted.json", "root.json", "www", "said", "cut"


class CutJournal(JournalFiles):
    """Ends the process before or after the n-th writing, counted over all starts; n lies in a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._file = folder.parent.parent / CUT

    def write(self, kind: Any, journal: Journal) -> None:
        self._step()
        super().write(kind, journal)
        self._step()

    def _step(self) -> None:
        left = int(self._file.read_text()) - 1 if self._file.exists() else -1
        if left > 0:
            self._file.write_text(str(left))
        elif left == 0:
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def live(state: Path) -> int:
    """Be a device's updater until it is to end; return the exit code."""
    folder, over, restarts = state.parent, threading.Event(), list[str]()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    kind = FirmwareKind(
        FirmwareSlots(state),
        FirmwareBuilder(None),
        version("pehra"),
        is_linked=lambda: True,
        probation_s=PROBATION_S,
        running_slot=running_slot(state),
    )

    def say(_topic: object, message: Any) -> None:
        assert isinstance(message, Update)
        with (state / SAID).open("a") as file:
            file.write(f"{message.action} {message.state} {message.reason}\n")

    def situation(ledger: Ledger) -> Situation:
        return Situation(
            frozenset({"board"}), version("pehra"), ledger, max_bytes={"firmware": kind.max_bytes}
        )

    places = [Place("www", FolderSource(folder / WWW))]
    root = (folder / ROOT_FILE).read_bytes()
    updater = Updater(
        state / "journal",
        state / "slots" / "incoming",
        [kind],
        Fetcher(state / "trust", lambda: root, lambda: places, Limits(), time.time),
        Teller("cam-01", say),
        Ways(situation=situation, is_linked=lambda: True, restart=restarts.append),
    )
    updater._files = CutJournal(state / "journal")
    updater.say_again()
    heard = b""
    while not over.wait(0.02) and not restarts:
        if (wanted := (folder / WANTED).read_bytes()) != heard:
            updater.hear(msgspec.json.decode(wanted, type=Desired))
            heard = wanted
        updater.round()
    updater.end_in_order(is_process_over=True)
    return 75 if restarts else 0
