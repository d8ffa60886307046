"""What a start does before it loads a model: counts a first start, or goes back from one that does not live.

Everything here is done without running anything, so that a model that kills the device cannot keep it from
going back. The engine then says what became of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from device.firmware.updating.course import CRASHES
from device.firmware.updating.journal import FIRST_STARTS, Journal, JournalFiles, moved
from device.firmware.updating.ledger import LedgerFiles
from device.firmware.updating.model_slots import Chosen, ModelSlots
from device.models.bundle import Bundle
from device.models.detector import Detector

JOURNAL: Final = "journal"
_log = logging.getLogger(__name__)


def begin(state: Path, slots: ModelSlots, load: Callable[[Bundle], Detector]) -> Chosen:
    """Return the model to start with.

    Args:
        state: the device's state folder, which nobody else uses.
        slots: its models.
        load: makes a detector of a model.

    Raises:
        ModelUnavailable: not even the factory's can be used.
        ModelRefused: the factory's is no int8 model.
    """
    files, ledger = JournalFiles(state / JOURNAL), LedgerFiles(state / JOURNAL).read()
    journal = files.read("model")
    try:
        journal = _count(files, journal)
        if journal.state == "rolling-back":
            _turn_back(slots, journal)
    except OSError as error:
        _log.error("update: a start is not counted, the disk refuses error=%r", str(error))
    return slots.choose(lambda content: content in ledger.good, load)


def send_back(state: Path, reason: str) -> bool:
    """Go back from a model on its first starts, as the device does not live; return whether there was one.

    Called in place of safe mode: what is new is the first suspect.
    """
    files = JournalFiles(state / JOURNAL)
    journal = files.read("model")
    if journal.state not in FIRST_STARTS or not journal.starts:
        return False
    _log.error("update: the model on probation is gone back from reason=%r", reason)
    try:
        files.write("model", moved(journal, "rolling-back", reason=reason))
    except OSError as error:
        _log.error("update: it is not, the disk refuses error=%r", str(error))
        return False
    return True


def _count(files: JournalFiles, journal: Journal) -> Journal:
    if journal.state not in FIRST_STARTS:
        return journal
    if journal.starts >= CRASHES:
        reason = f"{journal.starts} first starts did not live"
        journal = moved(journal, "rolling-back", reason=reason)
        _log.error("update: the model is gone back from reason=%r", reason)
    else:
        journal = msgspec.structs.replace(journal, starts=journal.starts + 1)
        _log.info("update: first start of a model starts=%d", journal.starts)
    files.write("model", journal)
    return journal


def _turn_back(slots: ModelSlots, journal: Journal) -> None:
    """Let the start take what ran before; whether that is whole, `choose` finds out."""
    slots.turn_to(slots.whole_or_factory(journal.before))
