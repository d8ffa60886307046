"""The outbox: durable messages that wait until the fleet says it has stored them.

Open `box.py` first (taking in, writing, handing out), then `room.py` (what is folded or dropped when it
is full), `stamps.py` (messages from before the clock was set) and `file.py` (the SQLite file, also a
damaged one).
"""

from device.firmware.outbox.box import Outbox
from device.firmware.outbox.values import OutboxSettings, Tally, Waiting

__all__ = ["Outbox", "OutboxSettings", "Tally", "Waiting"]
