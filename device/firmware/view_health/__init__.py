"""Camera health: whether a camera still sees what it was hung up to see.

Open `health.py` first: `ViewHealth.watch` is the whole road. `sight.py` turns a frame into what is looked at,
`reference.py` remembers how the view usually is, `shift.py` finds where it has gone, `verdict.py` names the
one cause, `standing.py` raises and clears. Never says what is in the picture, and keeps no picture.
"""

from device.firmware.view_health.health import ViewHealth
from device.firmware.view_health.settings import SENSOR_FROZEN_S, ViewSettings
from device.firmware.view_health.standing import Change
from device.firmware.view_health.verdict import KINDS, Kind

__all__ = ["KINDS", "SENSOR_FROZEN_S", "Change", "Kind", "ViewHealth", "ViewSettings"]
