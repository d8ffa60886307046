"""Rules: what a camera is told to notice, applied to tracks.

Open `happening.py` first: what a rule is and what it makes. Then one file a kind: `zone.py`, `line.py`, ...
A rule turns tracks into happenings and counts. Durations come from the monotonic stamps of the frames, so a
changing frame rate or a jumping clock changes nothing. Rules read no clock and no configuration file.
"""

from device.firmware.rules.happening import Direction, Happening, Rule, Sighting
from device.firmware.rules.line import FAR_BANDS, NEAR_WIDTHS, SETTLE_S, LineRule
from device.firmware.rules.zone import ZoneRule

__all__ = [
    "FAR_BANDS",
    "NEAR_WIDTHS",
    "SETTLE_S",
    "Direction",
    "Happening",
    "LineRule",
    "Rule",
    "Sighting",
    "ZoneRule",
]
