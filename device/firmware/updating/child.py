"""Runs a program to its end: bounded in time, ended with us, its last words kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_POLL_S: Final = 0.1
_KILLED_S: Final = 5.0
"""A process that waits for a failing card cannot be ended; it is left behind."""
_KEPT_BYTES: Final = 16_384
NICENESS: Final = 10
"""The camera goes on looking meanwhile."""
WITH_PARENT: Final = """
import os, runpy, sys, threading
def end_with_parent():
    os.read(0, 1)
    os.kill(os.getpid(), 9)
threading.Thread(target=end_with_parent, daemon=True).start()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a file of Python that ends when its standard input does: nothing goes on writing after us."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        code: its exit code; negative: the signal that ended it; None: it was ended here.
        is_late: its time was over.
        output: the end of what it wrote, both streams.
    """

    code: int | None
    is_late: bool
    output: str

    @property
    def words(self) -> str:
        """How it ended, and its last words, on one line."""
        return f"{self._how}: {self._last}" if self._last else self._how

    @property
    def _how(self) -> str:
        if self.code is None:
            return "it did not end in time" if self.is_late else "it was stopped"
        if self.code < 0:
            return f"it was ended by {signal.Signals(-self.code).name}"
        return f"it ended with code {self.code}"

    @property
    def _last(self) -> str:
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(("ERROR", "error:"))] or lines[-2:]
        return " / ".join(told)[-400:]


def run(
    command: Sequence[str],
    *,
    limit_s: float,
    is_over: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program.

    Args:
        command: and its arguments; no shell.
        limit_s: seconds after which it is ended.
        is_over: asked often; true ends it.
        environment: instead of ours.

    Raises:
        OSError: it cannot be started.
    """
    end_s = time.monotonic() + limit_s
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 (a list of arguments; no shell)
            list(command),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ if environment is None else environment),
            start_new_session=True,
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        try:
            code = _wait(process, end_s, is_over)
        finally:
            _end(process)
        output.seek(max(0, output.seek(0, os.SEEK_END) - _KEPT_BYTES))
        text = output.read().decode("utf-8", "replace")
    return Ended(code, code is None and time.monotonic() >= end_s, text)


def _wait(process: subprocess.Popen[bytes], end_s: float, is_over: Callable[[], bool]) -> int | None:
    while not is_over() and time.monotonic() < end_s:
        try:
            return process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            continue
    return process.poll()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED_S)
    assert process.stdin is not None
    process.stdin.close()
