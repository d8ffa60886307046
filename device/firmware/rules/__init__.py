"""Rules: what a camera is told to notice, applied to tracks.

Open `happening.py` first: what a rule is and what it makes. Then one file a kind: `zone.py`, `line.py`,
`loiter.py`, `crowd.py`, `wrong_way.py`, `stopped.py`, `left.py`, `speed.py`, `origin.py`, `heat.py`.
`duty.py` says when a rule is on, `fold.py` how its events are folded. A rule turns tracks into happenings and
counts. Durations come from the monotonic stamps of the frames, so a changing frame rate or a jumping clock
changes nothing. Rules read no clock and no configuration file.
"""

from device.firmware.rules.crowd import CrowdRule
from device.firmware.rules.duty import Duty
from device.firmware.rules.fold import Folds, Told
from device.firmware.rules.ground import Ground
from device.firmware.rules.happening import (
    A_THING,
    NO_TRACK,
    Direction,
    Happening,
    Local,
    Occupied,
    Rule,
    Sighting,
    Watcher,
)
from device.firmware.rules.heat import HeatRule
from device.firmware.rules.left import LeftRule
from device.firmware.rules.line import FAR_BANDS, NEAR_WIDTHS, SETTLE_S, LineRule
from device.firmware.rules.loiter import LoiterRule
from device.firmware.rules.origin import OriginRule
from device.firmware.rules.schedule import Schedule, parse_schedule
from device.firmware.rules.speed import SpeedRule
from device.firmware.rules.stopped import StoppedRule
from device.firmware.rules.wrong_way import WrongWayRule, arrow_of
from device.firmware.rules.zone import ZoneRule

__all__ = [
    "A_THING",
    "FAR_BANDS",
    "NEAR_WIDTHS",
    "NO_TRACK",
    "SETTLE_S",
    "CrowdRule",
    "Direction",
    "Duty",
    "Folds",
    "Ground",
    "Happening",
    "HeatRule",
    "LeftRule",
    "LineRule",
    "Local",
    "LoiterRule",
    "Occupied",
    "OriginRule",
    "Rule",
    "Schedule",
    "Sighting",
    "SpeedRule",
    "StoppedRule",
    "Told",
    "Watcher",
    "WrongWayRule",
    "ZoneRule",
    "arrow_of",
    "parse_schedule",
]
