"""The line that frames go over: a serial port, whatever pyserial can open, or a socket that was accepted.

A line that is lost is lost: it is closed and another one opened. Nothing here knows frames.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import time
from typing import Final, Protocol
from urllib.parse import urlsplit

import serial

from hardware.errors import CableLost, CableUnavailable

DEFAULT_BAUD: Final = 115_200
FAST_BYTES_PER_S: Final = 1_000_000.0
"""Of a line without a baud rate: a USB gadget, or a socket."""
SCHEMES: Final = ("socket://", "rfc2217://")
"""Of pyserial's addresses; others would copy what is said into a file."""
BITS_PER_BYTE: Final = 10
"""8N1: a start bit, eight, a stop bit."""
WRITE_S: Final = 10.0
"""Who takes nothing for so long is not there; the longest frame needs 9 s at 9600 baud."""
CONNECT_S: Final = 10.0
_POLL_S: Final = 0.2
_MOST_BYTES: Final = 4096


class Line(Protocol):
    """One open line; not for two threads at once."""

    @property
    def name(self) -> str:
        """The port, for people."""

    @property
    def bytes_per_s(self) -> float:
        """What goes over it in a second, at most."""

    def read(self, wait_s: float) -> bytes:
        """Return what has come, waiting so long for the first byte; nothing where none came.

        Raises:
            CableLost: the cable was pulled out, or the other side hung up.
        """

    def write(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            CableLost: as above, or the other side takes nothing.
        """

    def close(self) -> None:
        """Let go of it; may be called twice."""


def open_line(port: str, baud: int = DEFAULT_BAUD) -> Line:
    """Open a port: `/dev/ttyUSB0`, `COM3`, `rfc2217://HOST:PORT`, `socket://HOST:PORT`.

    pyserial could open the last one too, but loses what was said just before the other side hung up, and then
    forgets to close the socket.

    Args:
        port: which.
        baud: symbols a second; means nothing to a USB gadget or a socket.

    Raises:
        CableUnavailable: it cannot be opened; says what to do.
    """
    if "://" in port and not port.startswith(SCHEMES):
        todo = f"name a port of this machine, or one of {' '.join(SCHEMES)}"
        raise CableUnavailable(port, "such an address is not opened", todo)
    if not port.startswith("socket://"):
        return SerialLine(port, baud)
    try:
        address = urlsplit(port)
        where = (address.hostname or "", address.port or 0)
        return SocketLine(socket.create_connection(where, timeout=CONNECT_S), port)
    except (OSError, ValueError) as error:
        raise _unavailable(port, error) from error


class SerialLine:
    """A port that pyserial opens.

    Args:
        port: which.
        baud: symbols a second; means nothing to a USB gadget or a socket.

    Raises:
        CableUnavailable: it cannot be opened; says what to do.
    """

    def __init__(self, port: str, baud: int = DEFAULT_BAUD) -> None:
        self.name = port
        self.bytes_per_s = FAST_BYTES_PER_S if _has_no_baud(port) else baud / BITS_PER_BYTE
        try:
            self._port = serial.serial_for_url(
                port,
                baudrate=baud,
                timeout=_POLL_S,
                # A remote port cannot limit writing, nor be kept from others.
                write_timeout=None if "://" in port else WRITE_S,
                exclusive=None if "://" in port else True,
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise _unavailable(port, error) from error

    def read(self, wait_s: float) -> bytes:
        """See `Line`."""
        end_s = time.monotonic() + wait_s
        try:
            if wait_s <= 0 and not self._port.in_waiting:
                return b""
            while True:
                data = self._port.read(1)
                if data:
                    data += self._port.read(min(_MOST_BYTES, self._port.in_waiting))
                if data or time.monotonic() >= end_s:
                    return bytes(data)
        except (serial.SerialException, OSError, TypeError) as error:  # TypeError: closed meanwhile
            raise CableLost(self.name, str(error)) from error

    def write(self, data: bytes) -> None:
        """See `Line`."""
        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise CableLost(self.name, f"nobody takes anything for {WRITE_S:g} s") from error
        except (serial.SerialException, OSError, TypeError) as error:
            raise CableLost(self.name, str(error)) from error

    def close(self) -> None:
        """See `Line`."""
        with contextlib.suppress(serial.SerialException, OSError):
            self._port.close()


class SocketLine:
    """A connection, as a board accepted it or a laptop opened it.

    Args:
        connection: an open stream; closed with the line.
        name: the port, for people.
    """

    def __init__(self, connection: socket.socket, name: str = "local socket") -> None:
        self.name = name
        self.bytes_per_s = FAST_BYTES_PER_S
        self._socket = connection
        self._socket.settimeout(WRITE_S)

    def read(self, wait_s: float) -> bytes:
        """See `Line`."""
        try:
            if not select.select([self._socket], [], [], max(0.0, wait_s))[0]:
                return b""
            data = self._socket.recv(_MOST_BYTES)
        except (OSError, ValueError) as error:  # ValueError: closed meanwhile
            raise CableLost(self.name, str(error)) from error
        if not data:
            raise CableLost(self.name, "the other side hung up")
        return data

    def write(self, data: bytes) -> None:
        """See `Line`."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise CableLost(self.name, str(error)) from error

    def close(self) -> None:
        """See `Line`."""
        self._socket.close()


def remote_host(port: str) -> str | None:
    """Return the host that a port lies on, None for one of this machine that is no address."""
    return (urlsplit(port).hostname or "") if "://" in port else None


def is_loopback(host: str) -> bool:
    """Whether an address, or the name `localhost`, is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _has_no_baud(port: str) -> bool:
    name = port.rpartition("/")[2]
    return port.startswith("socket://") or name.startswith(("ttyGS", "ttyACM"))


def _unavailable(port: str, error: Exception) -> CableUnavailable:
    reason = str(error)
    if "lock" in reason or "busy" in reason:
        return CableUnavailable(
            port, "another program has it open", "end that program (screen, minicom, pehra)"
        )
    if "ermission" in reason:
        todo = "put yourself into the group `dialout` (usermod -aG dialout NAME, then log in again)"
        return CableUnavailable(port, "you may not open it", todo)
    if "://" in port:
        return CableUnavailable(port, reason, "look at the address, and whether the other side listens")
    if "o such file" in reason or "not find" in reason:
        todo = "look at the cable; `pehra provision ports` shows the ports that there are"
        return CableUnavailable(port, "there is no such port", todo)
    return CableUnavailable(port, reason, "look at the cable, then pull it out and put it in again")
