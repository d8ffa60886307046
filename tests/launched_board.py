"""A board whose service is started by the real launcher, and started again as systemd does it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from device.firmware import launcher
from device.firmware.updating.firmware_slot import read_manifest
from device.firmware.updating.journal import Journal, JournalFiles

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class LaunchedBoard:
    """See the module.

    Attributes:
        state: the device's state folder.
        factory: Python of the factory's program.
        words: what `pehra` is called with.
        log: of all that was started.
        codes: how each start ended.
    """

    state: Path
    factory: Path
    words: list[str]
    log: Path
    codes: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def slots(self) -> Path:
        return self.state / "slots" / "firmware"

    @property
    def current(self) -> str:
        return launcher.read_current(self.slots)[0]

    @property
    def journal(self) -> Journal:
        return JournalFiles(self.state / "journal").read("firmware")

    def version(self, factory: str) -> str:
        """What the next start takes."""
        manifest = read_manifest(self.slots / self.current) if self.current else None
        return manifest.version if manifest else factory

    def keep_going(self) -> None:
        """What systemd does with `Restart=always`."""
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None:
            self.codes.append(self.process.returncode)
        command = [sys.executable, "-I", "-S", launcher.__file__]
        command += ["--state", str(self.state), "--factory", str(self.factory), "--", *self.words]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def end(self, how: int = signal.SIGKILL) -> None:
        """End what runs; what it has started with it."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)
        self.process.wait(60)
        self.process = None
