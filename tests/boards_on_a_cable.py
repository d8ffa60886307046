"""A board at the other end of a real cable: a pseudo-terminal or a socket, served by the console itself."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from pathlib import Path

import msgspec

from device.firmware.claim_file import CERTIFICATE, IDENTITY
from device.firmware.console import Desk, serve
from device.firmware.console.aim import Aim
from device.firmware.console.doors import SerialDoor, TcpDoor
from device.firmware.console.network import NetworkManager
from device.firmware.identity import ROOT, WHO, Identity
from hardware.board import board
from hardware.cable.line import open_line
from ota.enrolment import Ticket
from pehra.provision.session import Patience, Session
from tests.device_toml import head

TICKET = Ticket(
    claim="claim-claim-claim-claim-claim-12",
    url="https://fleet.example.org:8443",
    pin="ab" * 32,
    made="2026-11-26T10:00:00.000Z",
    site="lahore/gulberg",
)
QUICK = Patience(silence_s=2.0, short_s=20.0, long_s=60.0)
SHORT = Patience(silence_s=0.5, short_s=1.5, long_s=1.5)
"""For a board that will not answer."""


def write_config(folder: Path, rest: str = "") -> Path:
    """A device's configuration, looking at the simulated street."""
    state = folder / "state"
    state.mkdir(exist_ok=True)
    file = folder / "device.toml"
    file.write_text(head(state) + '[[camera]]\nsource = "street:seed=3"\nfps = 15\n' + rest)
    return file


def make_enrolled(folder: Path) -> None:
    """Write down that a fleet let this board in, as `enrol.py` leaves it; no certificate is real."""
    who = Identity(
        device="cam-01",
        site="lahore/gulberg",
        timezone="Asia/Karachi",
        url=TICKET.url,
        pin=TICKET.pin,
        mqtt_host="127.0.0.1",
        mqtt_port=1,
    )
    identity = folder / "state" / IDENTITY
    identity.mkdir(parents=True, exist_ok=True)
    (identity / WHO).write_bytes(msgspec.json.encode(who))
    for name in (ROOT, CERTIFICATE):
        (identity / name).write_text("not a certificate")


def make_desk(folder: Path, **changes) -> Desk:
    """A desk of real parts, its state in a folder."""
    (folder / "state").mkdir(exist_ok=True)
    file = folder / "device.toml"
    parts = {
        "config_file": file,
        "state": folder / "state",
        "board": board(),
        "serial": "100000001234abcd",
        "firmware": "0.1.0",
        "network": NetworkManager(str(folder / "no-nmcli")),
        "aim": Aim(file, folder / "state"),
        "read_log": lambda number: [],
        "restart": lambda: None,
        "on_ticket": lambda ticket: None,
    }
    return Desk(**(parts | changes))


@contextlib.contextmanager
def serving(door, desk):
    """The console's own loop, in a thread, until the end of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(door, desk, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


class Cable:
    """Two pseudo-terminals, and a thread that carries bytes between them: a cable that can be pulled out.

    The board's port is a link, so that the same name is another terminal when the cable is back in.

    Args:
        folder: for the names of the ports.

    Attributes:
        to_board: what becomes of bytes on the way to the board.
        to_laptop: and on the way to the laptop.
        opened: the board has its port open.
    """

    def __init__(self, folder: Path) -> None:
        self.board_port = folder / "ttyAMA0"
        self.laptop_port = folder / "ttyUSB0"
        self.to_board = self.to_laptop = lambda data: data
        self._ends: tuple[int, ...] = ()
        self.pulled_out = threading.Event()
        self.opened = threading.Event()
        self.plug_in()

    def plug_in(self) -> None:
        """Connect both."""
        self.pulled_out.clear()
        board_end, board_slave = os.openpty()
        laptop_end, laptop_slave = os.openpty()
        for slave, port in ((board_slave, self.board_port), (laptop_slave, self.laptop_port)):
            tty.setraw(slave)
            port.unlink(missing_ok=True)
            port.symlink_to(os.ttyname(slave))
        self._ends, self._slaves = (board_end, laptop_end), [board_slave, laptop_slave]
        self._pulled_r, self._pulled_w = os.pipe()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def pull_out(self) -> None:
        """Both sides lose their terminals."""
        if not self._ends:
            return
        self.pulled_out.set()
        self.opened.clear()
        os.write(self._pulled_w, b"x")
        self._thread.join()
        for end in (*self._ends, *self._slaves, self._pulled_r, self._pulled_w):
            os.close(end)
        self._ends = ()

    def say_to_laptop(self, data: bytes) -> None:
        """Something comes out at the laptop's end that no board said."""
        _write_all(self._ends[1], data)

    def _carry(self) -> None:
        board_end, laptop_end = self._ends
        while True:
            ready, _, _ = select.select([board_end, laptop_end, self._pulled_r], [], [])
            if self._pulled_r in ready:
                return
            for end in ready:
                data = os.read(end, 4096)
                if self.pulled_out.is_set():
                    return
                if end == board_end:
                    _write_all(laptop_end, self.to_laptop(data))
                else:
                    _write_all(board_end, self.to_board(data))


def _write_all(end: int, data: bytes) -> None:
    while data:
        data = data[os.write(end, data) :]


class _Door(SerialDoor):
    """A serial port of which is known when it is open: what is said before is lost, as on any line."""

    def __init__(self, cable, baud):
        super().__init__(str(cable.board_port), baud, again_s=0.05)
        self._cable = cable

    def next_line(self, stop):
        line = super().next_line(stop)
        self._cable.opened.set()
        return line


@contextlib.contextmanager
def on_a_cable(folder: Path, desk=None, baud=115_200):
    """A board that serves on one end of a cable; gives the cable."""
    cable = Cable(folder)
    try:
        door = _Door(cable, baud)
        with serving(door, desk or make_desk(folder)):
            assert cable.opened.wait(30)
            yield cable
    finally:
        cable.pull_out()


@contextlib.contextmanager
def on_a_socket(folder: Path, desk=None):
    """A board that listens on the loopback; gives its address."""
    door = TcpDoor("127.0.0.1", 0)
    with serving(door, desk or make_desk(folder)):
        yield f"socket://127.0.0.1:{door.port}"


def session_on(port, patience=QUICK, baud=115_200) -> Session:
    """A laptop's session on a port."""
    return Session(open_line(str(port), baud), patience)
