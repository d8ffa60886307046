"""From start to exit code: a normal start, or one in safe mode when those before did not live.

Safe mode runs the daemon without cameras and detector, so that the fleet still hears of the device and why;
it ends when the configuration's file changes, or after a wait that grows, and a normal start is tried again.
"""

from __future__ import annotations

import faulthandler
import hashlib
import logging
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

from device.errors import ConfigError, PartDied, PehraDeviceError, StateUnavailable
from device.firmware.claim_file import is_enrolled
from device.firmware.config import Config, load_config
from device.firmware.daemon import Daemon
from device.firmware.enrol import Enroller, Hardware, needs_ticket
from device.firmware.identity import must_wipe, wipe
from device.firmware.last_link import keep_link, kept_link, names_broker, state_folder
from device.firmware.remote import ConfigStore, LogRing, Remote, SignedReader, read_unsigned
from device.firmware.service import Service
from device.firmware.starts import Limits, StartLog
from device.firmware.trust_roots import has_director
from device.firmware.updating.beginning import send_back
from device.firmware.updating.standing import running_slot
from hardware.board import board_name, serial_number

_log = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_PART_DIED: Final = 1
EXIT_CANNOT_START: Final = 2
EXIT_RESTART: Final = 75
"""A restart was asked for (sysexits.h, EX_TEMPFAIL: try again); the service manager starts it anew."""
_ENDINGS: Final[dict[str, int | None]] = {
    "": EXIT_OK,
    "configuration": None,
    "restart": EXIT_RESTART,
}
"""What follows a daemon that ended in order: an exit code, or none to begin again in this process."""
LAST_RESORT_S: Final = 55.0
"""Stopping that takes longer is cut off, with the stack of each thread in the log."""


class Life:
    """One process's life with a configuration file.

    Args:
        config_file: TOML.
        stop: set when the process is to end.
        service: who started it.
        limits: when starts become a crash loop.
        logs: the last lines of the log, for the fleet's command.
    """

    def __init__(
        self,
        config_file: Path,
        stop: threading.Event,
        service: Service | None = None,
        limits: Limits | None = None,
        logs: LogRing | None = None,
    ) -> None:
        self._file = config_file
        self._stop = stop
        self._service = service or Service()
        self._limits = limits or Limits()
        self._logs = logs

    def run(self) -> int:
        """Live until `stop` is set or nothing more can be done here; return the exit code."""
        try:
            self._end_wipe()
        except StateUnavailable as error:
            return _cannot_start(error)
        while True:
            code = self._live_once()
            if code is not None:
                return code

    def _live_once(self) -> int | None:
        """One normal start or one stay in safe mode; None to begin again."""
        if not self._let_in():
            return EXIT_OK
        try:
            remote = self._open_remote(load_config(self._file))
        except ConfigError as error:
            link = kept_link(state_folder(self._file))
            if link is None:
                return _cannot_start(error)
            return self._stay_safe(link.config(), f"configuration: {error}", float("inf"))
        state = Path(remote.config.device.state)
        starts = StartLog(state, _what_starts(self._file, remote.config), self._limits)
        if not starts.is_loop:
            return self._live_normally(remote, starts)
        if remote.give_up(starts.reason) or send_back(state, starts.reason):
            starts.forget()
            return None
        return self._stay_safe(remote.config, starts.reason, starts.wait_s, starts, remote)

    def _end_wipe(self) -> None:
        """Go on with what a cut interrupted.

        Raises:
            StateUnavailable: something cannot be removed.
        """
        state = state_folder(self._file)
        if must_wipe(state):
            _wipe(state)

    def _let_in(self) -> bool:
        """Wait until a fleet has let this board in, where that is needed; false when told to stop before."""
        state = state_folder(self._file)
        if not needs_ticket(state, has_broker=names_broker(self._file)):
            return True
        self._service.ready()
        hardware = Hardware(board_name(), serial_number())
        return Enroller(state, hardware, lambda words: self._service.alive(f"enrol: {words}")).run(self._stop)

    def _live_normally(self, remote: Remote, starts: StartLog) -> int | None:
        starts.begin()
        try:
            daemon = Daemon(
                remote.config, self._service, remote=remote, logs=self._logs, config_file=self._file
            )
        except PehraDeviceError as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 (whatever it was, it is counted)
            return _crashed(starts, "start", error)
        else:
            return self._watch(daemon, remote.config, starts)
        starts.withdraw()
        if remote.give_up(str(refusal)):
            return None
        if isinstance(refusal, StateUnavailable) or kept_link(Path(remote.config.device.state)) is None:
            return _cannot_start(refusal)
        return self._stay_safe(remote.config, str(refusal), starts.wait_s, starts, remote)

    def _watch(self, daemon: Daemon, config: Config, starts: StartLog) -> int | None:
        is_kept = False

        def note_alive() -> bool:
            nonlocal is_kept
            starts.note_alive()
            if daemon.is_linked and not is_kept:
                is_kept = True
                keep_link(config)
            return False

        try:
            daemon.run(self._stop, each_round=note_alive, on_stopping=_limit_stopping)
        except PartDied as error:
            starts.fail(error.name, error.reason)
            _log.error("stopped: %s", error)
            return EXIT_PART_DIED
        except Exception as error:  # noqa: BLE001 (whatever it was, it is counted)
            return _crashed(starts, "daemon", error)
        finally:
            faulthandler.cancel_dump_traceback_later()
        starts.withdraw()
        return self._after(daemon.ending, config)

    def _after(self, ending: str, config: Config) -> int | None:
        """Return what follows a daemon that ended in order; one that was decommissioned is wiped first."""
        if ending != "decommissioned":
            return _ENDINGS[ending]
        try:
            _wipe(Path(config.device.state))
        except StateUnavailable as error:
            return _cannot_start(error)
        return None

    def _stay_safe(
        self,
        config: Config,
        reason: str,
        wait_s: float,
        starts: StartLog | None = None,
        remote: Remote | None = None,
    ) -> int | None:
        """Speak, but watch nothing, until something has changed or the wait is over."""
        end_s, before = time.monotonic() + wait_s, _digest(self._file)
        when = f"tries again in {wait_s / 60:.0f} min" if wait_s < float("inf") else "mend the file"
        _log.error("safe mode reason=%r %s", reason, when)

        def is_over() -> bool:
            return time.monotonic() >= end_s or _digest(self._file) != before

        safe_reason = f"{reason}; {when}"
        try:
            daemon = Daemon(
                config,
                self._service,
                remote=remote,
                logs=self._logs,
                safe_reason=safe_reason,
                config_file=self._file,
            )
            daemon.run(self._stop, each_round=is_over, on_stopping=_limit_stopping)
        except PartDied as error:
            _log.error("stopped in safe mode: %s", error)
            return EXIT_PART_DIED
        except PehraDeviceError as error:
            return _cannot_start(error)
        finally:
            faulthandler.cancel_dump_traceback_later()
        if self._stop.is_set():
            return EXIT_OK
        _log.info("safe mode ends, a normal start is tried")
        if starts is not None and daemon.ending:
            starts.forget()
        elif starts is not None:
            starts.try_again()
        return self._after(daemon.ending, config) if daemon.ending else None

    def _open_remote(self, base: Config) -> Remote:
        """Return what the fleet has said to this device; its secrets no longer reach the log it may read."""
        if self._logs is not None:
            self._logs.hide(base.mqtt.password)
        state = Path(base.device.state)
        is_ours = is_enrolled(state) or has_director(state)
        return Remote(
            base, ConfigStore(state / "config"), read=SignedReader(state) if is_ours else read_unsigned
        )


def _wipe(state: Path) -> None:
    _log.warning("the fleet takes this board out of service: everything on it is wiped")
    wipe(state, "decommissioned by its fleet")


def _cannot_start(error: PehraDeviceError) -> int:
    _log.error("cannot start: %s", error)
    return EXIT_CANNOT_START


def _crashed(starts: StartLog, part: str, error: Exception) -> int:
    starts.fail(part, f"{type(error).__name__}: {error}")
    _log.exception("a defect of ours ended the device in=%s", part)
    return EXIT_PART_DIED


def _limit_stopping() -> None:
    faulthandler.dump_traceback_later(LAST_RESORT_S, exit=True)


def _what_starts(file: Path, config: Config) -> str:
    """What failed starts are counted of; those of a firmware on trial say nothing of the one before."""
    slot = running_slot(Path(config.device.state))
    return f"{_digest(file)}{config.sha256()} {version('pehra')} {slot}".rstrip()


def _digest(file: Path) -> str:
    """Digest of a configuration's file; empty while it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
