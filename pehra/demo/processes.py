"""Child processes of the demo: started, watched, and ended in order; none outlives the demo.

Each writes its log to a file of its own. Nothing here knows what the processes do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
"""linux/prctl.h: the signal that a child gets when its parent dies."""


@dataclass(slots=True)
class Child:
    """One running program.

    Attributes:
        name: for people.
        process: the running program.
        log: file with all it has said.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if it still runs."""
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end, then kill it; return its exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def last_words(self, lines: int = 6) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-lines:])


def start(name: str, arguments: list[str], folder: Path, environment: dict[str, str] | None = None) -> Child:
    """Start `python -m arguments...` in a session of its own, so that Ctrl-C reaches only the demo."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = _popen([sys.executable, "-m", *arguments], out, os.environ | (environment or {}))
    return Child(name, process, log)


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody uses now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_port_free(port: int) -> bool:
    """Tell whether 127.0.0.1:port can be listened on."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    """Tell whether something listens on 127.0.0.1:port."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _popen(command: list[str], out: IO[bytes], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own modules)
        command,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (one system call)
    )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
