"""Runs checks one after the other, each in a thread with a deadline; never waits longer than that.

A thread cannot be killed. A check that hangs in a driver or a name server is told as failed, left alone, and
counted, so that whoever runs the checks can end the program all the same.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from device.check.finding import Finding, fail

GRACE_S: Final = 5.0
"""After its deadline a check is asked to stop, and has so long to let go of what it holds."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at.

    Attributes:
        name: for the table.
        deadline_s: seconds that it may take.
        look: yields what it finds; the event says that its time is over.
    """

    name: str
    deadline_s: float
    look: Callable[[threading.Event], Iterable[Finding]]


@dataclass(slots=True)
class Outcome:
    """What all checks found.

    Attributes:
        findings: in their order.
        hung: checks that did not end.
    """

    findings: list[Finding]
    hung: int = 0

    @property
    def is_good(self) -> bool:
        """Whether nothing failed."""
        return all(finding.result != "fail" for finding in self.findings)


def run_checks(
    checks: Iterable[Check], on_start: Callable[[str], None] = lambda name: None, grace_s: float = GRACE_S
) -> Outcome:
    """Run all checks.

    Args:
        checks: in the order of the table.
        on_start: is told the name of each check that begins.
        grace_s: seconds that a check has to end after its deadline.
    """
    outcome = Outcome([])
    for check in checks:
        on_start(check.name)
        running = _Running(check)
        outcome.findings += running.findings()
        outcome.hung += not running.has_ended(grace_s)
    return outcome


class _Running:
    """One check in its thread."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"check {check.name}", daemon=True)
        self._end_s = time.monotonic() + check.deadline_s
        self._thread.start()

    def findings(self) -> Iterator[Finding]:
        """What it finds until its end or its deadline."""
        while True:
            try:
                finding = self._found.get(timeout=max(0.0, self._end_s - time.monotonic()))
            except queue.Empty:
                self._stop.set()
                yield fail(
                    self._check.name,
                    f"no answer within {self._check.deadline_s:g} s",
                    "something below hangs (driver, network, disk): restart the device and check again",
                )
                return
            if finding is None:
                return
            yield finding

    def has_ended(self, grace_s: float) -> bool:
        """Whether the thread ends within the grace."""
        self._thread.join(grace_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for finding in self._check.look(self._stop):
                self._found.put(finding)
        except Exception as error:  # noqa: BLE001 (one check that breaks must not hide the others)
            what = f"the check itself broke: {type(error).__name__}: {error}"
            self._found.put(fail(self._check.name, what[:300], "report this line"))
        finally:
            self._found.put(None)
