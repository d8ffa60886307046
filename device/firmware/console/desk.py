"""What the console's handlers work with; made once by the command, out of real things or a test's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from device.firmware.console.aim import Aim
from device.firmware.console.network import Network
from hardware.board import Board
from ota.enrolment import Ticket


@dataclass(slots=True)
class Desk:
    """The board, as far as the console touches it.

    Attributes:
        config_file: of the device; need not be there yet.
        state: the device's folder.
        board: that it runs on.
        serial: of the board, empty where it has none.
        firmware: version of Pehra.
        network: joins Wi-Fi.
        aim: looks through a camera.
        read_log: returns the last lines of the log.
        restart: starts the camera's service anew.
        on_ticket: is told of each ticket that was kept: enrolment plugs in here.
        deed: held while something is changed or checked, so that two never are.
    """

    config_file: Path
    state: Path
    board: Board
    serial: str
    firmware: str
    network: Network
    aim: Aim
    read_log: Callable[[int], list[str]]
    restart: Callable[[], None]
    on_ticket: Callable[[Ticket], None]
    deed: threading.Lock = field(default_factory=threading.Lock)
