"""What the fleet may do to a device from afar: give it a configuration, and commands.

Open `desired.py` first (a document is heard, checked, tried, confirmed or taken back), then `signed.py`
(who is believed), `overlay.py` (what a document may change, pure), `store.py` (what is kept of it on disk)
and `commands.py`. Nothing here knows MQTT: bytes come in, and what is to be reported goes out as a value.
"""

from device.firmware.remote.commands import Answer, Commands, Deed
from device.firmware.remote.desired import Remote, Standing, read_unsigned
from device.firmware.remote.log_ring import LogRing
from device.firmware.remote.overlay import overlaid
from device.firmware.remote.signed import SignedReader
from device.firmware.remote.store import ConfigStore

__all__ = [
    "Answer",
    "Commands",
    "ConfigStore",
    "Deed",
    "LogRing",
    "Remote",
    "SignedReader",
    "Standing",
    "overlaid",
    "read_unsigned",
]
