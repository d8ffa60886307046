"""Where a laptop comes in: a serial port that is opened again and again, or a socket on the loopback."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from typing import Final, Protocol

from device.errors import ConfigError
from hardware.cable.framing import Frame, Kind, packed
from hardware.cable.line import Line, SerialLine, SocketLine, is_loopback
from hardware.errors import CableLost, CableUnavailable
from ota.cable import Refused, encoded

_log = logging.getLogger(__name__)

AGAIN_S: Final = 1.0
HEAR_S: Final = 1.0
_BUSY: Final = Refused(code="busy", reason="another laptop speaks to this board", todo="end that one first")


class Door(Protocol):
    """Gives one line after the other."""

    def next_line(self, stop: threading.Event) -> Line | None:
        """Wait for a line; None once `stop` is set. The one before is closed by then."""

    def close(self) -> None:
        """Let nobody in any more."""


class SerialDoor:
    """A serial port: open while it is there, and opened again when it came back.

    Args:
        port: such as `/dev/ttyGS0`.
        baud: symbols a second.
        again_s: seconds between two tries.
    """

    def __init__(self, port: str, baud: int, again_s: float = AGAIN_S) -> None:
        self._port = port
        self._baud = baud
        self._again_s = again_s
        self._told = ""
        self._was_open = False

    def next_line(self, stop: threading.Event) -> Line | None:
        """See `Door`."""
        if self._was_open:
            # A port that opens and breaks off at once must not keep the board busy.
            stop.wait(self._again_s)
        while not stop.is_set():
            try:
                line = SerialLine(self._port, self._baud)
            except CableUnavailable as error:
                self._tell(str(error))
                stop.wait(self._again_s)
            else:
                self._tell(f"console port={self._port} open")
                self._was_open = True
                return line
        return None

    def close(self) -> None:
        """Nothing is open between two lines."""

    def _tell(self, what: str) -> None:
        """One line for each change; a port that comes and goes every second is one state."""
        if what != self._told:
            self._told = what
            _log.info("%s", what)


class TcpDoor:
    """A socket on the loopback, for tests and for a laptop that is the board.

    Whoever comes while a line is open is told so and sent away.

    Args:
        host: an address of the loopback.
        port: 0 takes a free one.

    Raises:
        ConfigError: another address, or it is taken.
    """

    def __init__(self, host: str, port: int) -> None:
        if not is_loopback(host):
            reason = "only 127.0.0.1 or ::1: whoever reaches the console may change this board"
            raise ConfigError(None, None, "--listen", f"{host}: {reason}")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listening = socket.create_server((host, port), family=family)
        except OSError as error:
            raise ConfigError(None, None, "--listen", f"{host}:{port}: {error.strerror}") from error
        self.port: int = self._listening.getsockname()[1]
        self._listening.settimeout(0.2)
        self._came: Line | None = None
        self._changed = threading.Condition()
        self._is_taken = False
        self._is_closed = False
        self._thread = threading.Thread(target=self._accept, name="console door", daemon=True)

    def next_line(self, stop: threading.Event) -> Line | None:
        """See `Door`."""
        with self._changed:
            self._is_taken = False
        if not self._thread.is_alive() and not self._is_closed:
            self._thread.start()
        while not stop.is_set():
            with self._changed:
                if self._changed.wait_for(lambda: self._came is not None, 0.2):
                    line, self._came = self._came, None
                    return line
        return None

    def close(self) -> None:
        """See `Door`."""
        self._is_closed = True
        if self._thread.is_alive():
            self._thread.join()
        self._listening.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                connection, (host, *_) = self._listening.accept()
            except TimeoutError:
                continue
            except OSError as error:
                _log.error("console door closed error=%r", str(error))
                return
            with self._changed:
                is_free = not self._is_taken and is_loopback(host)
                if is_free:
                    self._came, self._is_taken = SocketLine(connection), True
                    self._changed.notify_all()
            if not is_free:
                _turn_away(connection)


def _turn_away(connection: socket.socket) -> None:
    """Say why, then hang up after the other side: closed with something unread, a socket loses its words."""
    line, end_s = SocketLine(connection), time.monotonic() + HEAR_S
    with contextlib.closing(line), contextlib.suppress(CableLost, OSError):
        line.write(packed(Frame(Kind.ANSWER, 0, 0, encoded(_BUSY))))
        connection.shutdown(socket.SHUT_WR)
        while time.monotonic() < end_s:
            line.read(HEAR_S)
