"""The board's end of the cable: it answers a laptop, and nobody else.

Open `handlers.py` first: the table of what can be asked. `server.py` reads frames and sends answers,
`doors.py` is where a line comes from, `desk.py` what the handlers need. There is no shell here, no key and no
password leaves, and no picture goes anywhere but over the line that asked for it.
"""

from device.firmware.console.desk import Desk
from device.firmware.console.doors import SerialDoor, TcpDoor
from device.firmware.console.server import serve

__all__ = ["Desk", "SerialDoor", "TcpDoor", "serve"]
